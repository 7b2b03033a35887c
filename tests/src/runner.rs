//! `tests/run`: everything that has to pass, part by part.

use std::time::{Duration, Instant};

use crate::setup::{self, Purpose};

mod cargo;
mod part;
mod report;

pub use part::Part;
pub use report::Report;

/// The outcome of one part.
#[derive(Debug)]
pub enum Outcome {
    /// It ran; checks that are not tests count as one.
    Ran(Tally),
    /// It cannot run on this machine.
    NotRun(String),
}

/// How many tests passed and failed, and how long each took.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// Name and time of those whose time is known.
    pub times: Vec<(String, Duration)>,
}

impl Tally {
    fn one(has_passed: bool) -> Self {
        Self {
            passed: has_passed.into(),
            failed: (!has_passed).into(),
            times: Vec::new(),
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.times.extend(other.times);
    }
}

/// Runs the parts in order, saying what it does.
pub fn run(parts: &[Part]) -> Report {
    let mut report = Report::default();
    for &part in parts {
        eprintln!("\n── {part} ──");
        let started = Instant::now();
        let outcome = match part.needs().map_or(Ok(()), setup::require) {
            Ok(()) => Outcome::Ran(run_part(part)),
            Err(error) => Outcome::NotRun(format!("{error:#}")),
        };
        report.add(part, outcome, started.elapsed());
    }
    report
}

fn run_part(part: Part) -> Tally {
    part.run().unwrap_or_else(|error| {
        eprintln!("{part}: {error:#}");
        Tally::one(false)
    })
}

/// Installs what can be installed; what then is still missing shows part by part.
pub fn set_up() {
    if let Err(error) = setup::install(Purpose::Pods) {
        eprintln!("{error:#}");
    }
}
