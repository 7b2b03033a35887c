//! The report at the end.

use std::fmt;
use std::time::Duration;

use super::{Outcome, Part};

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

/// The outcomes of all parts.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<(Part, Outcome, Duration)>,
}

impl Report {
    pub(super) fn add(&mut self, part: Part, outcome: Outcome, took: Duration) {
        let line = (part, outcome, took);
        eprintln!("{}", Line(&line));
        self.lines.push(line);
    }

    /// Whether every part ran and nothing failed.
    pub fn has_passed(&self) -> bool {
        self.lines.iter().all(|(_, outcome, _)| match outcome {
            Outcome::Ran(tally) => tally.failed == 0,
            Outcome::NotRun(_) => false,
        })
    }

    fn slowest(&self) -> Vec<&(String, Duration)> {
        let mut times: Vec<_> = self
            .lines
            .iter()
            .filter_map(|(_, outcome, _)| match outcome {
                Outcome::Ran(tally) => Some(&tally.times),
                Outcome::NotRun(_) => None,
            })
            .flatten()
            .collect();
        times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        times.truncate(SLOWEST);
        times
    }

    fn count(&self) -> (usize, usize) {
        let mut count = (0, 0);
        for (_, outcome, _) in &self.lines {
            if let Outcome::Ran(tally) = outcome {
                count.0 += tally.passed;
                count.1 += tally.failed;
            }
        }
        count
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(formatter, "{}", Line(line))?;
        }
        let slowest = self.slowest();
        if !slowest.is_empty() {
            writeln!(formatter, "slowest:")?;
        }
        for (name, time) in slowest {
            writeln!(formatter, "{:7.1} s  {name}", time.as_secs_f32())?;
        }
        let (passed, failed) = self.count();
        write!(formatter, "{passed} passed, {failed} failed")
    }
}

/// One part on one line, with its reason below if it could not run.
struct Line<'a>(&'a (Part, Outcome, Duration));

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, outcome, took) = self.0;
        write!(formatter, "{part:14}")?;
        match outcome {
            Outcome::Ran(tally) => {
                let seconds = took.as_secs_f32();
                let (passed, failed) = (tally.passed, tally.failed);
                write!(
                    formatter,
                    "{passed:4} passed {failed:4} failed {seconds:7.1} s"
                )
            }
            Outcome::NotRun(reason) => write!(formatter, "not run: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Tally;

    #[test]
    fn a_part_that_cannot_run_is_named_and_fails_the_whole() {
        let mut report = Report::default();
        report.add(Part::Unit, Outcome::Ran(Tally::one(true)), Duration::ZERO);
        assert!(report.has_passed());
        let reason = "this machine lacks runc".to_owned();
        report.add(Part::Cluster, Outcome::NotRun(reason), Duration::ZERO);
        assert!(!report.has_passed());
        let text = report.to_string();
        assert!(text.contains("cluster       not run: this machine lacks runc"));
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed"));
    }

    #[test]
    fn the_slowest_tests_come_first() {
        let mut report = Report::default();
        let mut tally = Tally::one(false);
        for (name, seconds) in [("a", 1), ("b", 3), ("c", 2)] {
            tally
                .times
                .push((name.to_owned(), Duration::from_secs(seconds)));
        }
        report.add(Part::Unit, Outcome::Ran(tally), Duration::ZERO);
        let names: Vec<_> = report
            .slowest()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["b", "c", "a"]);
        assert!(!report.has_passed());
    }
}
