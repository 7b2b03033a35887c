//! Renders random templates here and with consul-template, and reports every difference.
//!
//! ```text
//! cargo run --release -p planescape-templates --example differential -- REFERENCE [CASES] [SEED]
//! ```

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod answers;
mod grammar;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use planescape_templates::{Answer, Answers, Environment, Options, Pass, Request, Template};
use serde_json::{Value, json};

/// Sent ahead, so that both sides work at once.
const WINDOW: usize = 64;

/// What both sides find in their environment.
const VARIABLES: [(&str, &str); 4] = [
    ("PLAIN", "value"),
    ("EMPTY", ""),
    ("LINES", "a: 1\nb: [x, \"y\"]\n"),
    ("PAIRS", "k=v, l = w"),
];

/// What both sides take for the present: 2026-01-02 03:04:05.678901234.
const NOW: Duration = Duration::new(1_767_323_045, 678_901_234);

#[derive(Default)]
struct Case {
    seed: u64,
    family: &'static str,
    text: Vec<u8>,
    strict: bool,
    delimiters: (&'static str, &'static str),
    denied: Vec<String>,
}

type Outcome = Result<Vec<u8>, String>;

struct Reference {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reference {
    fn start(program: &str) -> std::io::Result<Self> {
        let responses = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/responses.json");
        let mut child = Command::new(program)
            .args(["--responses", responses, "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env_clear()
            .envs(VARIABLES)
            .env("REFERENCE_NOW", NOW.as_nanos().to_string())
            .spawn()?;
        let missing = || std::io::Error::other("no pipe to the reference");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    fn send(&mut self, case: &Case) -> std::io::Result<()> {
        let text = STANDARD.encode(&case.text);
        let (left, right) = case.delimiters;
        let line = json!({
            "b64": text, "strict": case.strict, "left": left, "right": right, "denied": case.denied,
        });
        writeln!(self.input, "{line}")
    }

    /// Nothing if the reference died of this case, as it does of a map that contains itself.
    fn receive(&mut self) -> std::io::Result<Option<Outcome>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if !line.ends_with('\n') {
            self.child.wait()?;
            return Ok(None);
        }
        self.parse(&line).map(Some)
    }

    fn parse(&self, line: &str) -> std::io::Result<Outcome> {
        let result: Value = serde_json::from_str(line)?;
        if let Some(error) = result["error"].as_str() {
            return Ok(Err(error.to_owned()));
        }
        let text = result["text"].as_str().unwrap_or_default();
        Ok(Ok(STANDARD.decode(text).map_err(std::io::Error::other)?))
    }
}

fn render(case: &Case, answers: &Answers) -> Outcome {
    let options = Options {
        error_on_missing_key: case.strict,
        left_delimiter: case.delimiters.0.to_owned(),
        right_delimiter: case.delimiters.1.to_owned(),
        denied_functions: case.denied.clone(),
        ..Options::default()
    };
    let template = Template::parse(&case.text, &options).map_err(|error| error.to_string())?;
    let environment = Environment {
        now: UNIX_EPOCH + NOW,
        variables: VARIABLES
            .map(|(name, text)| (name.into(), text.into()))
            .into(),
        ..Environment::default()
    };
    let mut answers = std::borrow::Cow::Borrowed(answers);
    loop {
        match template.render(&answers, &environment) {
            Ok(Pass::Complete(rendered)) => return Ok(rendered.text.to_vec()),
            Ok(Pass::Waiting { missing, .. }) => {
                // A list that is not there is empty; everything else must be known.
                for request in missing {
                    let Request::List { .. } = request else {
                        return Err(format!("missing: {request}"));
                    };
                    answers.to_mut().insert(request, Answer::List(Vec::new()));
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Errors are the same when they agree up to the first value that one of them covers.
fn agrees(ours: &Outcome, theirs: &Outcome) -> bool {
    // Go lets a slice reach into whatever room a list happens to have left.
    if let Err(ours) = ours
        && (ours.contains("error calling slice: index out of range")
            || ours.contains("Slice: slice index out of bounds"))
    {
        return true;
    }
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(ours), Err(theirs)) => {
            let (ours, theirs) = (readable(ours), readable(theirs));
            let covered = |text: &str| text.find("[redacted]").unwrap_or(text.len());
            let common = covered(&ours).min(covered(&theirs));
            // What is not known yet may be the cause of any error, so it counts for nothing here.
            if ours.starts_with("missing: ") {
                return true;
            }
            let is_cut = ours.contains("[redacted]") || theirs.contains("[redacted]");
            if !is_cut {
                return ours == theirs;
            }
            ours.as_bytes().get(..common) == theirs.as_bytes().get(..common)
        }
        _ => false,
    }
}

/// Our errors are valid texts; how many marks stand for bytes that are none is of no interest.
fn readable(error: &str) -> String {
    let mut out = String::new();
    for c in error.chars() {
        if c != char::REPLACEMENT_CHARACTER || !out.ends_with(c) {
            out.push(c);
        }
    }
    out
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(text) => format!("text  {:?}", String::from_utf8_lossy(text)),
        Err(error) => format!("error {error:?}"),
    }
}

fn run() -> std::io::Result<usize> {
    let mut arguments = std::env::args().skip(1);
    let usage = || std::io::Error::other("usage: differential REFERENCE [CASES] [SEED]");
    let program = arguments.next().ok_or_else(usage)?;
    let mut reference = Reference::start(&program)?;
    let mut number = |default| match arguments.next() {
        Some(text) => text.parse().map_err(std::io::Error::other),
        None => Ok(default),
    };
    let (cases, first): (u64, u64) = (number(20_000)?, number(1)?);
    let answers = answers::load(include_str!("../../testdata/responses.json"));
    let mut waiting = std::collections::VecDeque::new();
    let (mut different, mut texts, mut deaths) = (0, 0, 0);
    let mut next = first;
    while next < first + cases || !waiting.is_empty() {
        if next < first + cases && waiting.len() < WINDOW {
            let case = grammar::case(next);
            reference.send(&case)?;
            let ours = render(&case, &answers);
            waiting.push_back((case, ours));
            next += 1;
            continue;
        }
        reference.input.flush()?;
        let theirs = reference.receive()?;
        let Some((case, ours)) = waiting.pop_front() else {
            break;
        };
        let Some(theirs) = theirs else {
            deaths += 1;
            reference = Reference::start(&program)?;
            for (case, _) in &waiting {
                reference.send(case)?;
            }
            continue;
        };
        texts += usize::from(theirs.is_ok());
        if !agrees(&ours, &theirs) {
            different += 1;
            let text = case.text.escape_ascii();
            let (left, right) = case.delimiters;
            println!(
                "seed {} {} strict {} {left}{right} {:?}",
                case.seed, case.family, case.strict, case.denied
            );
            println!(
                "  {text}\n  here  {}\n  there {}",
                shown(&ours),
                shown(&theirs)
            );
        }
    }
    drop(reference.input);
    reference.child.wait()?;
    println!(
        "{cases} cases from seed {first}, {texts} rendered, {deaths} deaths there, \
         {different} differences"
    );
    Ok(different)
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}
