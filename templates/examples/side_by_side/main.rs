//! Measures this engine and consul-template with the same templates, and prints a table.
//!
//! ```text
//! cargo run --release -p planescape-templates --example side_by_side -- REFERENCE [MILLISECONDS [NAME]]
//! ```
//!
//! A name limits it to the rows that contain it. It ends with 1 if anything is slower here.
//!
//! Both sides do the same work in each phase. *Parse* is the parser alone. *Both* is what a pass costs where nothing is
//! prepared but the answers: consul-template parses and makes its functions in each of its passes, so we parse too.
//! *Execute* is running alone, which consul-template does not offer; on both sides it is what one more round costs in a
//! text that is repeated by a `range`: up to 51 rounds less one, by 50. The second table has functions, each with a small,
//! a middle and a large argument: what a pass costs with the calls, less what it costs without, by their number.

#![expect(
    clippy::disallowed_methods,
    reason = "it measures the pure package beside a program"
)]
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

#[path = "../../fuzz/differential/answers.rs"]
mod answers;
mod functions;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use planescape_templates::{Answers, Environment, Limits, Options, Pass, Template};
use serde_json::{Value, json};

use functions::Row;

/// One template and its name in the table.
struct Case {
    name: &'static str,
    text: String,
}

/// The everyday templates, and two large ones.
fn cases(answers: &Answers) -> Vec<Case> {
    let lines = include_str!("../../testdata/real_world.jsonl").lines();
    let everyday: String = lines
        .filter_map(|line| {
            let case: Value = serde_json::from_str(line).ok()?;
            let is_plain = case["id"] != "R34" && case["e"].is_string();
            let text = case["t"].as_str()?;
            let template = Template::parse(text.as_bytes(), &Options::default()).ok()?;
            let pass = template.render(answers, &Environment::default());
            let is_known = matches!(pass, Ok(Pass::Complete(_)));
            // A name may be defined once in a text only.
            let fits = is_plain && is_known && !text.contains("define");
            fits.then(|| text.to_owned())
        })
        .collect();
    let one = include_str!("../../testdata/real_world.jsonl")
        .lines()
        .find_map(|line| {
            let case: Value = serde_json::from_str(line).ok()?;
            (case["id"] == "R02").then(|| case["t"].as_str().unwrap_or_default().to_owned())
        });
    let keys = "{{$m := sprig_dict}}{{range $i := 200}}{{$_ := sprig_set $m (printf `KEY_%03d` $i) \
                (print `value ` $i)}}{{end}}{{range $k, $v := $m}}export {{$k}}={{$v | toJSON}}\n{{end}}";
    let megabyte = "{{$line := sprig_repeat 1023 `x`}}{{range 1024}}{{$line}}\n{{end}}";
    vec![
        Case {
            name: "one secret, three lines",
            text: one.unwrap_or_default(),
        },
        Case {
            name: "everyday templates",
            text: everyday,
        },
        Case {
            name: "range over 200 keys",
            text: keys.to_owned(),
        },
        Case {
            name: "1 MiB of output",
            text: megabyte.to_owned(),
        },
    ]
}

/// A row is slower here if the original takes less than this part of our time.
const LEAST: f64 = 0.95;

/// As many as the reference takes: no more than make four megabytes.
fn rounds(length: usize) -> u32 {
    let fitting = (1 << 20) / (length + 1);
    fitting.clamp(1, 50) as u32
}

const PHASES: [&str; 3] = ["parse", "execute", "both"];

struct Reference {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reference {
    fn start(program: &str, milliseconds: u64) -> std::io::Result<Self> {
        let responses = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/responses.json");
        let mut child = Command::new(program)
            .args(["--responses", responses, "--bench", "--milliseconds"])
            .arg(milliseconds.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
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

    fn stop(mut self) -> std::io::Result<()> {
        drop(self.input);
        self.child.wait().map(drop)
    }

    /// Nanoseconds of each phase.
    fn measure(&mut self, text: &str) -> std::io::Result<[f64; 3]> {
        writeln!(self.input, "{}", json!({ "t": text }))?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let result: Value = serde_json::from_str(&line)?;
        let times = PHASES.map(|phase| result[phase].as_f64());
        match times {
            [Some(parse), Some(execute), Some(both)] => Ok([parse, execute, both]),
            _ => Err(std::io::Error::other(line)),
        }
    }
}

/// The most memory a process has had, in kilobytes.
fn peak(process: u32) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel says it in a file only"
    )]
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Nanoseconds of one run.
fn time(milliseconds: u64, mut run: impl FnMut()) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let start = std::time::Instant::now();
    let mut count = 0u32;
    while start.elapsed().as_millis() < u128::from(milliseconds) {
        run();
        count += 1;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count.max(1))
}

