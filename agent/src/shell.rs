//! As much of a shell as injected pods need, for an image that holds nothing but the agent: lists of
//! commands with pipes, redirections, variables and `$(…)`. Everything else is refused before
//! anything runs.

mod builtin;
mod parse;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt as _};
use std::process::{Command, ExitCode, Stdio};

use builtin::Builtin;
use parse::{Joint, Line, Part, Pipeline, Redirection, Simple};
use rustix::fs::{MemfdFlags, memfd_create};

/// Names under which the program is a shell.
const SHELLS: [&str; 3] = ["sh", "ash", "bash"];
/// Names under which the program is the agent.
const AGENTS: [&str; 2] = ["vault", "bao"];
/// The program itself, wherever it lies.
pub(crate) const OWN: &str = "/proc/self/exe";

/// Whether this program answers to a name in a line, as the agent or as another shell.
fn is_own(name: &str) -> bool {
    AGENTS.contains(&name) || SHELLS.contains(&name) || name == "planescape-agent"
}

/// Whether there is another shell to be found.
pub(crate) fn is_there() -> bool {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    path.split(':')
        .any(|folder| std::path::Path::new(folder).join("sh").exists())
}

/// Runs the tool that the program's name asks for; `None` if the name is the agent's.
#[must_use]
pub fn by_name(words: &[String]) -> Option<ExitCode> {
    let name = words.first()?.rsplit('/').next()?;
    if SHELLS.contains(&name) {
        return Some(shell(&words[1..]));
    }
    let builtin = Builtin::named(name)?;
    let done = builtin.run(&words[1..], None);
    say(&done.output);
    Some(ExitCode::from(done.code))
}

/// `sh -ec LINE`.
fn shell(words: &[String]) -> ExitCode {
    let flags = words.iter().take_while(|word| word.starts_with('-'));
    let (mut takes_line, mut stops_at_failure, mut count) = (false, false, 0);
    for flag in flags {
        takes_line |= flag.contains('c');
        stops_at_failure |= flag.contains('e');
        count += 1;
    }
    let Some(line) = words.get(count) else {
        return refuse("there is nobody to talk to: this image has no shell");
    };
    if !takes_line {
        return refuse("scripts are not run: this image has no shell");
    }
    match Line::parse(line) {
        Ok(line) => ExitCode::from(run(&line, stops_at_failure)),
        Err(refused) => refuse(&refused),
    }
}

fn refuse(message: &str) -> ExitCode {
    // A failure is ignored: there is nowhere else to report it.
    let _ = writeln!(
        io::stderr(),
        "sh: {message}; use an image with a shell for this"
    );
    ExitCode::from(2)
}

fn run(line: &Line, stops_at_failure: bool) -> u8 {
    let mut code = 0;
    let mut rest = line.pipelines.iter().peekable();
    while let Some((joint, pipeline)) = rest.next() {
        let is_due = match joint {
            Joint::Always => true,
            Joint::AfterSuccess => code == 0,
            Joint::AfterFailure => code != 0,
        };
        if !is_due {
            continue;
        }
        if let [Simple { words, .. }] = &pipeline.commands[..]
            && is_exit(words)
        {
            // Without a number the code is that of the command before.
            let has_number = words.len() > 1;
            return if has_number {
                run_pipeline(pipeline, false)
            } else {
                code
            };
        }
        let next = rest.peek().map(|(joint, _)| *joint);
        code = run_pipeline(pipeline, next.is_none());
        // A command that `&&` or `||` asks about does not fail the line.
        if stops_at_failure && code != 0 && next == Some(Joint::Always) {
            return code;
        }
    }
    code
}

fn is_exit(words: &[Vec<Part>]) -> bool {
    let name = words.first().map(Vec::as_slice);
    matches!(name, Some([Part::Text(name)]) if name == "exit")
}

