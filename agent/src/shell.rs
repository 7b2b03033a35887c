//! As much of a shell as injected pods need, for an image that holds nothing but the agent: lists of
//! commands with pipes, redirections, variables and `$(…)`. Everything else is refused before
//! anything runs.

mod builtin;
mod parse;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use builtin::Builtin;
use parse::{Joint, Line, Part, Pipeline, Redirection, Simple};

/// Names under which the program is a shell.
const SHELLS: [&str; 3] = ["sh", "ash", "bash"];
/// Names under which the program is the agent.
const AGENTS: [&str; 2] = ["vault", "bao"];
/// The program itself, wherever it lies.
pub(crate) const OWN: &str = "/proc/self/exe";

/// Whether there is another shell to be found.
pub(crate) fn is_there() -> bool {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    path.split(':')
        .any(|folder| std::path::Path::new(folder).join("sh").exists())
}

/// Does what the name of the program asks for; `None` where it is the agent's.
#[must_use]
pub fn by_name(words: &[String]) -> Option<ExitCode> {
    let name = words.first()?.rsplit('/').next()?;
    if SHELLS.contains(&name) {
        return Some(shell(&words[1..]));
    }
    let builtin = Builtin::named(name)?;
    let done = builtin.run(&words[1..], b"");
    say(&done.output);
    Some(ExitCode::from(done.code))
}

/// `sh -ec LINE`.
fn shell(words: &[String]) -> ExitCode {
    let (flags, rest): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.starts_with('-'));
    let takes_line = flags.iter().any(|flag| flag.contains('c'));
    let [line, ..] = rest.as_slice() else {
        return refuse("there is nobody to talk to: this image has no shell");
    };
    if !takes_line {
        return refuse("scripts are not run: this image has no shell");
    }
    match Line::parse(line) {
        Ok(line) => ExitCode::from(run(&line)),
        Err(refused) => refuse(&refused),
    }
}

fn refuse(message: &str) -> ExitCode {
    // Nobody is left to tell when even this fails.
    let _ = writeln!(
        std::io::stderr(),
        "sh: {message}; use an image with a shell for this"
    );
    ExitCode::from(2)
}

fn run(line: &Line) -> u8 {
    let mut code = 0;
    for (joint, pipeline) in &line.pipelines {
        let is_due = match joint {
            Joint::Always => true,
            Joint::AfterSuccess => code == 0,
            Joint::AfterFailure => code != 0,
        };
        if is_due {
            code = run_pipeline(pipeline);
        }
    }
    code
}

fn run_pipeline(pipeline: &Pipeline) -> u8 {
    let mut input = Vec::new();
    let mut code = 0;
    for simple in &pipeline.commands {
        let done = run_simple(simple, &input);
        (input, code) = (done.output, done.code);
    }
    say(&input);
    code
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
        let _ = writeln!(std::io::stderr(), "{name}: {message}");
        Self {
            code: 1,
            output: Vec::new(),
        }
    }
}

fn run_simple(simple: &Simple, input: &[u8]) -> Done {
    let words = match expand(&simple.words) {
        Ok(words) => words,
        Err(message) => return Done::failed("sh", &message),
    };
    let Some(name) = words.first() else {
        return Done::well("");
    };
    let name = name.rsplit('/').next().unwrap_or_default();
    let input = match &simple.input {
        None => input.to_vec(),
        Some(path) => match expand(std::slice::from_ref(path)).map(|it| std::fs::read(it.concat()))
        {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Done::failed("sh", &error.to_string()),
            Err(message) => return Done::failed("sh", &message),
        },
    };
    let mut done = match Builtin::named(name) {
        Some(builtin) => builtin.run(&words[1..], &input),
        None if AGENTS.contains(&name) || name == "planescape-agent" => become_agent(&words),
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

/// The agent takes the place of the shell, so that signals reach it.
fn become_agent(words: &[String]) -> Done {
    let error = Command::new(OWN).arg0(&words[0]).args(&words[1..]).exec();
    Done::failed("sh", &format!("{}: {error}", words[0]))
}

fn write(redirection: &Redirection, output: &[u8]) -> Result<(), String> {
    let path = expand(std::slice::from_ref(&redirection.path))?.concat();
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    if redirection.appends {
        options.append(true);
    } else {
        options.truncate(true);
    }
    let written = options
        .open(&path)
        .and_then(|mut file| file.write_all(output));
    written.map_err(|error| format!("{path}: {error}"))
}

/// Words with their variables; what stands outside of quotes may become several words, or none.
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
            let mut input = Vec::new();
            for simple in &pipeline.commands {
                input = run_simple(simple, &input).output;
            }
            let text = String::from_utf8_lossy(&input).into_owned();
            Ok(text.trim_end_matches('\n').to_owned())
        }
    }
}

/// A reader that went away is nothing to complain about.
fn say(output: &[u8]) {
    let _ = std::io::stdout().write_all(output);
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

        assert_eq!(run(&parsed), 0);
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

        assert_eq!(run(&Line::parse(&line).unwrap()), 1);

        assert!(!one.exists());
        assert!(two.exists());
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
        assert_eq!(run(&kill), 0);
        let missing = Line::parse("echo ${NO_SUCH_VARIABLE?}").unwrap();
        assert_eq!(run(&missing), 1);
    }
}
