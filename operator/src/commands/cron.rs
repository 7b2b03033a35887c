//! `planescape cron`: when a schedule fires, without a cluster.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::DstPolicy;
use planescape_operator_core::schedule::{self, HORIZON_IN_DAYS, Schedule};

/// When a schedule fires.
#[derive(Debug, Subcommand)]
pub enum Cron {
    /// Print when a schedule fires next, the earliest first.
    #[command(after_help = EXAMPLES)]
    Next(Ticks),
    /// Print when a schedule fired last, the latest first.
    #[command(after_help = EXAMPLES)]
    Prev(Ticks),
}

const EXAMPLES: &str = r#"Examples:
  planescape cron next "0 2 * * *" --tz Europe/Berlin
  planescape cron next "30 2 * * *" --tz America/New_York --from 2026-03-07T12:00:00-05:00 --count 3
  planescape cron next "@every 90m" --from 2026-11-24T10:00:00Z   (the creation of the PlanescapeJob)
  planescape cron prev "0 9-17 * * MON-FRI" --dst kubernetes --json"#;

/// A schedule, and from where to look.
#[derive(Debug, Args)]
pub struct Ticks {
    /// Five cron fields, @hourly and its like, or @every and a duration: one text, in quotes for the shell.
    #[arg(value_name = "\"EXPR\"", allow_hyphen_values = true)]
    schedule: String,

    /// The IANA time zone that the schedule is read in, as in spec.timeZone.
    #[arg(long = "tz", value_name = "ZONE", default_value = "UTC")]
    zone: String,

    /// From where to look, in RFC 3339; now when absent. `next` prints what is later, `prev` what is
    /// not. @every counts from it.
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    from: Option<Timestamp>,

    /// How many instants to print.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// What becomes of readings that come twice or not at all when the clock is turned, as
    /// spec.dstPolicy says.
    #[arg(long, value_name = "POLICY", default_value = "once")]
    dst: Dst,

    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Dst {
    /// Each reading that the schedule names happens once (OncePerOccurrence).
    #[value(alias = "OncePerOccurrence")]
    Once,
    /// What is left out does not happen, what comes again happens again (Kubernetes).
    #[value(alias = "Kubernetes")]
    Kubernetes,
}

#[derive(Clone, Copy)]
enum Direction {
    Next,
    Previous,
}

impl Cron {
    /// Does it.
    ///
    /// # Errors
    /// A schedule or a zone that is none, a schedule that never fires, and an output that takes
    /// nothing.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let (ticks, direction) = match self {
            Self::Next(ticks) => (ticks, Direction::Next),
            Self::Prev(ticks) => (ticks, Direction::Previous),
        };
        let zone = zone(&ticks.zone)?;
        let found = ticks.find(direction, Timestamp::now(), &zone)?;
        let text = ticks.text(&found, &zone)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
        if found.len() < ticks.count as usize {
            let end = ticks.end_of_time(direction);
            writeln!(std::io::stderr(), "planescape: {end}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Ticks {
    fn text(&self, found: &[Timestamp], zone: &TimeZone) -> anyhow::Result<String> {
        let ticks = found.iter().map(|tick| shown(*tick, zone));
        if self.json {
            let ticks: Vec<String> = ticks.collect();
            return Ok(format!("{}\n", serde_json::to_string_pretty(&ticks)?));
        }
        Ok(ticks.map(|tick| tick + "\n").collect())
    }

    /// Why there are no more.
    fn end_of_time(&self, direction: Direction) -> String {
        let (further, end) = match direction {
            Direction::Next => ("later", "up to the year 9999"),
            Direction::Previous => ("earlier", "from the year -9999 on"),
        };
        format!("`{}` has no {further} time {end}", self.schedule)
    }

    fn find(
        &self,
        direction: Direction,
        now: Timestamp,
        zone: &TimeZone,
    ) -> anyhow::Result<Vec<Timestamp>> {
        let from = self.from.unwrap_or(now);
        let dst = match self.dst {
            Dst::Once => DstPolicy::OncePerOccurrence,
            Dst::Kubernetes => DstPolicy::Kubernetes,
        };
        let schedule = Schedule::parse(&self.schedule, zone.clone(), dst)
            .map_err(|error| anyhow!("`{}`: {error}", self.schedule))?;
        match (&schedule, direction) {
            (Schedule::Once, _) => bail!(
                "`@once` runs once, when its PlanescapeJob is created; give a recurring schedule"
            ),
            (Schedule::Every(_), Direction::Previous) => bail!(
                "`{}` counts from the creation of its PlanescapeJob; use: planescape cron next, with --from that time",
                self.schedule
            ),
            (Schedule::Every(_), Direction::Next) | (Schedule::Calendar(_), _) => {}
        }
        let step = |tick: Timestamp| match direction {
            Direction::Next => schedule.next(from, tick),
            Direction::Previous => {
                let before = tick.checked_sub(SignedDuration::from_nanos(1)).ok()?;
                schedule.previous(from, before)
            }
        };
        let first = match direction {
            Direction::Next => schedule.next(from, from),
            Direction::Previous => schedule.previous(from, from),
        };
        let ticks = std::iter::successors(first, |tick| step(*tick));
        let ticks: Vec<Timestamp> = ticks.take(self.count as usize).collect();
        if ticks.is_empty() {
            let horizon = SignedDuration::from_hours(24 * i64::from(HORIZON_IN_DAYS));
            // Intervals end with the calendar alone.
            let ends = match direction {
                Direction::Next => from.checked_add(horizon),
                Direction::Previous => from.checked_sub(horizon),
            };
            if ends.is_err() || matches!(schedule, Schedule::Every(_)) {
                bail!("{}", self.end_of_time(direction));
            }
            let when = match direction {
                Direction::Next => "after",
                Direction::Previous => "before",
            };
            bail!(
                "`{}` never fires in the eight years {when} {from}; look at its day and month",
                self.schedule
            );
        }
        Ok(ticks)
    }
}

pub(super) fn zone(name: &str) -> anyhow::Result<TimeZone> {
    schedule::zone(name).ok_or_else(|| {
        anyhow!("`{name}` is not a time zone: write an IANA name, such as Europe/Berlin or UTC")
    })
}

/// In RFC 3339, with the offset of the zone.
pub(super) fn shown(tick: Timestamp, zone: &TimeZone) -> String {
    let zoned = tick.to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        if schedule::is_beyond_time(text) {
            return format!(
                "lies beyond {}: there is no later time, as the calendar ends with the year 9999",
                Timestamp::MAX
            );
        }
        "is not a time with an offset: write for example 2026-03-08T00:00:00-05:00 or 2026-03-08T05:00:00Z"
            .to_owned()
    })
}
