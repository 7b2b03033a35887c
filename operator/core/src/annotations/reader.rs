//! Looks annotations up by their name without prefix, and collects what is wrong with them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{keys, shorthand, values};
use crate::problem::Problem;

/// The place of annotations in a PlanescapeJob.
const FIELD: &str = "spec.jobTemplate.spec.template.metadata.annotations";

pub(super) struct Reader {
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
    /// Whether the author writes the shorthand, where what is missing is to be written then.
    has_shorthand: bool,
}

struct Entry {
    /// The field that holds the value.
    field: String,
    value: String,
}

impl Reader {
    pub(super) fn new(template: &Value) -> Self {
        let mut reader = Self {
            entries: BTreeMap::new(),
            problems: Vec::new(),
            has_shorthand: false,
        };
        let annotations = template
            .pointer("/metadata/annotations")
            .and_then(Value::as_object);
        for (key, value) in annotations.into_iter().flatten() {
            let Some(name) = keys::name(key) else {
                continue;
            };
            if let Some(value) = value.as_str() {
                reader.add(name, format!("{FIELD}[{key}]"), value);
            }
        }
        reader
    }

    pub(super) fn expect_shorthand(&mut self) {
        self.has_shorthand = true;
    }

    /// Adds a value that was written at `field`. Two values of one key must be equal.
    pub(super) fn add(&mut self, name: &str, field: String, value: &str) {
        let Some(entry) = self.entries.get(name) else {
            let value = value.to_owned();
            self.entries.insert(name.to_owned(), Entry { field, value });
            return;
        };
        if entry.value != value {
            let message = format!("contradicts {}", entry.field);
            self.problems.push(Problem::template(field, message));
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.entries.get(name).map(|entry| entry.value.clone())
    }

    /// A text that must not be empty where it is given.
    pub(super) fn required_text(&mut self, name: &str) -> Option<String> {
        self.parse(name, |text| match text {
            "" => Err("is empty".to_owned()),
            text => Ok(text.to_owned()),
        })
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(&self.entries.get(name)?.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        self.parse(name, values::boolean).unwrap_or(default)
    }

    /// Removes a value that is no annotation of the injector.
    pub(super) fn forget(&mut self, name: &str) {
        self.entries.remove(name);
    }

    /// Every key that begins so, by what follows, and its value.
    pub(super) fn suffixed(&self, prefix: &str) -> Vec<(String, String)> {
        let is_of_prefix =
            |name: &str| keys::find(name).is_some_and(|key| key.takes_suffix && key.name == prefix);
        self.entries
            .iter()
            .filter(|(name, _)| is_of_prefix(name))
            .map(|(name, entry)| (name[prefix.len()..].to_owned(), entry.value.clone()))
            .collect()
    }

    pub(super) fn field(&self, name: &str) -> String {
        let of_shorthand = shorthand::field(name).filter(|_| self.has_shorthand);
        match (self.entries.get(name), of_shorthand) {
            (Some(entry), _) => entry.field.clone(),
            (None, Some(field)) => field.to_owned(),
            (None, None) => format!("{FIELD}[{}{name}]", keys::PREFIXES[0]),
        }
    }

    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let field = self.field(name);
        self.problems.push(Problem::template(field, message));
    }

    pub(super) fn refuse_unknown_keys(&mut self) {
        for (name, entry) in &self.entries {
            let message = match keys::find(name) {
                Some(key) if key.is_built => continue,
                Some(_) => "is not supported yet".to_owned(),
                None => format!("is unknown; did you mean {}?", keys::nearest(name)),
            };
            let problem = Problem::template(entry.field.clone(), message);
            self.problems.push(problem);
        }
    }

    /// The reading, unless something was refused.
    pub(super) fn finish<T>(mut self, reading: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(reading);
        }
        self.problems.sort();
        self.problems.dedup();
        Err(self.problems)
    }
}