fn run_pipeline(pipeline: &Pipeline, is_last: bool) -> u8 {
    let mut input = None;
    let mut code = 0;
    let mut commands = pipeline.commands.iter().peekable();
    while let Some(simple) = commands.next() {
        let agent = match (commands.peek().is_some(), is_last) {
            (true, _) => Agent::IsRead,
            (false, false) => Agent::Runs,
            (false, true) => Agent::Becomes,
        };
        let done = run_simple(simple, input.take(), agent);
        (input, code) = (Some(done.output), done.code);
    }
    say(&input.unwrap_or_default());
    code
}

/// The part of the agent in a line that calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    /// The command after it reads its output.
    IsRead,
    /// Another command comes after it.
    Runs,
    /// It takes the place of the shell, so that signals reach it.
    Becomes,
}

/// The outcome of a command.
struct Done {
    code: u8,
    output: Vec<u8>,
}

impl Done {
    fn well(output: impl Into<Vec<u8>>) -> Self {
        Self {
            code: 0,
            output: output.into(),
        }
    }

    fn failed(name: &str, message: &str) -> Self {
        let _ = writeln!(io::stderr(), "{name}: {message}");
        Self {
            code: 1,
            output: Vec::new(),
        }
    }
}

fn run_simple(simple: &Simple, input: Option<Vec<u8>>, agent: Agent) -> Done {
    let words = match expand(&simple.words) {
        Ok(words) => words,
        Err(message) => return Done::failed("sh", &message),
    };
    let Some(name) = words.first() else {
        return Done::well("");
    };
    let name = name.rsplit('/').next().unwrap_or_default();
    let input = match &simple.input {
        None => input,
        Some(path) => match expand(std::slice::from_ref(path)).map(|it| std::fs::read(it.concat()))
        {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(error)) => return Done::failed("sh", &error.to_string()),
            Err(message) => return Done::failed("sh", &message),
        },
    };
    let mut done = match Builtin::named(name) {
        Some(builtin) => builtin.run(&words[1..], input.as_deref()),
        None if is_own(name) => {
            let output = simple.output.as_ref().map(open).transpose();
            return match output.map(|output| call_own(&words, input, output, agent)) {
                Ok(Ok(done)) => done,
                Ok(Err(error)) => Done::failed("sh", &format!("{}: {error}", words[0])),
                Err(message) => Done::failed("sh", &message),
            };
        }
        // The parser lets no other name pass.
        None => Done::failed("sh", &format!("{name}: not found")),
    };
    if let Some(redirection) = &simple.output {
        let output = std::mem::take(&mut done.output);
        if let Err(message) = write(redirection, &output) {
            return Done::failed("sh", &message);
        }
    }
    done
}

/// Calls the agent, which writes into the file of a redirection itself, as long as it runs.
fn call_own(
    words: &[String],
    input: Option<Vec<u8>>,
    output: Option<File>,
    agent: Agent,
) -> io::Result<Done> {
    let mut command = Command::new(OWN);
    command.arg0(&words[0]).args(&words[1..]);
    if let Some(input) = input {
        command.stdin(holding(&input)?);
    }
    if let Some(output) = output {
        command.stdout(output);
    }
    let (status, output) = match agent {
        Agent::Becomes => return Err(command.exec()),
        Agent::Runs => (command.status()?, Vec::new()),
        Agent::IsRead => {
            let done = command.stderr(Stdio::inherit()).output()?;
            (done.status, done.stdout)
        }
    };
    let signalled = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(signalled);
    let code = code.and_then(|code| u8::try_from(code).ok());
    Ok(Done {
        code: code.unwrap_or(u8::MAX),
        output,
    })
}

/// A file without a name: unlike a pipe it need not be read while it is written.
fn holding(input: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok(file)
}

fn write(redirection: &Redirection, output: &[u8]) -> Result<(), String> {
    let mut file = open(redirection)?;
    file.write_all(output).map_err(|error| error.to_string())
}

fn open(redirection: &Redirection) -> Result<File, String> {
    let path = expand(std::slice::from_ref(&redirection.path))?.concat();
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    if redirection.appends {
        options.append(true);
    } else {
        options.truncate(true);
    }
    let opened = options.open(&path);
    opened.map_err(|error| format!("{path}: {error}"))
}

