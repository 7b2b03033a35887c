//! The commands that the program is itself.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Done;
use crate::tools;

/// A command that needs no other program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Base64,
    Cat,
    Echo,
    False,
    Kill,
    PidOf,
    Sleep,
    Touch,
    True,
}

impl Builtin {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "base64" => Self::Base64,
            "cat" => Self::Cat,
            "echo" => Self::Echo,
            "false" => Self::False,
            "kill" => Self::Kill,
            "pidof" => Self::PidOf,
            "sleep" => Self::Sleep,
            "touch" => Self::Touch,
            "true" | ":" => Self::True,
            _ => return None,
        })
    }

    pub(super) fn run(self, words: &[String], input: &[u8]) -> Done {
        match self {
            Self::Base64 => base64(words, input),
            Self::Cat => cat(words, input),
            Self::Echo => echo(words),
            Self::False => Done {
                code: 1,
                output: Vec::new(),
            },
            Self::Kill => of("kill", tools::send_signals(words)),
            Self::PidOf => {
                let ids = tools::processes(words);
                let ids: Vec<String> = ids.iter().rev().map(ToString::to_string).collect();
                Done {
                    code: u8::from(ids.is_empty()),
                    output: format!("{}\n", ids.join(" ")).into_bytes(),
                }
            }
            Self::Sleep => of("sleep", tools::wait_for(words)),
            Self::Touch => touch(words),
            Self::True => Done::well(""),
        }
    }
}

fn of(name: &str, result: Result<(), String>) -> Done {
    match result {
        Ok(()) => Done::well(""),
        Err(message) => Done::failed(name, &message),
    }
}

fn echo(words: &[String]) -> Done {
    let (words, end) = match words {
        [flag, rest @ ..] if flag == "-n" => (rest, ""),
        words => (words, "\n"),
    };
    Done::well(format!("{}{end}", words.join(" ")))
}

fn cat(words: &[String], input: &[u8]) -> Done {
    if words.is_empty() {
        return Done::well(input);
    }
    let mut output = Vec::new();
    for path in words {
        let read = File::open(path).and_then(|mut file| file.read_to_end(&mut output));
        if let Err(error) = read {
            return Done::failed("cat", &format!("{path}: {error}"));
        }
    }
    Done::well(output)
}

fn base64(words: &[String], input: &[u8]) -> Done {
    let decodes = words
        .iter()
        .any(|word| matches!(word.as_str(), "-d" | "-D" | "--decode"));
    if !decodes {
        return Done::well(format!("{}\n", BASE64_STANDARD.encode(input)));
    }
    let text: Vec<u8> = input
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    match BASE64_STANDARD.decode(text) {
        Ok(bytes) => Done::well(bytes),
        Err(error) => Done::failed("base64", &format!("invalid input: {error}")),
    }
}

fn touch(words: &[String]) -> Done {
    for path in words.iter().filter(|word| !word.starts_with('-')) {
        if Path::new(path).exists() {
            continue;
        }
        let made = OpenOptions::new().append(true).create(true).open(path);
        if let Err(error) = made {
            return Done::failed("touch", &format!("{path}: {error}"));
        }
    }
    Done::well("")
}
