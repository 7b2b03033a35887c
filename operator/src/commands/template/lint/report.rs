//! Findings as people, programs and code hosts want them.

use std::fmt::Write as _;

use planescape_templates::lint::{MOST, Rule};
use serde_json::{Value, json};

use super::Located;

pub(super) fn text(found: &[Located], templates: usize, is_cut: bool) -> String {
    let mut out = String::new();
    for one in found {
        // Writing to a string cannot fail.
        let _ = write_one(&mut out, one);
    }
    let warnings = found
        .iter()
        .filter(|one| one.finding.rule.is_warning())
        .count();
    let errors = found.len() - warnings;
    let _ = writeln!(
        out,
        "{}, {} in {}",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(templates, "template")
    );
    if is_cut {
        let _ = writeln!(
            out,
            "no more than {MOST} of one template are shown: mend these and look again"
        );
    }
    out
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn write_one(out: &mut String, one: &Located) -> std::fmt::Result {
    let Located {
        file,
        place,
        finding,
        ..
    } = one;
    let rule = finding.rule.name();
    let (line, column) = (place.line, place.column);
    writeln!(
        out,
        "{file}:{line}:{column}: {}[{rule}]: {}",
        severity(finding.rule),
        message(one)
    )?;
    let margin = " ".repeat(line.to_string().len());
    let (shown, caret) = shown(&place.text, column, place.end);
    writeln!(out, "{margin} |\n{line} | {shown}")?;
    writeln!(out, "{margin} | {caret}")?;
    writeln!(out, "{margin} = {}\n", finding.suggestion)
}

/// A line, and a second one that points at its mistake; of a long line the part around it.
fn shown(line: &str, column: usize, end: usize) -> (String, String) {
    const BEFORE: usize = 100;
    const LONGEST: usize = 300;
    let start = match column > LONGEST - BEFORE {
        true => column - 1 - BEFORE,
        false => 0,
    };
    let mut rest = line.chars().skip(start);
    let part: String = rest.by_ref().take(LONGEST).collect();
    let (left, right) = (start > 0, rest.next().is_some());
    let dots = |is_cut: bool| if is_cut { "…" } else { "" };
    let line = format!("{}{part}{}", dots(left), dots(right));
    // Tabs keep their width.
    let mut caret: String = line
        .chars()
        .take(usize::from(left) + column - 1 - start)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let room = LONGEST - (column - 1 - start);
    caret.extend(std::iter::repeat_n('^', (end - column).min(room)));
    (line, caret)
}

fn severity(rule: Rule) -> &'static str {
    if rule.is_warning() {
        "warning"
    } else {
        "error"
    }
}

/// With the place in the template, where the file shows it otherwise.
fn message(one: &Located) -> String {
    let finding = &one.finding;
    if !one.place.is_approximate {
        return finding.message.clone();
    }
    let (line, column) = (finding.line, finding.column + 1);
    format!(
        "line {line}, column {column} of the template: {}",
        finding.message
    )
}

pub(super) fn json(found: &[Located]) -> serde_json::Result<String> {
    let findings: Vec<Value> = found
        .iter()
        .map(|one| {
            json!({
                "file": one.file,
                "template": one.within,
                "line": one.place.line,
                "column": one.place.column,
                "endColumn": one.place.end,
                "rule": one.finding.rule.name(),
                "severity": severity(one.finding.rule),
                "message": message(one),
                "suggestion": one.finding.suggestion,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&findings)? + "\n")
}

pub(super) fn sarif(found: &[Located]) -> serde_json::Result<String> {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| {
            json!({
                "id": rule.name(),
                "shortDescription": {"text": rule.summary()},
                "defaultConfiguration": {"level": severity(*rule)},
            })
        })
        .collect();
    let results: Vec<Value> = found.iter().map(sarif_result).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "planescape",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn sarif_result(one: &Located) -> Value {
    let text = format!("{}; {}", message(one), one.finding.suggestion);
    json!({
        "ruleId": one.finding.rule.name(),
        "level": severity(one.finding.rule),
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&one.file)},
            "region": {
                "startLine": one.place.line,
                "startColumn": one.place.column,
                "endColumn": one.place.end,
            },
        }}],
    })
}

/// A path as URIs have it.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
