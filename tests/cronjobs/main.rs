//! Random CronJobs with the controller of Kubernetes itself, and the PlanescapeJobs that follow them with our decisions, over 30
//! hours of a clock that is ours. Only edits disturb them: both start the same instants, or a reason is known.
//!
//! `PLANESCAPE_CRONJOBS_SEED` and `PLANESCAPE_CRONJOBS` choose others and more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ours;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use planescape_tests::chance::Chance;
use planescape_tests::cron_jobs::{Both, Life, Pace, Reason, Run};
use planescape_tests::servers;
use serde_json::{Value, json};

const CASES: usize = 200;

const LENGTH: SignedDuration = SignedDuration::from_hours(30);

/// Berlin and New York turn their clocks within the first three; the last is an ordinary day.
const STARTS: [&str; 4] = [
    "2026-03-28T10:00:30Z",
    "2026-10-24T22:00:30Z",
    "2026-11-01T00:00:30Z",
    "2026-11-24T10:00:30Z",
];

/// Runs end in this second of a minute, so that small delays of their starts do not matter.
const SECOND: i64 = 37;

/// One CronJob and the PlanescapeJob that follows it.
pub(crate) struct Case {
    pub(crate) life: Life,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// How many seconds a run lasts, by the minute of its instant.
    pub(crate) lasts: Vec<i64>,
}

/// The end of an instant's run that starts now.
pub(crate) fn ends(case: &Case, tick: Timestamp, now: Timestamp) -> Timestamp {
    let minute = usize::try_from(tick.as_second() / 60).unwrap();
    let earliest = now.as_second() + case.lasts[minute % case.lasts.len()];
    let minutes = (earliest - SECOND).div_euclid(60) + 1;
    Timestamp::from_second(minutes * 60 + SECOND).unwrap()
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn draw(chance: &mut Chance) -> Case {
    let start: Timestamp = chance.pick(&STARTS).parse().unwrap();
    let template = json!({ "spec": { "template": { "spec": {
        "restartPolicy": "Never",
        "containers": [{ "name": "main", "image": "busybox:1.35" }],
    } } } });
    let lasts = (0..7).map(|_| chance.pick(&[10, 70, 190, 370, 910, 4_510]));
    let lasts = lasts.collect();
    Case {
        life: Life::draw(chance, Pace::Hours, LENGTH, template),
        start,
        end: start + LENGTH,
        lasts,
    }
}

#[test]
fn starts_what_a_cronjob_starts_over_thirty_hours() {
    let seed = number("PLANESCAPE_CRONJOBS_SEED", 1);
    let mut chance = Chance::new(seed as u64);
    let count = number("PLANESCAPE_CRONJOBS", CASES);
    let cases: Vec<Case> = (0..count).map(|_| draw(&mut chance)).collect();

    let theirs = theirs(&cases);

    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut runs, mut same) = (0, 0);
    for (case, theirs) in cases.iter().zip(&theirs) {
        let ours = ours::runs(case);
        runs += ours.len();
        let both = Both {
            life: &case.life,
            start: case.start,
            ours: &ours,
            theirs,
        };
        let differing = both.differing();
        same += usize::from(differing.is_empty());
        for tick in differing {
            match both.reason(tick) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => wrong.push(both.told(tick)),
            }
        }
    }

    eprintln!("seed {seed}: {count} objects, {runs} runs; {same} the same, {reasons:?}");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(same * 4 > count * 3, "too few are comparable");
}

/// The runs that the controller of Kubernetes starts.
fn theirs(cases: &[Case]) -> Vec<Vec<Run>> {
    let program = servers::CRONJOBS.build().unwrap().join("reference");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: Vec<String> = cases.iter().map(|case| line(case).to_string()).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let output = BufReader::new(child.stdout.take().unwrap());
    let all = output.lines().map(|line| {
        let line = line.unwrap();
        serde_json::from_str::<Option<Vec<Run>>>(&line).unwrap()
    });
    let all: Vec<Vec<Run>> = all.map(Option::unwrap_or_default).collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(all.len(), cases.len());
    all
}

fn line(case: &Case) -> Value {
    let edits = case.life.edits.iter();
    let edits =
        edits.map(|(after, spec)| json!({ "at": (case.start + *after).to_string(), "spec": spec }));
    json!({
        "start": case.start.to_string(),
        "end": case.end.to_string(),
        "spec": case.life.spec,
        "edits": edits.collect::<Vec<_>>(),
        "lasts": case.lasts,
        "second": SECOND,
    })
}
