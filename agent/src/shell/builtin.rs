//! The commands that are built into the program.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
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
    Exit,
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
            "exit" => Self::Exit,
            "false" => Self::False,
            "kill" => Self::Kill,
            "pidof" => Self::PidOf,
            "sleep" => Self::Sleep,
            "touch" => Self::Touch,
            "true" | ":" => Self::True,
            _ => return None,
        })
    }

    /// Runs the command. Without an input it reads the input of the process.
    pub(super) fn run(self, words: &[String], input: Option<&[u8]>) -> Done {
        match self {
            Self::Base64 => base64(words, input),
            Self::Cat => {
                let paths: Vec<&str> = words.iter().map(String::as_str).collect();
                contents("cat", &paths, input)
            }
            Self::Echo => echo(words),
            Self::Exit => ends_with(
                words
                    .first()
                    .map_or("0", String::as_str)
                    .parse()
                    .unwrap_or(2),
            ),
            Self::False => ends_with(1),
            Self::Kill => of("kill", tools::send_signals(words)),
            Self::PidOf => {
                let ids = tools::processes(words);
                if ids.is_empty() {
                    return ends_with(1);
                }
                let ids: Vec<String> = ids.iter().rev().map(ToString::to_string).collect();
                Done::well(format!("{}\n", ids.join(" ")))
            }
            Self::Sleep => of("sleep", tools::wait_for(words)),
            Self::Touch => touch(words),
            Self::True => Done::well(""),
        }
    }
}

fn ends_with(code: u8) -> Done {
    Done {
        code,
        output: Vec::new(),
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

/// The contents of these files; the input if there are none, and in the place of `-`. A failed read does not stop the
/// others.
fn contents(name: &str, paths: &[&str], input: Option<&[u8]>) -> Done {
    let paths: &[&str] = if paths.is_empty() { &["-"] } else { paths };
    let mut done = Done::well("");
    for path in paths {
        let read = match (*path, input) {
            ("-", Some(input)) => {
                done.output.extend_from_slice(input);
                Ok(input.len())
            }
            ("-", None) => io::stdin().read_to_end(&mut done.output),
            (path, _) => {
                let file = File::open(path);
                file.and_then(|mut file| file.read_to_end(&mut done.output))
            }
        };
        if let Err(error) = read {
            done.code = Done::failed(name, &format!("{path}: {error}")).code;
        }
    }
    done
}

fn base64(words: &[String], input: Option<&[u8]>) -> Done {
    let (mut decodes, mut paths) = (false, Vec::new());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-d" | "-D" | "--decode" => decodes = true,
            // The length of lines: here there is one line.
            "-w" => drop(rest.next()),
            flag if flag.starts_with('-') && flag != "-" => {}
            path => paths.push(path),
        }
    }
    let mut done = contents("base64", &paths, input);
    if done.code != 0 {
        done.output.clear();
        return done;
    }
    if !decodes {
        return Done::well(format!("{}\n", BASE64_STANDARD.encode(done.output)));
    }
    done.output.retain(|byte| !byte.is_ascii_whitespace());
    match BASE64_STANDARD.decode(done.output) {
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
