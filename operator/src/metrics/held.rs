//! Runs, tokens and leases that `planescape credentials` holds, all together.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Label, add};

/// The counts of all runs that are tended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    runs: Family<Label, Gauge>,
    tokens: Gauge,
    leases: Gauge,
}

/// The part of one run, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldOfRun {
    all: Held,
    count: Count,
}

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Its stage; none once nothing is left to do for it.
    pub(crate) standing: Option<&'static str>,
    pub(crate) has_token: bool,
    pub(crate) leases: usize,
}

impl Held {
    pub(super) fn register(to: &mut Registry) -> Self {
        let held = Self::default();
        // Show from the beginning.
        for standing in ["Waiting", "Running", "Stopping", "Ending"] {
            drop(held.runs.get_or_create(&[("standing", standing)]));
        }
        let runs = "Runs with Secrets of their own, by where they stand";
        add(to, "credentials_runs", runs, &held.runs);
        let tokens = "Vault tokens of such runs of which Vault has not said that they are gone";
        add(to, "credentials_tokens", tokens, &held.tokens);
        let leases = "Leases of such runs of which Vault has not said that they are gone";
        add(to, "credentials_leases", leases, &held.leases);
        held
    }

    /// One more run, of which nothing is known yet.
    pub(crate) fn run(&self) -> HeldOfRun {
        HeldOfRun {
            all: self.clone(),
            count: Count::default(),
        }
    }

    fn add(&self, count: Count, sign: i64) {
        if let Some(standing) = count.standing {
            let labels = [("standing", standing)];
            self.runs.get_or_create(&labels).inc_by(sign);
        }
        self.tokens.inc_by(sign * i64::from(count.has_token));
        let leases = i64::try_from(count.leases).unwrap_or(i64::MAX);
        self.leases.inc_by(sign * leases);
    }
}

impl HeldOfRun {
    /// Puts the present counts in the place of the former.
    pub(crate) fn set(&mut self, count: Count) {
        if count != self.count {
            self.all.add(count, 1);
            self.all.add(self.count, -1);
            self.count = count;
        }
    }
}

impl Drop for HeldOfRun {
    fn drop(&mut self) {
        self.all.add(self.count, -1);
    }
}
