//! Keeps one program running with the rendered texts as its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planescape_agent_contract::{Exec, Signal};
use planescape_vault::Text;

use crate::clock::Moment;
use crate::command::{Command, Notice};

/// How long the values have to stay the same before the program is started with them.
const DEBOUNCE: Duration = Duration::from_secs(2);
/// How long a program may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the end of a killed program is waited for.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// The program and its environment.
#[derive(Debug)]
pub(crate) struct Supervisor {
    restarts: bool,
    stop_signal: Signal,
    /// How many variables there are to be.
    expected: usize,
    values: BTreeMap<String, Text>,
    /// When the program is started with the newest values.
    due_at: Option<Moment>,
    child: Child,
    is_ending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    None,
    Running,
    /// It was told to end.
    Stopping {
        kill_at: Moment,
    },
    /// It was killed; one that hangs in the kernel is not waited for.
    Killed {
        give_up_at: Moment,
    },
}

/// The cause of the program's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// We asked for it.
    Expected,
    /// It ended by itself.
    ByItself,
}

impl Supervisor {
    pub(crate) fn new(exec: &Exec, expected: usize) -> Self {
        Self {
            restarts: exec.restarts,
            stop_signal: exec.stop_signal,
            expected,
            values: BTreeMap::new(),
            due_at: None,
            child: Child::None,
            is_ending: false,
        }
    }

    /// A variable has a value.
    pub(crate) fn set(&mut self, name: &str, value: Text, now: Moment) {
        if self.values.get(name) == Some(&value) {
            return;
        }
        self.values.insert(name.to_owned(), value);
        if self.values.len() == self.expected {
            self.due_at = Some(now + DEBOUNCE);
        }
    }

    /// These are all variables from now on. A variable that is gone is a change; a new one has yet to get its value.
    pub(crate) fn expect(&mut self, names: &BTreeSet<&str>, now: Moment) {
        let before = self.values.len();
        let was_whole = before == self.expected;
        self.values.retain(|name, _| names.contains(name.as_str()));
        self.expected = names.len();
        if self.values.len() < self.expected {
            self.due_at = None;
        } else if !was_whole || self.values.len() < before {
            self.due_at = Some(now + DEBOUNCE);
        }
    }

    pub(crate) fn advance(&mut self, now: Moment) -> Vec<Command> {
        if let Child::Stopping { kill_at } = self.child
            && kill_at <= now
        {
            self.child = Child::Killed {
                give_up_at: now + LAST_PATIENCE,
            };
            return vec![Command::SignalChild { signal: None }];
        }
        if let Child::Killed { give_up_at } = self.child
            && give_up_at <= now
        {
            self.child = Child::None;
        }
        if self.is_ending || self.due_at.is_none_or(|due| due > now) {
            return Vec::new();
        }
        match self.child {
            Child::None => {
                self.due_at = None;
                self.child = Child::Running;
                let variables = self.values.clone().into_iter().collect();
                vec![Command::StartChild { variables }]
            }
            Child::Running if self.restarts => vec![self.stop(now)],
            Child::Running => {
                self.due_at = None;
                vec![Command::Log(Notice::ChildKept)]
            }
            Child::Stopping { .. } | Child::Killed { .. } => Vec::new(),
        }
    }

    fn stop(&mut self, now: Moment) -> Command {
        self.child = Child::Stopping {
            kill_at: now + PATIENCE,
        };
        Command::SignalChild {
            signal: Some(self.stop_signal),
        }
    }

    /// The agent ends: so does the program.
    pub(crate) fn end(&mut self, now: Moment) -> Option<Command> {
        self.is_ending = true;
        (self.child == Child::Running).then(|| self.stop(now))
    }