/// Words with their variables. Text outside of quotes may become several words, or none.
fn expand(words: &[Vec<Part>]) -> Result<Vec<String>, String> {
    let mut expanded = Vec::new();
    for parts in words {
        let mut current: Option<String> = None;
        for part in parts {
            match part {
                Part::Text(text) => current.get_or_insert_default().push_str(text),
                Part::Quoted(inner) => {
                    let text = value(inner)?;
                    current.get_or_insert_default().push_str(&text);
                }
                loose @ (Part::Variable { .. } | Part::Output(_)) => {
                    let text = value(loose)?;
                    split(&text, &mut current, &mut expanded);
                }
            }
        }
        expanded.extend(current);
    }
    Ok(expanded)
}

fn split(text: &str, current: &mut Option<String>, expanded: &mut Vec<String>) {
    let mut pieces = text.split_whitespace().peekable();
    if text.starts_with(char::is_whitespace) {
        expanded.extend(current.take());
    }
    while let Some(piece) = pieces.next() {
        current.get_or_insert_default().push_str(piece);
        if pieces.peek().is_some() || text.ends_with(char::is_whitespace) {
            expanded.extend(current.take());
        }
    }
}

fn value(part: &Part) -> Result<String, String> {
    match part {
        Part::Text(text) => Ok(text.clone()),
        Part::Quoted(inner) => value(inner),
        Part::Variable { name, is_required } => match std::env::var(name) {
            Ok(value) => Ok(value),
            Err(_) if *is_required => Err(format!("{name}: parameter not set")),
            Err(_) => Ok(String::new()),
        },
        Part::Output(pipeline) => {
            let mut input = None;
            for simple in &pipeline.commands {
                input = Some(run_simple(simple, input, Agent::IsRead).output);
            }
            let text = String::from_utf8_lossy(&input.unwrap_or_default()).into_owned();
            Ok(text.trim_end_matches('\n').to_owned())
        }
    }
}

/// A reader that went away is not an error.
fn say(output: &[u8]) {
    let mut ours = io::stdout();
    // The next command may write to it, too.
    let _ = ours.write_all(output).and_then(|()| ours.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_injectors_line_writes_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let line = format!("echo e30K | base64 -d > {} && cat {0}", path.display());

        let parsed = Line::parse(&line.replace("{0}", &path.display().to_string())).unwrap();

        assert_eq!(run(&parsed, false), 0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{}\n");
    }

    #[test]
    fn a_failure_ends_a_chain_and_starts_another() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let line = format!(
            "cat /no/such/file && touch {} || touch {}; false",
            one.display(),
            two.display()
        );

        assert_eq!(run(&Line::parse(&line).unwrap(), false), 1);

        assert!(!one.exists());
        assert!(two.exists());

        let line = format!("false &&\n\ntouch {}", one.display());
        assert_eq!(run(&Line::parse(&line).unwrap(), false), 1);
        assert!(!one.exists());
    }

    #[test]
    fn variables_and_outputs_become_words() {
        let own = std::process::id();
        let cases = [
            ("echo $(echo a b) \"$(echo c  d)\"", "a b c d\n"),
            ("echo x$(echo a b)y", "xa by\n"),
            ("echo '${HOME}' \"it's\"", "${HOME} it's\n"),
            ("echo $NO_SUCH_VARIABLE.", ".\n"),
            ("echo -n a; echo \\$b", "a$b\n"),
            ("echo a \\\n b \"c\\\nd\" e#f # g", "a b cd e#f\n"),
            ("echo \"\\`\"", "`\n"),
        ];
        for (line, expected) in cases {
            let parsed = Line::parse(line).unwrap();
            let mut output = Vec::new();
            for (_, pipeline) in &parsed.pipelines {
                let part = Part::Output(pipeline.clone());
                output.push(value(&part).unwrap());
            }
            assert_eq!(output.concat(), expected.trim_end_matches('\n'), "{line}");
        }
        let kill = Line::parse(&format!("kill -0 {own}")).unwrap();
        assert_eq!(run(&kill, false), 0);
        let missing = Line::parse("echo ${NO_SUCH_VARIABLE?}").unwrap();
        assert_eq!(run(&missing, false), 1);
    }
}