fn render(template: &Template, answers: &Answers) -> usize {
    match template.render(answers, &Environment::default()) {
        Ok(Pass::Complete(rendered)) => rendered.text.len(),
        Ok(Pass::Waiting { missing, .. }) => panic!("missing {missing:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// As by default, without an end to work and memory: a measurement repeats what a template does once.
fn options() -> Options {
    Options {
        limits: Limits {
            work: usize::MAX,
            memory: usize::MAX,
            ..Limits::default()
        },
        ..Options::default()
    }
}

fn measure(text: &str, answers: &Answers, milliseconds: u64) -> [f64; 3] {
    let options = options();
    let parse = |text: &str| Template::parse(text.as_bytes(), &options);
    let pass = |text: &str| {
        time(milliseconds, || {
            let template = parse(text).expect("it parses");
            black_box(render(&template, answers));
        })
    };
    let parsing = time(milliseconds, || drop(black_box(parse(text))));
    let once = pass(text);
    let rounds = rounds(render(&parse(text).expect("it parses"), answers));
    let repeated = pass(&format!("{{{{range {}}}}}{text}{{{{end}}}}", rounds + 1));
    [parsing, (repeated - once) / f64::from(rounds), once]
}

/// The values that all rows share.
struct Bench {
    program: String,
    milliseconds: u64,
    answers: Answers,
}

impl Bench {
    /// The templates in their phases; false if one is slower than in the original.
    fn templates(&self, name: &str) -> std::io::Result<bool> {
        println!("| Case | Phase | Here | consul-template | Ratio | Memory here | there |");
        println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
        let mut is_faster = true;
        let named = |case: &Case| case.name.contains(name);
        for case in cases(&self.answers).into_iter().filter(named) {
            let mut reference = Reference::start(&self.program, self.milliseconds)?;
            let theirs = reference.measure(&case.text)?;
            let ours = measure(&case.text, &self.answers, self.milliseconds);
            let memory = [peak(std::process::id()), peak(reference.child.id())];
            let [here, there] = memory.map(|kilobytes| kilobytes.unwrap_or(0) / 1024);
            for (phase, (ours, theirs)) in PHASES.iter().zip(ours.iter().zip(theirs)) {
                let ratio = theirs / ours;
                is_faster &= ratio >= LEAST;
                let (name, ours, theirs) = (case.name, ours / 1e3, theirs / 1e3);
                println!(
                    "| {name} | {phase} | {ours:.1} µs | {theirs:.1} µs | {ratio:.1} | {here} MiB | {there} MiB |"
                );
            }
            reference.stop()?;
        }
        Ok(is_faster)
    }

    /// The functions by size; false if one is slower than the original's.
    fn functions(&self, name: &str) -> std::io::Result<bool> {
        println!("| Function | small | ratio | middle | ratio | large | ratio |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
        let mut is_faster = true;
        let named = |row: &Row| row.name.contains(name);
        for row in functions::rows().into_iter().filter(named) {
            let mut line = format!("| {} |", row.name);
            for (made, called) in &row.sizes {
                let mut found = self.compare(made, called)?;
                if found.1 < LEAST {
                    // The machine may have been busy with something else.
                    let again = self.compare(made, called)?;
                    found = if again.1 > found.1 { again } else { found };
                }
                let (ours, ratio) = found;
                is_faster &= ratio >= LEAST;
                line += &format!(" {:.2} µs | {ratio:.1} |", ours / 1e3);
            }
            println!("{line}");
        }
        Ok(is_faster)
    }

    /// Nanoseconds of one call here, and how many times as long the original takes.
    fn compare(&self, made: &str, called: &str) -> std::io::Result<(f64, f64)> {
        let mut reference = Reference::start(&self.program, self.milliseconds)?;
        let theirs = each(made, called, |text| reference.measure(text))?;
        let ours = each(made, called, |text| {
            Ok(measure(text, &self.answers, self.milliseconds))
        })?;
        reference.stop()?;
        Ok((ours, theirs / ours))
    }
}

/// Nanoseconds of one of the calls that one text has and the other lacks.
fn each(
    made: &str,
    called: &str,
    mut measure: impl FnMut(&str) -> std::io::Result<[f64; 3]>,
) -> std::io::Result<f64> {
    let [[_, without, _], [_, with, _]] = [measure(made)?, measure(called)?];
    Ok((with - without) / functions::CALLS as f64)
}

fn run() -> std::io::Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let usage = || std::io::Error::other("usage: side_by_side REFERENCE [MILLISECONDS [NAME]]");
    let program = arguments.next().ok_or_else(usage)?;
    let milliseconds = match arguments.next() {
        Some(text) => text.parse().map_err(std::io::Error::other)?,
        None => 1_000,
    };
    let bench = Bench {
        program,
        milliseconds,
        answers: answers::load(include_str!("../../testdata/responses.json")),
    };
    let name = arguments.next().unwrap_or_default();
    let is_faster = bench.templates(&name)?;
    println!();
    Ok(bench.functions(&name)? && is_faster)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}
