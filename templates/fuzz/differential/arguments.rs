//! The cases to render: so many random ones, as many as fit into a time, or the texts of a file.

use std::time::{Duration, Instant};

use super::{Case, grammar};

const USAGE: &str =
    "usage: differential REFERENCE [CASES [SEED] | --seconds N [SEED] | --texts FILE]";

pub(crate) struct Arguments {
    pub(crate) program: String,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    Seeds { next: u64, end: u64 },
    Time { next: u64, end: Instant },
    Texts(std::vec::IntoIter<String>),
}

impl Arguments {
    pub(crate) fn read() -> std::io::Result<Self> {
        let mut arguments = std::env::args().skip(1);
        let usage = || std::io::Error::other(USAGE);
        let number = |text: Option<String>, default: Option<u64>| match text {
            Some(text) => text.parse().map_err(|_| usage()),
            None => default.ok_or_else(usage),
        };
        let program = arguments.next().ok_or_else(usage)?;
        let source = match arguments.next().as_deref() {
            Some("--seconds") => {
                let seconds = number(arguments.next(), None)?;
                let next = number(arguments.next(), Some(1))?;
                let end = now() + Duration::from_secs(seconds);
                Source::Time { next, end }
            }
            Some("--texts") => Source::Texts(texts(&arguments.next().ok_or_else(usage)?)?),
            cases => {
                let cases = number(cases.map(str::to_owned), Some(20_000))?;
                let next = number(arguments.next(), Some(1))?;
                let end = next + cases;
                Source::Seeds { next, end }
            }
        };
        match arguments.next() {
            Some(_) => Err(usage()),
            None => Ok(Self { program, source }),
        }
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "it is told how long to run")]
    Instant::now()
}

fn texts(path: &str) -> std::io::Result<std::vec::IntoIter<String>> {
    #[expect(clippy::disallowed_methods, reason = "it is told to read it")]
    let lines = std::fs::read_to_string(path)?;
    let texts: Result<Vec<String>, _> = lines.lines().map(serde_json::from_str).collect();
    Ok(texts?.into_iter())
}

impl Source {
    /// How many cases are sent ahead, so that both sides work at once. Texts from a file may be larger than a pipe.
    pub(crate) fn window(&self) -> usize {
        match self {
            Self::Seeds { .. } | Self::Time { .. } => 64,
            Self::Texts(_) => 1,
        }
    }
}

impl Iterator for Source {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        let next = match self {
            Self::Seeds { next, end } => (*next < *end).then_some(next)?,
            Self::Time { next, end } => (now() < *end).then_some(next)?,
            Self::Texts(texts) => {
                let text = texts.next()?.into_bytes();
                return Some(Case {
                    family: "text",
                    text,
                    ..Case::default()
                });
            }
        };
        let case = grammar::case(*next);
        *next += 1;
        Some(case)
    }
}
