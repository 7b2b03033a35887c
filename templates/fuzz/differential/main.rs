//! Renders random templates here and with consul-template, and reports every difference.
//!
//! ```text
//! cargo run --release -p planescape-templates --example differential -- REFERENCE [CASES] [SEED]
//! cargo run --release -p planescape-templates --example differential -- REFERENCE --seconds N [SEED]
//! cargo run --release -p planescape-templates --example differential -- REFERENCE --texts FILE
//! ```
//!
//! The last takes templates from a file instead, one JSON string a line.

#![expect(
    clippy::disallowed_methods,
    reason = "it compares the pure package with a program"
)]
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod answers;
mod arguments;
mod compare;
mod grammar;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arguments::Arguments;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use planescape_templates::{Answer, Answers, Environment, Options, Pass, Request, Template};
use serde_json::{Value, json};

/// The environment of both sides.
const VARIABLES: [(&str, &str); 4] = [
    ("PLAIN", "value"),
    ("EMPTY", ""),
    ("LINES", "a: 1\nb: [x, \"y\"]\n"),
    ("PAIRS", "k=v, l = w"),
];

/// The present time of both sides: 2026-01-02 03:04:05.678901234.
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
        variables: Arc::new(
            VARIABLES
                .map(|(name, text)| (name.into(), text.into()))
                .into(),
        ),
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

fn run() -> std::io::Result<usize> {
    let Arguments {
        program,
        mut source,
    } = Arguments::read()?;
    let mut reference = Reference::start(&program)?;
    let answers = answers::load(include_str!("../../testdata/responses.json"));
    let mut waiting = std::collections::VecDeque::new();
    let (mut cases, mut different, mut texts, mut deaths) = (0u64, 0, 0, 0);
    loop {
        if waiting.len() < source.window()
            && let Some(case) = source.next()
        {
            reference.send(&case)?;
            let ours = render(&case, &answers);
            waiting.push_back((case, ours));
            cases += 1;
            continue;
        }
        let Some((case, ours)) = waiting.pop_front() else {
            break;
        };
        reference.input.flush()?;
        let Some(theirs) = reference.receive()? else {
            deaths += 1;
            reference = Reference::start(&program)?;
            for (case, _) in &waiting {
                reference.send(case)?;
            }
            continue;
        };
        texts += usize::from(theirs.is_ok());
        if !compare::agrees(&ours, &theirs) {
            different += 1;
            report(&case, &ours, &theirs);
        }
    }
    drop(reference.input);
    reference.child.wait()?;
    println!("{cases} cases, {texts} rendered, {deaths} deaths there, {different} differences");
    Ok(different)
}

fn report(case: &Case, ours: &Outcome, theirs: &Outcome) {
    let (left, right) = case.delimiters;
    println!(
        "seed {} {} strict {} {left}{right} {:?}",
        case.seed, case.family, case.strict, case.denied
    );
    println!("  {}", case.text.escape_ascii());
    println!("  here  {}", compare::shown(ours));
    println!("  there {}", compare::shown(theirs));
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
