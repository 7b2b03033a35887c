//! Typed access to the fields of a block. Every mistake is noted; no mistake stops the reading.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind of value but the asked one is refused alike"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::duration::parse_duration;
use crate::tree::{Body, Item, Value};
use crate::{FileMode, Id, Problem, Signal};

const NO_MODE: &str = "is not a file mode: write for example \"0400\"";

/// The problems and warnings noted while reading.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) problems: RefCell<Vec<Problem>>,
    pub(crate) warnings: RefCell<Vec<Problem>>,
    /// Every key that was asked for, under the path of its block, with its type; for the reference page.
    #[cfg(test)]
    pub(crate) known: RefCell<BTreeMap<(String, &'static str), &'static str>>,
}

/// How `vault agent` reads a block, which decides which values may be written there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Keys in any case. A number may stand for a text, and for a boolean.
    Loose,
    /// Keys in any case. A number is not a text.
    Typed,
    /// Keys as they stand. A number is not a text, and may stand for a boolean.
    Map,
}

impl Manner {
    /// The manner of a block inside.
    fn inside(self, key: &str) -> Self {
        match key {
            "config" => Self::Map,
            "template" | "env_template" | "exec" | "planescape" => Self::Typed,
            _ => self,
        }
    }

    fn is(self, written: &str, key: &str) -> bool {
        match self {
            Self::Loose | Self::Typed => written.eq_ignore_ascii_case(key),
            Self::Map => written == key,
        }
    }
}

