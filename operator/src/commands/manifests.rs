//! Manifests as they stand in files: one object or several, of any kind, also in a list.

use std::io::Read as _;

use anyhow::Context as _;
use planescape_operator_core::problem::Problem;
use serde_json::Value;

/// The address that stands for Vault as long as nobody names one.
pub(super) const NOWHERE: &str = "https://vault.invalid";

/// A line for each.
pub(super) fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// The objects of one kind; - is standard input.
pub(super) fn of_kind(file: &str, kind: &str) -> anyhow::Result<Vec<Value>> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("{file} is not YAML"))?;
    let items = documents.into_iter().flat_map(|mut document| {
        if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
            return items;
        }
        vec![document]
    });
    Ok(items.filter(|item| item["kind"] == kind).collect())
}