    /// The program has ended, or could not be started.
    pub(crate) fn ended(&mut self) -> Ended {
        let before = std::mem::replace(&mut self.child, Child::None);
        match before {
            Child::Running => Ended::ByItself,
            Child::None | Child::Stopping { .. } | Child::Killed { .. } => Ended::Expected,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child != Child::None
    }

    pub(crate) fn timeout(&self) -> Option<Moment> {
        match self.child {
            Child::Stopping { kill_at } => Some(kill_at),
            Child::Killed { give_up_at } => Some(give_up_at),
            Child::None | Child::Running => self.due_at.filter(|_| !self.is_ending),
        }
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::Program;

    use super::*;

    #[test]
    fn the_program_starts_once_all_values_are_there_and_have_settled() {
        let mut supervisor = supervisor(true);
        supervisor.set("A", Text::from("1"), at(0));
        assert_eq!(supervisor.timeout(), None);
        supervisor.set("B", Text::from("1"), at(1));
        supervisor.set("A", Text::from("2"), at(2));

        assert_eq!(said(&supervisor.advance(at(3))), [""; 0]);
        assert_eq!(supervisor.timeout(), Some(at(4)));
        assert_eq!(said(&supervisor.advance(at(4))), ["start A=2 B=1"]);
        assert_eq!(supervisor.timeout(), None);
    }

    #[test]
    fn a_changed_value_restarts_the_program_and_an_equal_one_does_not() {
        let mut supervisor = running(true);
        supervisor.set("A", Text::from("1"), at(10));
        assert_eq!(supervisor.timeout(), None);
        supervisor.set("A", Text::from("2"), at(10));

        assert_eq!(said(&supervisor.advance(at(12))), ["signal 15"]);
        assert_eq!(said(&supervisor.advance(at(13))), [""; 0]);
        assert_eq!(supervisor.ended(), Ended::Expected);
        assert_eq!(said(&supervisor.advance(at(13))), ["start A=2 B=1"]);
    }

    #[test]
    fn a_variable_that_is_gone_is_a_change_and_a_new_one_is_waited_for() {
        let mut supervisor = running(true);

        supervisor.expect(&BTreeSet::from(["A"]), at(10));
        assert_eq!(said(&supervisor.advance(at(12))), ["signal 15"]);
        supervisor.ended();
        assert_eq!(said(&supervisor.advance(at(12))), ["start A=1"]);

        supervisor.set("A", Text::from("2"), at(20));
        supervisor.expect(&BTreeSet::from(["A", "C"]), at(20));
        assert_eq!(supervisor.timeout(), None);
        supervisor.expect(&BTreeSet::from(["A"]), at(21));
        assert_eq!(supervisor.timeout(), Some(at(23)));
        supervisor.expect(&BTreeSet::from(["A"]), at(22));
        assert_eq!(supervisor.timeout(), Some(at(23)));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let mut supervisor = running(true);
        supervisor.set("A", Text::from("2"), at(10));
        supervisor.advance(at(12));

        assert_eq!(supervisor.timeout(), Some(at(42)));
        assert_eq!(said(&supervisor.advance(at(42))), ["kill"]);
        assert_eq!(supervisor.timeout(), Some(at(47)));
        assert_eq!(said(&supervisor.advance(at(47))), ["start A=2 B=1"]);
    }

    #[test]
    fn a_program_that_is_never_restarted_keeps_its_values() {
        let mut supervisor = running(false);
        supervisor.set("A", Text::from("2"), at(10));

        assert_eq!(said(&supervisor.advance(at(12))), ["kept"]);
        assert_eq!(said(&supervisor.advance(at(12))), [""; 0]);
        assert_eq!(supervisor.ended(), Ended::ByItself);
    }

    #[test]
    fn the_end_of_the_agent_is_the_end_of_the_program() {
        let mut supervisor = running(true);
        supervisor.set("A", Text::from("2"), at(10));

        assert_eq!(said(&Vec::from_iter(supervisor.end(at(11)))), ["signal 15"]);
        assert!(supervisor.end(at(11)).is_none());
        assert_eq!(said(&supervisor.advance(at(12))), [""; 0]);
        assert!(supervisor.is_running());
        supervisor.ended();
        assert!(!supervisor.is_running());
        assert_eq!(said(&supervisor.advance(at(13))), [""; 0]);
    }

    fn supervisor(restarts: bool) -> Supervisor {
        let exec = Exec {
            program: Program::Direct(vec!["app".to_owned()]),
            restarts,
            stop_signal: Signal::TERMINATE,
            stdout: None,
            stderr: None,
        };
        Supervisor::new(&exec, 2)
    }

    fn running(restarts: bool) -> Supervisor {
        let mut supervisor = supervisor(restarts);
        supervisor.set("A", Text::from("1"), at(0));
        supervisor.set("B", Text::from("1"), at(0));
        supervisor.advance(at(2));
        supervisor
    }

    fn said(commands: &[Command]) -> Vec<String> {
        commands.iter().map(word).collect()
    }

    fn word(command: &Command) -> String {
        if let Command::StartChild { variables } = command {
            let variables = variables.iter();
            let variables = variables
                .map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)));
            return format!("start{}", variables.collect::<String>());
        }
        if let Command::SignalChild { signal } = command {
            return match signal {
                Some(signal) => format!("signal {}", signal.number()),
                None => "kill".to_owned(),
            };
        }
        assert!(matches!(command, Command::Log(Notice::ChildKept)));
        "kept".to_owned()
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }
}
