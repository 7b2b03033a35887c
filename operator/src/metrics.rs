//! The metrics at `/metrics`. No series is about a single PlanescapeJob: their number does not grow with what is
//! in the cluster.

mod calls;
mod held;

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::PlanescapeJobStatus;
use planescape_operator_core::job::plan::{Plan, Skipped};
use planescape_operator_core::job::status::{Applied, Ended, ended_between};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub(crate) use calls::{Calls, Question};
pub(crate) use held::{Count, Held, HeldOfRun};

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

type Decimal = Gauge<f64, AtomicU64>;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    skew: Histogram,
    started: Counter,
    ended: Family<[(&'static str, String); 2], Counter>,
    skipped: Family<Label, Counter>,
    missed: Counter,
    last_success: Gauge,
    next_tick: Gauge,
    active: Gauge,
    planescape_jobs: Family<Label, Gauge>,
    queue: Gauge,
    waiting: Family<Label, Gauge>,
    leader: Gauge,
    clock_skew: Decimal,
    reconciliations: Histogram,
    credentials: Family<[(&'static str, String); 2], Counter>,
    vaults_away: Family<[(&'static str, String); 1], Gauge>,
    waiting_for_vault: Family<[(&'static str, String); 1], Gauge>,
    pub(crate) calls: Calls,
    pub(crate) held: Held,
    live: OnceLock<Live>,
}

/// Answers with the state at the moment.
struct Live(Box<dyn Fn() -> Snapshot + Send + Sync>);

/// The state at the moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) readable: usize,
    pub(crate) unreadable: usize,
    pub(crate) active: usize,
    pub(crate) queue: usize,
    /// Calls that wait for their turn, by class.
    pub(crate) waiting: [(&'static str, usize); 4],
    pub(crate) is_leading: bool,
    pub(crate) next_tick: Option<Timestamp>,
    pub(crate) clock_skew: SignedDuration,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("planescape");
        let seconds = [
            0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
        ];
        let metrics = Self {
            skew: Histogram::new(seconds),
            reconciliations: Histogram::new(seconds),
            started: Counter::default(),
            ended: Family::default(),
            skipped: Family::default(),
            missed: Counter::default(),
            last_success: Gauge::default(),
            next_tick: Gauge::default(),
            active: Gauge::default(),
            planescape_jobs: Family::default(),
            queue: Gauge::default(),
            waiting: Family::default(),
            leader: Gauge::default(),
            clock_skew: Decimal::default(),
            credentials: Family::default(),
            vaults_away: Family::default(),
            waiting_for_vault: Family::default(),
            calls: Calls::register(&mut registry),
            held: Held::register(&mut registry),
            registry: Registry::default(),
            live: OnceLock::new(),
        };
        metrics.registered(registry)
    }
}

impl Metrics {
    fn registered(mut self, mut registry: Registry) -> Self {
        self.register_runs(&mut registry);
        self.register_operator(&mut registry);
        let steps = "What `planescape credentials` did for runs, by step and outcome";
        add(&mut registry, "credentials_steps", steps, &self.credentials);
        let away = "1 while a Vault serves nobody, by address";
        add(&mut registry, "vault_away", away, &self.vaults_away);
        let waiting = "Runs that wait until Vault is back, by its address";
        let runs = &self.waiting_for_vault;
        add(&mut registry, "vault_away_runs_waiting", waiting, runs);
        self.registry = registry;
        self
    }

    fn register_runs(&self, to: &mut Registry) {
        let skew = "From the instant of the schedule to the Job's creation";
        add(to, "run_creation_skew_seconds", skew, &self.skew);
        add(to, "runs_started", "Jobs that were created", &self.started);
        let ended = "Runs whose end was recorded, by outcome and reason";
        add(to, "runs_ended", ended, &self.ended);
        let skipped = "Instants of a schedule that were recorded without a run, by reason";
        add(to, "ticks_skipped", skipped, &self.skipped);
        let missed = "Instants that passed unused because a later one was due already";
        add(to, "ticks_missed", missed, &self.missed);
        let success = "When a run last ended well, of all PlanescapeJobs";
        add(
            to,
            "last_success_timestamp_seconds",
            success,
            &self.last_success,
        );
        let next = "When a PlanescapeJob is looked at next, of all; 0 when none is";
        add(to, "next_tick_timestamp_seconds", next, &self.next_tick);
        let active = "Jobs that have not ended";
        add(to, "runs_active", active, &self.active);
        let known = "PlanescapeJobs that are known, readable or not";
        add(to, "planescapejobs", known, &self.planescape_jobs);
    }

    fn register_operator(&self, to: &mut Registry) {
        let queue = "PlanescapeJobs that wait to be reconciled";
        add(to, "queue_depth", queue, &self.queue);
        let waiting = "Calls to the API server that wait for their turn, by class";
        add(to, "api_calls_waiting", waiting, &self.waiting);
        let leader = "1 while this operator leads";
        add(to, "leader", leader, &self.leader);
        let clock = "How far this machine's clock is ahead of the API server's, to about a second";
        add(to, "clock_skew_seconds", clock, &self.clock_skew);
        let took = "How long a reconciliation took, its calls and their waits included";
        add(
            to,
            "reconcile_duration_seconds",
            took,
            &self.reconciliations,
        );
    }

    /// Takes the function that answers with the state at the moment; each look at the metrics calls it.
    pub(crate) fn ask(&self, live: impl Fn() -> Snapshot + Send + Sync + 'static) {
        // There is one controller in a process.
        let _ = self.live.set(Live(Box::new(live)));
    }

    pub(crate) fn reconciled(&self, took: Duration) {
        self.reconciliations.observe(took.as_secs_f64());
    }

    /// Something was done for the Secrets of a run: how it went, in one word.
    pub(crate) fn stepped(&self, step: &'static str, outcome: &str) {
        let labels = [("step", step.to_owned()), ("outcome", outcome.to_owned())];
        self.credentials.get_or_create(&labels).inc();
    }

    /// Sets whether the Vault at this address serves nobody. Addresses are those that the administrator lists.
    pub(crate) fn vault_is_away(&self, address: &str, is_away: bool) {
        let labels = [("address", address.to_owned())];
        self.vaults_away.get_or_create(&labels).set(is_away.into());
        // Shows from the beginning.
        drop(self.waiting_for_vault.get_or_create(&labels));
    }

    /// A run waits for the Vault at this address for as long as the returned value lives.
    pub(crate) fn waits_for_vault(&self, address: &str) -> Waits {
        let labels = [("address", address.to_owned())];
        let gauge = self.waiting_for_vault.get_or_create_owned(&labels);
        gauge.inc();
        Waits(gauge)
    }

    /// Counts a Job that was made, and its lateness if it was to be on time.
    pub(crate) fn created(&self, late: Option<SignedDuration>) {
        self.started.inc();
        if let Some(late) = late {
            self.skew.observe(late.as_secs_f64().max(0.0));
        }
    }

    /// Takes in a status that was written just now.
    pub(crate) fn reported(
        &self,
        before: Option<&PlanescapeJobStatus>,
        after: &PlanescapeJobStatus,
        (plan, applied): (&Plan, &Applied),
    ) {
        for Ended {
            outcome,
            reason,
            at,
        } in ended_between(before, after)
        {
            let labels = [
                ("outcome", outcome.to_owned()),
                ("reason", reason.to_owned()),
            ];
            self.ended.get_or_create(&labels).inc();
            if outcome == "Succeeded" {
                self.last_success.set(
                    at.map_or(0, Timestamp::as_second)
                        .max(self.last_success.get()),
                );
            }
        }
        let skipped = plan.skip.map(|skip| match skip.why {
            Skipped::Forbid => "Forbid",
            Skipped::TooLate => "TooLate",
            Skipped::TooMany => "TooMany",
            Skipped::Excluded => "Excluded",
            Skipped::Missed => "Missed",
        });
        for reason in skipped
            .into_iter()
            .chain(applied.conflict.iter().map(|_| "Conflict"))
            .chain(plan.dropped.iter().map(|_| "Edited"))
        {
            self.skipped.get_or_create(&[("reason", reason)]).inc();
        }
        // Counts instants that passed unseen; the one that is settled now is counted above.
        let passed = |why: Skipped, count: fn(&PlanescapeJobStatus) -> i64| {
            let told = count(after).saturating_sub(before.map_or(0, count));
            let settled = i64::from(plan.skip.is_some_and(|skip| skip.why == why));
            u64::try_from(told.saturating_sub(settled)).unwrap_or_default()
        };
        let missed = passed(Skipped::Missed, |status| status.skipped.missed);
        self.missed.inc_by(missed);
        let excluded = passed(Skipped::Excluded, |status| status.skipped.excluded);
        if excluded > 0 {
            let labels = [("reason", "Excluded")];
            self.skipped.get_or_create(&labels).inc_by(excluded);
        }
    }

    /// In the format that Prometheus reads.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        if let Some(Live(ask)) = self.live.get() {
            self.set(&ask());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn set(&self, now: &Snapshot) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (state, number) in [("true", now.readable), ("false", now.unreadable)] {
            let labels = [("readable", state)];
            self.planescape_jobs
                .get_or_create(&labels)
                .set(count(number));
        }
        for (class, number) in now.waiting {
            self.waiting
                .get_or_create(&[("class", class)])
                .set(count(number));
        }
        self.active.set(count(now.active));
        self.queue.set(count(now.queue));
        self.leader.set(now.is_leading.into());
        self.next_tick
            .set(now.next_tick.map_or(0, Timestamp::as_second));
        self.clock_skew.set(now.clock_skew.as_secs_f64());
    }
}

/// A run that waits for Vault.
#[derive(Debug)]
pub(crate) struct Waits(Gauge);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

impl std::fmt::Debug for Live {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Live")
    }
}

#[cfg(test)]
mod tests;
