//! Commands for a template's `command` and for a pod's hooks, in an image that holds
//! nothing but the agent.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal as Number, kill as send};
use nix::unistd::Pid;
use planescape_agent_contract::{Signal, parse_duration};

/// The kernel knows so many bytes of a program's name.
const COMM: usize = 15;

/// `kill [-SIGNAL] PID…`.
#[must_use]
pub fn kill(words: &[String]) -> ExitCode {
    code("kill", send_signals(words))
}

/// Sends a signal to each process, even if another one failed.
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
    // A closed output is ignored: there is nowhere else to report it.
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

/// Signals the processes that run a program. If none does, that is no failure: the program will read the file when it
/// starts.
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

/// Leaves out the workers of a server: it tells them itself, and a signal ends some workers.
fn first_of_families(ids: &[i32], parent: impl Fn(i32) -> Option<i32>) -> Vec<i32> {
    let is_child = |id: i32| parent(id).is_some_and(|parent| ids.contains(&parent));
    ids.iter().copied().filter(|id| !is_child(*id)).collect()
}

/// The fourth word of the process's line. The second is the program's name, which may hold blanks and brackets.
fn parent(id: i32) -> Option<i32> {
    let line = fs::read(format!("/proc/{id}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let (_, after) = line.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

fn runs(id: u32, names: &[String]) -> bool {
    let read = |file: &str| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    let (comm, words) = (read("comm"), read("cmdline"));
    let program = || fs::read_link(format!("/proc/{id}/exe")).ok();
    let mut names = names.iter();
    names.any(|name| is_named(name.as_bytes(), comm.trim_ascii_end(), &words, program))
}

/// Compares with the name of the program, and with the first word that it was started with. A name that the kernel cuts
/// is completed from the first word that begins like it, since it may be a script, else from the path of the program.
fn is_named(
    name: &[u8],
    comm: &[u8],
    words: &[u8],
    program: impl FnOnce() -> Option<PathBuf>,
) -> bool {
    let mut words = words.split(|byte| *byte == 0).peekable();
    let first = words.peek().copied().unwrap_or_default();
    if name == comm || name == base(first) || name == first {
        return true;
    }
    if name.len() <= COMM || !name.starts_with(comm) || comm.len() < COMM {
        return false;
    }
    let whole = words.find_map(|word| {
        // Some programs write their present work behind their name.
        let mut parts = word.split(|byte| matches!(byte, b':' | b' '));
        let title = base(parts.next().unwrap_or_default());
        let both = [title, base(word)];
        both.into_iter().find(|it| it.starts_with(comm))
    });
    if let Some(whole) = whole {
        return whole == name;
    }
    let program = program();
    let file = program.as_deref().and_then(|path| path.file_name());
    let file = file.map(OsStr::as_encoded_bytes).unwrap_or_default();
    // The kernel marks a program so that was replaced on the disk.
    name == file.strip_suffix(b" (deleted)").unwrap_or(file)
}

fn base(path: &[u8]) -> &[u8] {
    let mut parts = path.rsplit(|byte| *byte == b'/');
    parts.next().unwrap_or_default()
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
            // A failure is ignored: there is nowhere else to report it.
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
    fn a_name_that_the_kernel_cuts_is_found_in_the_words_or_in_the_path_of_the_program() {
        let program = Some("/opt/configuration-reloader (deleted)");
        for (words, program, is_it) in [
            ("/opt/configuration-reloader\0", None, true),
            ("python3\0-u\0/opt/configuration-reloader\0", None, true),
            ("configuration-reloader: worker 1/2\0", None, true),
            ("worker 7\0", program, true),
            ("worker 7\0", None, false),
            ("worker 7\0", Some("/opt/configuration-rotator"), false),
            (
                "/opt/configuration-rotator\0/opt/configuration-reloader\0",
                program,
                false,
            ),
        ] {
            let found = is_named(
                b"configuration-reloader",
                b"configuration-r",
                words.as_bytes(),
                || program.map(PathBuf::from),
            );

            assert_eq!(found, is_it, "{words:?} {program:?}");
        }
        let other = is_named(b"nginx-reloader", b"nginx", b"worker\0", || {
            Some(PathBuf::from("/opt/nginx-reloader"))
        });
        assert!(!other, "the kernel has cut nothing");
    }

    #[test]
    fn the_first_process_has_no_parent() {
        assert_eq!(parent(1), Some(0));
    }
}
