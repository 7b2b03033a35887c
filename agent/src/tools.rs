//! What people write into a template's `command` and into a pod's hooks, for an image that holds
//! nothing but the agent.

use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal as Number, kill as send};
use nix::unistd::Pid;
use planescape_agent_contract::{Signal, parse_duration};

/// `kill [-SIGNAL] PID…`.
#[must_use]
pub fn kill(words: &[String]) -> ExitCode {
    code("kill", send_signals(words))
}

/// Sends a signal to each process, whatever became of the others.
pub(crate) fn send_signals(words: &[String]) -> Result<(), String> {
    let (signal, ids) = parse(words)?;
    let mut failed = Vec::new();
    for id in ids {
        if let Err(error) = send(Pid::from_raw(id), signal) {
            failed.push(format!("{id}: {error}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join(", "))
    }
}

/// `0` asks whether the process is there.
fn parse(words: &[String]) -> Result<(Option<Number>, Vec<i32>), String> {
    let mut rest = words;
    let mut signal = Some(Number::SIGTERM);
    match rest {
        [flag, name, after @ ..] if flag == "-s" => {
            signal = named(name)?;
            rest = after;
        }
        [flag, after @ ..] if flag.starts_with('-') && flag != "--" => {
            signal = named(&flag[1..])?;
            rest = after;
        }
        _ => {}
    }
    let ids = rest.iter().filter(|word| *word != "--");
    let ids = ids.flat_map(|word| word.split_whitespace());
    let ids: Result<Vec<i32>, String> = ids
        .map(|word| {
            word.parse()
                .map_err(|_| format!("`{word}` is not the id of a process"))
        })
        .collect();
    match ids? {
        ids if ids.is_empty() => Err("name the processes: kill -HUP 17".to_owned()),
        ids => Ok((signal, ids)),
    }
}

fn named(name: &str) -> Result<Option<Number>, String> {
    let number = match name.parse() {
        Ok(number) => number,
        Err(_) => {
            let upper = name.to_uppercase();
            let full = match upper.strip_prefix("SIG") {
                Some(_) => upper,
                None => format!("SIG{upper}"),
            };
            Signal::named(&full)
                .ok_or_else(|| format!("unknown signal {name}: write for example HUP"))?
                .number()
        }
    };
    if number == 0 {
        return Ok(None);
    }
    Number::try_from(number)
        .map(Some)
        .map_err(|_| format!("unknown signal {name}: write for example HUP"))
}

/// `pidof NAME…`: the newest process first, as busybox prints them.
#[must_use]
pub fn pid_of(names: &[String]) -> ExitCode {
    let ids = processes(names);
    let ids: Vec<String> = ids.iter().rev().map(ToString::to_string).collect();
    if ids.is_empty() {
        return ExitCode::FAILURE;
    }
    // Nobody is left to tell when the output is closed.
    let _ = writeln!(std::io::stdout(), "{}", ids.join(" "));
    ExitCode::SUCCESS
}

/// The ids of all processes that run one of these programs, this one aside.
pub(crate) fn processes(names: &[String]) -> Vec<i32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut ids: Vec<i32> = ids
        .filter(|id| *id != own && runs(*id, names))
        .filter_map(|id| i32::try_from(id).ok())
        .collect();
    ids.sort_unstable();
    ids
}

/// Tells whoever runs a program. Nobody is told where nobody does: it will find the file as it is when it starts.
pub(crate) fn tell(program: &str, signal: Signal) -> Result<(), String> {
    let number = Number::try_from(signal.number()).map_err(|error| error.to_string())?;
    let ids = processes(&[program.to_owned()]);
    let mut failed = Vec::new();
    for id in first_of_families(&ids, parent) {
        match send(Pid::from_raw(id), number) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => failed.push(format!("{id}: {error}")),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failed = failed.join(", ");
    Err(format!(
        "{program} gets no {} ({failed}): let the agent run as the user that it runs as",
        signal.name()
    ))
}

/// Of a server and its workers the server: it tells them itself, and to some workers a signal is the end.
fn first_of_families(ids: &[i32], parent: impl Fn(i32) -> Option<i32>) -> Vec<i32> {
    let is_child = |id: i32| parent(id).is_some_and(|parent| ids.contains(&parent));
    ids.iter().copied().filter(|id| !is_child(*id)).collect()
}

/// The fourth word of the process's line; the second is the program's name, with whatever is in it.
fn parent(id: i32) -> Option<i32> {
    let line = fs::read(format!("/proc/{id}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let (_, after) = line.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// By the name of the program, or by the first word that it was started with.
fn runs(id: u32, names: &[String]) -> bool {
    let comm = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let first = words.split(|byte| *byte == 0).next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let base = first.rsplit('/').next().unwrap_or_default();
    names
        .iter()
        .any(|name| name == comm.trim_end() || name == base || *name == first)
}

/// `sleep SECONDS…`.
#[must_use]
pub fn sleep(durations: &[String]) -> ExitCode {
    code("sleep", wait_for(durations))
}

/// Returns after so long.
pub(crate) fn wait_for(durations: &[String]) -> Result<(), String> {
    let mut whole = Duration::ZERO;
    for text in durations {
        if text == "infinity" {
            loop {
                std::thread::sleep(Duration::MAX);
            }
        }
        match parse_duration(text) {
            Ok(duration) => whole = whole.saturating_add(duration),
            Err(error) => return Err(error.to_string()),
        }
    }
    std::thread::sleep(whole);
    Ok(())
}

fn code(name: &str, result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody is left to tell when even this fails.
            let _ = writeln!(std::io::stderr(), "{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for words in [
            &["-HUP", "17"][..],
            &["-1", "17"],
            &["-s", "SIGHUP", "17"],
            &["-sighup", "--", "17"],
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();

            assert_eq!(parse(&words), Ok((Some(Number::SIGHUP), vec![17])));
        }
    }

    #[test]
    fn what_is_no_process_or_no_signal_is_named() {
        for (words, message) in [
            (&["-HUP"][..], "name the processes: kill -HUP 17"),
            (&["x"], "`x` is not the id of a process"),
            (&["-FOO", "1"], "unknown signal FOO: write for example HUP"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();

            assert_eq!(parse(&words).unwrap_err(), message);
        }
    }

    #[test]
    fn of_a_server_and_its_workers_the_server_is_told() {
        // Two servers, of which the first has workers, and one of these a child.
        let parents = [(7, 1), (9, 7), (10, 7), (12, 9), (20, 1)];
        let parent = |id: i32| {
            let mut known = parents.iter();
            known.find(|(child, _)| *child == id).map(|(_, it)| *it)
        };

        assert_eq!(first_of_families(&[7, 9, 10, 12, 20], parent), [7, 20]);
    }

    #[test]
    fn the_first_process_has_no_parent() {
        assert_eq!(parent(1), Some(0));
    }
}
