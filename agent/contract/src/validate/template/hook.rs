//! The action after a file has changed: `command`, or the `exec` block, which wins; or a `signal`.

use std::time::Duration;

use crate::reader::Reader;
use crate::{Hook, Program};

pub(super) fn read(block: &Reader<'_>) -> Option<Hook> {
    let command = command(block);
    let signal = signal(block);
    if command.is_some() && signal.is_some() {
        block.problem(
            "signal",
            "cannot stand beside a command: remove one of them",
        );
    }
    command.or(signal)
}

fn command(block: &Reader<'_>) -> Option<Hook> {
    let words = block.words("command");
    let usual = block.duration("command_timeout");
    let timeout = |own: Option<Duration>| {
        let said = own.or(usual).filter(|timeout| !timeout.is_zero());
        said.unwrap_or(Hook::DEFAULT_TIMEOUT)
    };
    let Some(exec) = block.last_block("exec") else {
        let program = Program::of(words)?;
        let timeout = timeout(None);
        return Some(Hook::Run { program, timeout });
    };
    let is_enabled = exec.boolean("enabled").unwrap_or(true);
    let own_words = exec.words("command");
    let hook = Hook::Run {
        program: Program::of(if own_words.is_empty() {
            words
        } else {
            own_words
        })?,
        timeout: timeout(exec.duration("timeout")),
    };
    // A program that takes too long is killed at once. No other program is ever told to end.
    exec.ignore(&["kill_timeout", "splay"]);
    exec.deny_unknown();
    is_enabled.then_some(hook)
}

fn signal(block: &Reader<'_>) -> Option<Hook> {
    let signal = block.signal("signal");
    let process = block.string("process");
    if process.is_some() && !block.is_set("signal") {
        block.problem(
            "signal",
            "is missing: say what the process gets, for example signal = \"SIGHUP\"",
        );
    }
    if process.is_none() && signal.is_some() {
        block.problem(
            "process",
            "is missing: name the program that gets the signal, for example process = \"nginx\"",
        );
    }
    Some(Hook::Signal {
        signal: signal?,
        process: process?,
    })
}
