//! Manifests as they stand in files: one object or several, of any kind, also in a list.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use planescape_operator_core::problem::Problem;
use serde_json::{Number, Value};

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
    let objects = objects(&text).with_context(|| format!("{file} is not YAML"))?;
    let of_kind = objects.into_iter().filter(|object| object["kind"] == kind);
    Ok(of_kind.collect())
}

/// The objects of a text, of lists too, with the values that kubectl reads in it: 0400 is 256.
///
/// # Errors
/// It is not YAML, or says a key twice.
pub(super) fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    // A whole cluster's objects are more than the parser takes unless it is told to. What aliases repeat stays limited.
    let budget = serde_saphyr::budget! {
        enforce_alias_anchor_ratio: false,
        max_documents: usize::MAX,
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
    };
    let options = serde_saphyr::options! { budget: budget, legacy_octal_numbers: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(refusal)?;
    let mut objects: Vec<Value> = documents.into_iter().flat_map(of_document).collect();
    objects.iter_mut().for_each(write_whole_numbers);
    Ok(objects)
}

fn refusal(error: serde_saphyr::Error) -> anyhow::Error {
    if let serde_saphyr::Error::DuplicateMappingKey {
        key: Some(key),
        location,
    } = error.without_snippet()
    {
        let line = location.line();
        return anyhow!("line {line} says `{key}` a second time: leave one of them out");
    }
    error.into()
}

/// Itself, or what it lists.
fn of_document(mut document: Value) -> Vec<Value> {
    let kind = document["kind"].as_str();
    let Some(kind) = kind.and_then(|kind| kind.strip_suffix("List")) else {
        return vec![document];
    };
    let kind = kind.to_owned();
    let Some(Value::Array(mut items)) = document.get_mut("items").map(Value::take) else {
        return Vec::new();
    };
    // The API server does not repeat in a CronJobList what its items are.
    for fields in items.iter_mut().filter_map(Value::as_object_mut) {
        if !kind.is_empty() && !fields.contains_key("kind") {
            fields.insert("kind".to_owned(), kind.as_str().into());
            fields.insert("apiVersion".to_owned(), document["apiVersion"].clone());
        }
    }
    items
}

/// kubectl sends 60.0 and 6e1 as 60.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| {
                let is_within = number.abs() < i64::MAX as f64;
                is_within && number.fract() == 0.0
            });
            if let Some(whole) = whole {
                *number = Number::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_numbers_as_kubectl_sends_them() {
        for (written, sent) in [
            ("0400", json!(256)),
            ("0o400", json!(256)),
            ("0x100", json!(256)),
            ("-0400", json!(-256)),
            ("08", json!(8)),
            ("1_0", json!(10)),
            ("1e3", json!(1000)),
            ("60.0", json!(60)),
            ("0.5", json!(0.5)),
            ("'0400'", json!("0400")),
            ("0", json!(0)),
        ] {
            let objects = objects(&format!("mode: {written}")).unwrap();

            assert_eq!(objects, [json!({ "mode": sent })], "{written}");
        }
    }

    #[test]
    fn reads_what_a_whole_cluster_holds() {
        for (name, text) in [
            ("values", format!("items: [{}]", "0,".repeat(250_000))),
            ("documents", "---\nkind: Job\n".repeat(1_100)),
            (
                "aliases",
                format!("a: &a {{ b: c }}\nitems: [{}]", "*a ,".repeat(101)),
            ),
        ] {
            let objects = objects(&text);

            assert!(objects.is_ok(), "{name}: {:?}", objects.err());
        }
    }

    #[test]
    fn reads_lists_of_a_kind_that_their_items_do_not_repeat() {
        let list = "{kind: CronJobList, apiVersion: batch/v1, items: [{metadata: {name: a}}]}
---
kind: List
apiVersion: v1
items: [{kind: Job, apiVersion: batch/v1}, {metadata: {}}]
---
{kind: Job, items: [1]}
";

        let cron_job =
            json!({ "kind": "CronJob", "apiVersion": "batch/v1", "metadata": { "name": "a" } });
        let job = json!({ "kind": "Job", "apiVersion": "batch/v1" });
        let with_items = json!({ "kind": "Job", "items": [1] });
        let expected = [cron_job, job, json!({ "metadata": {} }), with_items];
        assert_eq!(objects(list).unwrap(), expected);
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_line() {
        let error = objects("spec:\n  suspend: true\n  suspend: false\n").unwrap_err();

        assert_eq!(
            error.to_string(),
            "line 3 says `suspend` a second time: leave one of them out"
        );
    }
}
