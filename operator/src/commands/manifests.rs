//! Manifests as they stand in files: one object or several, of any kind, also in a list.

use std::fs::File;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, anyhow};
use planescape_operator_core::problem::Problem;
use planescape_templates::yaml::{self, Node};
use serde_json::{Number, Value};

/// The address that stands for Vault as long as none is given.
pub(super) const NOWHERE: &str = "https://vault.invalid";

/// An object of a file.
pub(super) struct Object {
    pub(super) value: Value,
    /// The mistakes in the keys of the document that holds it, each with its line.
    mistakes: Vec<String>,
}

impl Object {
    /// Its name, or nothing.
    pub(super) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The result, if its document has no mistakes; otherwise all mistakes and problems.
    pub(super) fn unless_wrong<T>(&self, made: Result<T, Vec<Problem>>) -> Result<T, String> {
        match made {
            Ok(made) if self.is_sound() => Ok(made),
            wrong => Err(self.listed(&wrong.err().unwrap_or_default())),
        }
    }

    /// Whether nothing is wrong with its document.
    fn is_sound(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// A line for each mistake and problem.
    fn listed(&self, problems: &[Problem]) -> String {
        let problems = problems.iter().map(Problem::to_string);
        let lines: Vec<String> = self.mistakes.iter().cloned().chain(problems).collect();
        lines.join("\n")
    }
}

/// The objects of one kind; - is standard input. Mistakes in others are told on standard error.
pub(super) fn of_kind(file: &str, kind: &str) -> anyhow::Result<Vec<Object>> {
    let (file, text) = (shown(file), read(file)?);
    let objects = objects(&text).with_context(|| format!("{file} is not YAML"))?;
    let is_of_kind = |object: &Object| object.value["kind"] == kind;
    let (of_kind, others): (Vec<Object>, Vec<Object>) = objects.into_iter().partition(is_of_kind);
    let told = mistakes(&of_kind);
    let mut notes = std::io::stderr().lock();
    for mistake in mistakes(&others) {
        if !told.contains(&mistake) {
            writeln!(notes, "planescape: {file}: {mistake}")?;
        }
    }
    Ok(of_kind)
}

fn read(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().read_to_string(&mut text),
        file => File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", shown(file)))?;
    Ok(text)
}

/// How messages name a file.
pub(super) fn shown(file: &str) -> &str {
    match file {
        "-" => "standard input",
        file => file,
    }
}

/// The mistakes in the documents of some objects, each once.
pub(super) fn mistakes(objects: &[Object]) -> Vec<&str> {
    let mut found = Vec::new();
    for mistake in objects.iter().flat_map(|object| &object.mistakes) {
        if !found.contains(&mistake.as_str()) {
            found.push(mistake.as_str());
        }
    }
    found
}

/// The objects of a text, of lists too, with the keys and values that kubectl reads in it: 0400 is 256, and y is true.
///
/// # Errors
/// It is not YAML.
pub(super) fn objects(text: &str) -> anyhow::Result<Vec<Object>> {
    let documents: Vec<(Value, Vec<String>)> = match yaml::documents(text) {
        Ok(documents) => documents.into_iter().map(of_yaml).collect(),
        Err(message) => of_json(text).ok_or_else(|| anyhow!(message))?,
    };
    let are_said =
        |(value, mistakes): &(Value, Vec<String>)| !value.is_null() || !mistakes.is_empty();
    let objects = documents.into_iter().filter(are_said);
    let objects = objects.flat_map(|(value, mistakes)| {
        let of_one = move |value| Object {
            value,
            mistakes: mistakes.clone(),
        };
        of_document(value).into_iter().map(of_one)
    });
    Ok(objects.collect())
}

/// JSON need not be YAML 1.1, which takes no object right behind another one and no pairs of surrogates.
fn of_json(text: &str) -> Option<Vec<(Value, Vec<String>)>> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let documents = values.map(|value| Some((value.ok()?, Vec::new())));
    documents.collect()
}

fn of_yaml(document: yaml::Document) -> (Value, Vec<String>) {
    let mut mistakes = document.mistakes;
    let value = value(document.node, &mut mistakes);
    (value, mistakes)
}

fn value(node: Node, mistakes: &mut Vec<String>) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => value.into(),
        Node::Int(number) => number.into(),
        Node::Uint(number) => number.into(),
        Node::Float(number) => whole(number)
            .or_else(|| Number::from_f64(number))
            .map_or_else(
                || {
                    mistakes.push(
                        "`.inf` and `.nan` are not values of an object: put them in quotes"
                            .to_owned(),
                    );
                    Value::Null
                },
                Value::Number,
            ),
        Node::Text(text) => text.into(),
        Node::List(items) => items
            .into_iter()
            .map(|item| value(item, mistakes))
            .collect(),
        Node::Map(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, node)| (name, value(node, mistakes)))
                .collect()
        }
    }
}

/// kubectl sends 60.0 and 6e1 as 60.
fn whole(number: f64) -> Option<Number> {
    let is_whole = number.abs() < i64::MAX as f64 && number.fract() == 0.0;
    is_whole.then(|| Number::from(number as i64))
}

/// The document itself, or the items that it lists.
fn of_document(mut document: Value) -> Vec<Value> {
    let kind = document["kind"].as_str();
    let Some(kind) = kind.and_then(|kind| kind.strip_suffix("List")) else {
        return vec![document];
    };
    let kind = kind.to_owned();
    let Some(Value::Array(mut items)) = document.get_mut("items").map(Value::take) else {
        return Vec::new();
    };
    // The items of a CronJobList do not repeat their kind.
    for fields in items.iter_mut().filter_map(Value::as_object_mut) {
        if !kind.is_empty() && !fields.contains_key("kind") {
            fields.insert("kind".to_owned(), kind.as_str().into());
            fields.insert("apiVersion".to_owned(), document["apiVersion"].clone());
        }
    }
    items
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
            ("yes", json!(true)),
            ("yEs", json!("yEs")),
        ] {
            let objects = values(&format!("mode: {written}"));

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
        assert_eq!(values(list), expected);
    }

    #[test]
    fn a_key_that_stands_twice_is_a_mistake_of_its_document_alone() {
        let text = "spec:\n  suspend: true\n  suspend: false\n---\nkind: Job\n";

        let objects = objects(text).unwrap();

        let said = "line 3 says `suspend` a second time: leave one of them out";
        assert_eq!(mistakes(&objects), [said]);
        assert_eq!(objects[0].listed(&[]), said);
        assert!(objects[1].is_sound() && objects[1].value["kind"] == "Job");
    }

    #[test]
    fn reads_json_that_is_no_yaml() {
        let text = "{\n\t\"a\": \"\\ud83d\\ude00\"}{\"b\": 1}";

        assert_eq!(values(text), [json!({ "a": "😀" }), json!({ "b": 1 })]);
    }

    #[test]
    fn what_json_has_no_number_for_is_a_mistake() {
        let objects = objects("a: .nan").unwrap();

        assert!(objects[0].listed(&[]).contains("put them in quotes"));
    }

    fn values(text: &str) -> Vec<Value> {
        let objects = objects(text).unwrap();
        objects.into_iter().map(|object| object.value).collect()
    }
}
