//! Programs that the agent starts.

use std::time::Duration;

/// The program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program and its arguments; never empty.
    Direct(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

impl Program {
    /// One word with blanks in it is a line for the shell. `None` if there is no word.
    pub(crate) fn of(words: Vec<String>) -> Option<Self> {
        match words.as_slice() {
            [] => None,
            [line] if line.trim().is_empty() => None,
            [line] if line.contains(char::is_whitespace) => Some(Self::Shell(line.clone())),
            _ => Some(Self::Direct(words)),
        }
    }

    /// The words to start it with.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        match self {
            Self::Direct(words) => words.iter().map(String::as_str).collect(),
            Self::Shell(line) => vec!["sh", "-c", line],
        }
    }
}

/// The action after a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A program is run.
    Run {
        /// The program to start.
        program: Program,
        /// How long it may take.
        timeout: Duration,
    },
    /// A program that runs already gets a signal.
    Signal {
        /// The signal that it gets.
        signal: Signal,
        /// Its name, as `pidof` knows it.
        process: String,
    },
}

impl Hook {
    /// As in `vault agent`.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Whether one of the two hooks is enough for the files of both.
    #[must_use]
    pub fn does_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Run { program, .. }, Self::Run { program: other, .. }) => program == other,
            (Self::Signal { .. }, Self::Signal { .. }) => self == other,
            (Self::Run { .. }, Self::Signal { .. }) | (Self::Signal { .. }, Self::Run { .. }) => {
                false
            }
        }
    }

    /// The key of the template that asks for it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Run { .. } => "command",
            Self::Signal { .. } => "signal",
        }
    }
}

/// `exec`: the program that gets the rendered texts as environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program to start.
    pub program: Program,
    /// Whether it is started anew when a value changes.
    pub restarts: bool,
    /// The signal that tells it to end.
    pub stop_signal: Signal,
    /// The file that its standard output is appended to, if it is not ours.
    pub stdout: Option<String>,
    /// The same for standard error.
    pub stderr: Option<String>,
}

/// A signal, by its number on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// The polite one.
    pub const TERMINATE: Self = Self(15);

    const NAMES: [(&str, i32); 31] = [
        ("SIGHUP", 1),
        ("SIGINT", 2),
        ("SIGQUIT", 3),
        ("SIGILL", 4),
        ("SIGTRAP", 5),
        ("SIGABRT", 6),
        ("SIGIOT", 6),
        ("SIGBUS", 7),
        ("SIGFPE", 8),
        ("SIGKILL", 9),
        ("SIGUSR1", 10),
        ("SIGSEGV", 11),
        ("SIGUSR2", 12),
        ("SIGPIPE", 13),
        ("SIGALRM", 14),
        ("SIGTERM", 15),
        ("SIGSTKFLT", 16),
        ("SIGCHLD", 17),
        ("SIGCONT", 18),
        ("SIGSTOP", 19),
        ("SIGTSTP", 20),
        ("SIGTTIN", 21),
        ("SIGTTOU", 22),
        ("SIGURG", 23),
        ("SIGXCPU", 24),
        ("SIGXFSZ", 25),
        ("SIGVTALRM", 26),
        ("SIGPROF", 27),
        ("SIGWINCH", 28),
        ("SIGIO", 29),
        ("SIGSYS", 31),
    ];

    /// The signal of this name, which starts with `SIG`, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        let found = names.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Self(found.1))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.iter();
        names
            .find(|(_, number)| *number == self.0)
            .map_or("", |(name, _)| name)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_with_blanks_is_a_line_for_the_shell() {
        let of = |words: &[&str]| Program::of(words.iter().map(|it| (*it).to_owned()).collect());
        let words = |words: &[&str]| of(words).map(|it| it.words().join("|"));

        for nothing in [&[][..], &[""], &[" \t"]] {
            assert_eq!(of(nothing), None, "{nothing:?}");
        }
        assert_eq!(words(&["a"]).as_deref(), Some("a"));
        assert_eq!(words(&["a b", "c"]).as_deref(), Some("a b|c"));
        assert_eq!(words(&["a b"]).as_deref(), Some("sh|-c|a b"));
    }

    #[test]
    fn a_program_is_the_same_however_long_it_may_take_and_a_signal_for_the_same_process() {
        let run = |name: &str, seconds| Hook::Run {
            program: Program::Direct(vec![name.to_owned()]),
            timeout: Duration::from_secs(seconds),
        };
        let tell = |name: &str| Hook::Signal {
            signal: Signal::TERMINATE,
            process: name.to_owned(),
        };

        assert!(run("a", 1).does_the_same(&run("a", 2)));
        assert!(!run("a", 1).does_the_same(&run("b", 1)));
        assert!(tell("a").does_the_same(&tell("a")));
        assert!(!tell("a").does_the_same(&tell("b")));
        assert!(!tell("a").does_the_same(&run("a", 1)));
        assert_eq!((run("a", 1).key(), tell("a").key()), ("command", "signal"));
    }
}