/// One block, and its place.
pub(crate) struct Reader<'a> {
    items: Vec<&'a Item>,
    /// The block's own path; empty at the top.
    path: String,
    labels: Vec<&'a str>,
    manner: Manner,
    asked: RefCell<BTreeSet<&'static str>>,
    notes: &'a Notes,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a Body, notes: &'a Notes) -> Self {
        Self {
            items: body.iter().collect(),
            path: String::new(),
            labels: Vec::new(),
            manner: Manner::Loose,
            asked: RefCell::default(),
            notes,
        }
    }

    /// Marks keys as known although they have no effect here.
    pub(crate) fn ignore(&self, keys: &[&'static str]) {
        keys.iter().for_each(|key| self.ask(key));
    }

    /// Two values that need each other.
    pub(crate) fn both(
        &self,
        first: (&'static str, Option<String>),
        second: (&'static str, Option<String>),
    ) -> Option<(String, String)> {
        match (first, second) {
            ((_, Some(first)), (_, Some(second))) => Some((first, second)),
            ((_, None), (_, None)) => None,
            ((there, Some(_)), (missing, None)) | ((missing, None), (there, Some(_))) => {
                self.problem(missing, format!("is missing: {there} needs it"));
                None
            }
        }
    }

    /// Whether a key is there, with any value.
    pub(crate) fn is_set(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// The block's one label, or its `type`, which wins.
    pub(crate) fn kind(&self) -> Option<String> {
        self.string("type")
            .or_else(|| match self.labels.as_slice() {
                [label] => Some(label.to_lowercase()),
                _ => None,
            })
    }

    /// The block's labels.
    pub(crate) fn labels(&self) -> &[&'a str] {
        &self.labels
    }

    pub(crate) fn problem(&self, key: &str, reason: impl Into<String>) {
        self.notes.problems.borrow_mut().push(Problem {
            field: self.field(key),
            reason: reason.into(),
        });
    }

    pub(crate) fn warn(&self, key: &str, reason: impl Into<String>) {
        self.notes.warnings.borrow_mut().push(Problem {
            field: self.field(key),
            reason: reason.into(),
        });
    }

    pub(crate) fn field(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn ask(&self, key: &'static str) {
        self.asked.borrow_mut().insert(key);
        self.takes(key, "");
    }

    /// Notes the type of a key for the reference page. A reader that uses another reader notes its own type first.
    #[cfg(test)]
    fn takes(&self, key: &'static str, kind: &'static str) {
        let block = self.path.replace(|c: char| "[]0123456789".contains(c), "");
        let mut known = self.notes.known.borrow_mut();
        let before = known.entry((block, key)).or_default();
        if before.is_empty() {
            *before = kind;
        }
    }

    #[cfg(not(test))]
    #[inline]
    fn takes(&self, _: &'static str, _: &'static str) {}

    /// The items of a key, in order.
    fn named(&self, key: &str) -> impl DoubleEndedIterator<Item = &'a Item> {
        let items = self.items.iter().copied();
        items.filter(move |item| self.manner.is(&item.key, key))
    }

    /// The last item of a key; the last wins, as in OpenBao.
    fn item(&self, key: &'static str) -> Option<&'a Item> {
        self.ask(key);
        let item = self.named(key).next_back()?;
        (item.value != Value::Null).then_some(item)
    }

    fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.item(key).map(|item| &item.value)
    }

    /// A text that is not empty.
    pub(crate) fn string(&self, key: &'static str) -> Option<String> {
        self.takes(key, "text");
        let item = self.item(key)?;
        match &item.value {
            Value::String(text) => (!text.is_empty()).then(|| text.clone()),
            Value::Integer(_) if self.manner == Manner::Loose => Some(item.number.clone()),
            other => {
                self.problem(key, format!("expected a string, found {}", other.kind()));
                None
            }
        }
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.takes(key, "boolean");
        let is_weak = self.manner != Manner::Typed;
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::Integer(number) if is_weak || (0..=1).contains(number) => Some(*number != 0),
            Value::Float(number) if is_weak => Some(*number != 0.0),
            Value::String(text) if is_weak && text.is_empty() => Some(false),
            Value::String(text) => {
                let flag = parse_bool(text);
                if flag.is_none() {
                    self.problem(
                        key,
                        format!("`{text}` is not a boolean: write true or false"),
                    );
                }
                flag
            }
            other => {
                self.problem(key, format!("expected a boolean, found {}", other.kind()));
                None
            }
        }
    }

    pub(crate) fn integer(&self, key: &'static str) -> Option<i64> {
        self.takes(key, "number");
        match self.value(key)? {
            Value::Integer(number) => Some(*number),
            Value::String(text) if text.is_empty() && self.manner == Manner::Loose => None,
            Value::String(text) if text.parse::<i64>().is_ok() => text.parse().ok(),
            other => {
                self.problem(
                    key,
                    format!("expected a whole number, found {}", other.kind()),
                );
                None
            }
        }
    }

    pub(crate) fn fraction(&self, key: &'static str) -> Option<f64> {
        self.takes(key, "fraction");
        match self.value(key)? {
            Value::Float(number) => Some(*number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "only 0 and 1 are near the range"
            )]
            Value::Integer(number) => Some(*number as f64),
            other => {
                self.problem(key, format!("expected a number, found {}", other.kind()));
                None
            }
        }
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.takes(key, "duration");
        let text = match self.value(key)? {
            Value::String(text) => text.clone(),
            Value::Integer(seconds) => seconds.to_string(),
            Value::Float(seconds) => seconds.to_string(),
            other => {
                self.problem(key, format!("expected a duration, found {}", other.kind()));
                return None;
            }
        };
        parse_duration(&text)
            .map_err(|error| self.problem(key, error.to_string()))
            .ok()
    }

    /// Permission bits: a number, which HCL may write in octal, or an octal text.
    pub(crate) fn mode(&self, key: &'static str) -> Option<FileMode> {
        self.takes(key, "mode");
        let mode = match self.value(key)? {
            Value::Integer(bits) => u32::try_from(*bits).ok().and_then(FileMode::from_bits),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => FileMode::parse(text),
            other => {
                self.problem(key, format!("expected a file mode, found {}", other.kind()));
                return None;
            }
        };
        if mode.is_none() {
            self.problem(key, NO_MODE);
        }
        mode
    }

    /// Permission bits whose digits are octal, even if they are written as a number.
    pub(crate) fn octal(&self, key: &'static str) -> Option<FileMode> {
        self.takes(key, "mode");
        let mode = FileMode::parse(&self.string(key)?);
        if mode.is_none() {
            self.problem(key, NO_MODE);
        }
        mode
    }

    /// The number of a user or a group; -1, in 32 bits or in more, counts as unset.
    pub(crate) fn id(&self, key: &'static str) -> Option<Id> {
        let number = self.integer(key)?;
        if number == -1 || number == i64::from(u32::MAX) {
            return None;
        }
        let id = Id::from_number(number);
        if id.is_none() {
            self.problem(key, "is not the number of a user or a group");
        }
        id
    }

    /// A signal by its name.
    pub(crate) fn signal(&self, key: &'static str) -> Option<Signal> {
        let name = self.string(key)?;
        let signal = Signal::named(&name);
        if signal.is_none() {
            self.problem(
                key,
                format!("invalid signal \"{name}\": write for example SIGTERM"),
            );
        }
        signal
    }

    /// A text, or a number as text.
    pub(crate) fn text_or_number(&self, key: &'static str) -> Option<String> {
        self.takes(key, "name or number");
        match self.value(key)? {
            Value::Integer(number) => Some(number.to_string()),
            _ => self.string(key),
        }
    }

    /// The text of a key, if its value is one.
    pub(crate) fn text(&self, key: &'static str) -> Option<&'a str> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The words of a command: a list of texts, or one text, which stays whole.
    pub(crate) fn words(&self, key: &'static str) -> Vec<String> {
        self.takes(key, "command");
        match self.text(key) {
            Some("") => Vec::new(),
            Some(text) => vec![text.to_owned()],
            None => self.strings(key),
        }
    }

    /// A list of texts, or one text with commas.
    pub(crate) fn strings(&self, key: &'static str) -> Vec<String> {
        self.takes(key, "list");
        match self.value(key) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(Value::List(values)) => values
                .iter()
                .filter_map(|value| match value {
                    Value::String(text) => Some(text.clone()),
                    other => {
                        self.problem(key, format!("expected strings, found {}", other.kind()));
                        None
                    }
                })
                .collect(),
            Some(other) => {
                self.problem(key, format!("expected a list, found {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// The one block of this name; an empty one if there is none, so that defaults are read
    /// like values.
    pub(crate) fn block(&self, key: &'static str) -> Self {
        let mut blocks = self.blocks(key);
        if blocks.len() > 1 {
            self.problem(key, format!("at most one \"{key}\" block is allowed"));
        }
        let last = blocks.pop();
        Self {
            path: self.field(key),
            labels: last
                .as_ref()
                .map_or_else(Vec::new, |block| block.labels.clone()),
            manner: self.manner.inside(key),
            items: last.map_or_else(Vec::new, |block| block.items),
            asked: RefCell::default(),
            notes: self.notes,
        }
    }

    /// The last block of this name, if there is one.
    pub(crate) fn last_block(&self, key: &'static str) -> Option<Self> {
        self.blocks(key).pop()
    }

    /// Every block of this name: repeated, or as a list of objects.
    pub(crate) fn blocks(&self, key: &'static str) -> Vec<Self> {
        self.takes(key, "block");
        self.ask(key);
        let mut blocks = Vec::new();
        for item in self.named(key) {
            let labels = item.labels.iter().map(String::as_str).collect();
            self.collect(key, labels, &item.value, &mut blocks);
        }
        blocks
    }

    fn collect(
        &self,
        key: &'static str,
        labels: Vec<&'a str>,
        value: &'a Value,
        blocks: &mut Vec<Self>,
    ) {
        match value {
            Value::Body(body) if labels.is_empty() && are_labels(key, body) => {
                for item in body {
                    self.collect(key, vec![&item.key], &item.value, blocks);
                }
            }
            Value::Body(body) => blocks.push(Self {
                items: body.iter().collect(),
                path: format!("{}[{}]", self.field(key), blocks.len()),
                labels,
                manner: self.manner.inside(key),
                asked: RefCell::default(),
                notes: self.notes,
            }),
            Value::List(values) => {
                for value in values {
                    self.collect(key, labels.clone(), value, blocks);
                }
            }
            Value::Null => {}
            other => self.problem(key, format!("expected a block, found {}", other.kind())),
        }
    }

    /// Keys that no reader asked for, each once, with a guess at the key that was meant.
    fn unknown(&self) -> Vec<(&'a str, String)> {
        let asked = self.asked.borrow();
        let unknown: BTreeMap<&str, &Item> = self
            .items
            .iter()
            .map(|item| (item.key.as_str(), *item))
            .filter(|(key, _)| !asked.iter().any(|known| self.manner.is(key, known)))
            .collect();
        let unknown = unknown.into_iter().map(|(key, item)| {
            let guess = match closest(key, &asked) {
                Some(known) => format!("; did you mean `{known}`?"),
                None => String::new(),
            };
            (key, format!("{}{{}}{guess}", item.place))
        });
        unknown.collect()
    }

    /// To call after everything was read: unknown keys here are mistakes.
    pub(crate) fn deny_unknown(&self) {
        for (key, around) in self.unknown() {
            self.problem(
                key,
                around.replace("{}", &format!("has invalid keys: {key}")),
            );
        }
    }

    /// To call after everything was read: unknown keys here are worth a warning.
    pub(crate) fn warn_unknown(&self) {
        for (key, around) in self.unknown() {
            self.warn(
                key,
                around.replace("{}", "is not a known key and has no effect"),
            );
        }
    }
}

/// The known key that a misspelt one is closest to.
fn closest(key: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    let (distance, known) = known
        .iter()
        .map(|known| (strsim::osa_distance(key, known), *known))
        .min()?;
    (distance <= 1 + key.chars().count() / 3).then_some(known)
}

/// Blocks with labels.
const LABELLED: [&str; 5] = ["method", "sink", "listener", "persist", "env_template"];
/// Blocks inside of those.
const INSIDE: [&str; 6] = [
    "config",
    "agent_api",
    "proxy_api",
    "telemetry",
    "profiling",
    "inflight_requests_logging",
];

/// In JSON a label is a level of its own: `{"method": {"kubernetes": {…}}}`.
fn are_labels(key: &str, body: &Body) -> bool {
    let is_label = |item: &Item| {
        let holds_blocks = match &item.value {
            Value::Body(_) => true,
            Value::List(values) => values.iter().all(|it| matches!(it, Value::Body(_))),
            _ => false,
        };
        // A variable may have any name.
        let is_inside =
            key != "env_template" && INSIDE.iter().any(|it| item.key.eq_ignore_ascii_case(it));
        holds_blocks && !is_inside
    };
    LABELLED.contains(&key) && !body.is_empty() && body.iter().all(is_label)
}

/// The spellings that Go's `strconv.ParseBool` knows.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_differs_by_a_letter_and_one_more_for_each_three_of_the_key() {
        for (key, known, is_meant) in [
            ("ab", "ac", true),
            ("ab", "cd", false),
            ("abcd", "axxd", true),
            ("abcd", "axxx", false),
            ("abcdef", "abcxyz", true),
            ("abcdef", "abwxyz", false),
        ] {
            let guess = closest(key, &BTreeSet::from([known]));

            assert_eq!(guess.is_some(), is_meant, "{key} {known}");
        }
    }
}
