//! How two outcomes differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// The page that promises lines to those who search for them.
const PAGE: &str = include_str!("../../docs/reference/agent-operation.md");
/// The heading of the table whose lines both agents have.
const HEADING: &str = "\n### As with `vault agent`\n";

/// Requests that ask about tokens and mounts: ours may be fewer.
const UPKEEP: [&str; 4] = [
    "auth/token/renew-self",
    "auth/token/lookup-self",
    "sys/internal/ui/mounts/",
    "sys/leases/renew",
];

pub(crate) fn differences(scenario: &Scenario, theirs: &Outcome, ours: &Outcome) -> Vec<String> {
    let mut found = BTreeMap::new();
    if theirs.code != ours.code {
        let differs = format!("theirs {:?}, ours {:?}", theirs.code, ours.code);
        found.insert("exit code".to_owned(), differs);
    }
    // A written scenario is wrong if both agents get stuck in it: it compares how often both have failed in vain.
    let (one, other) = (theirs.stuck.is_some(), ours.stuck.is_some());
    if one != other || (one && scenario.file != "generated") {
        let differs = format!("theirs {:?}, ours {:?}", theirs.stuck, ours.stuck);
        found.insert("steps".to_owned(), differs);
    }
    let names: BTreeSet<&String> = theirs.files.keys().chain(ours.files.keys()).collect();
    for name in names {
        let (theirs, ours) = (theirs.files.get(name), ours.files.get(name));
        if theirs != ours {
            found.insert(
                format!("file {name}"),
                format!("theirs {theirs:?}, ours {ours:?}"),
            );
        }
    }
    for line in promised() {
        let (theirs, ours) = (theirs.log.contains(line), ours.log.contains(line));
        if theirs != ours {
            found.insert(
                format!("line {line}"),
                format!("theirs {theirs}, ours {ours}"),
            );
        }
    }
    for (index, theirs) in theirs.answers.iter().enumerate() {
        let ours = ours.answers.get(index).map_or("nothing", String::as_str);
        if theirs != ours {
            found.insert(
                format!("answer {index}"),
                format!("theirs {theirs}, ours {ours}"),
            );
        }
    }
    requests(scenario, theirs, ours, &mut found);
    if scenario.file == "generated" && is_known(theirs, ours) {
        return Vec::new();
    }
    let mut differences = Vec::new();
    for (what, differs) in &found {
        if !scenario.differs.contains_key(what) {
            differences.push(format!("{what}: {differs}"));
        }
    }
    for what in scenario
        .differs
        .keys()
        .filter(|what| !found.contains_key(*what))
    {
        differences.push(format!("{what}: does not differ any more"));
    }
    let tells_all = ["DROP_IN", "DROP_IN_SEED"].map(std::env::var_os);
    if !differences.is_empty() && tells_all.iter().any(Option::is_some) {
        let (files, args, steps) = (&scenario.files, &scenario.args, &scenario.steps);
        differences.push(format!(
            "arguments: {args:?}\nfiles: {files:#?}\nsteps: {steps:?}"
        ));
        differences.push(format!(
            "their log:\n{}\nour log:\n{}",
            theirs.log, ours.log
        ));
    }
    differences
}

/// The lines that the page promises, up to where they differ from run to run.
fn promised() -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once(HEADING).unwrap_or_default();
    let table = rest.split("\n#").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").nth(1));
    // Every other piece stands between the marks of code.
    let lines = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let lines = lines.map(|line| line.split(['"', '[', '…']).next().unwrap_or_default());
    lines.map(str::trim_end).collect()
}

/// Whether `docs/reference/differences.md` explains it: ours finds these mistakes before it logs in.
fn is_known(theirs: &Outcome, ours: &Outcome) -> bool {
    const REFUSED: [&str; 4] = [
        "set wrap_ttl in the sink",
        "give each its own file",
        "'path' not specified for file sink",
        "block is allowed",
    ];
    let early = theirs.log.contains("template server failed to create") && theirs.code == ours.code;
    // One template that cannot be written keeps all others back there.
    let held_up = theirs.log.contains("failed writing file");
    early || held_up || REFUSED.iter().any(|words| ours.log.contains(words))
}

fn requests(
    scenario: &Scenario,
    theirs: &Outcome,
    ours: &Outcome,
    found: &mut BTreeMap<String, String>,
) {
    let (theirs, ours) = (counted(theirs), counted(ours));
    let all: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for request in all {
        let count = |side: &BTreeMap<String, usize>| side.get(request).copied().unwrap_or(0);
        let (theirs, ours) = (count(&theirs), count(&ours));
        let is_upkeep = UPKEEP.iter().any(|path| request.contains(path));
        let is_missing = ours == 0 && theirs > 0 && !is_upkeep;
        let is_more = ours > theirs && !(scenario.repeats && theirs > 0);
        if is_more || is_missing {
            found.insert(
                format!("request {request}"),
                format!("theirs {theirs}, ours {ours}"),
            );
        }
    }
}

fn counted(outcome: &Outcome) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (operation, path) in &outcome.requests {
        let path = match path.strip_prefix("sys/internal/ui/mounts/") {
            Some(_) => "sys/internal/ui/mounts/…",
            None => path,
        };
        *counts.entry(format!("{operation} {path}")).or_insert(0) += 1;
    }
    counts
}

#[test]
fn what_the_page_promises_is_looked_for() {
    let lines = promised();

    assert_eq!(lines.len(), 12, "{lines:?}");
    for line in [
        "token written",
        "(runner) executing command",
        "detected update, but not restarting process",
    ] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
}
