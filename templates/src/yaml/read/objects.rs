//! Documents as kubectl hands them on: JSON, whose keys are texts.

use std::collections::BTreeSet;

use super::{Key, MAX_DEPTH, Reader, error_at};
use crate::error::Failure;
use crate::value::Value;
use crate::yaml::scan::Token;
use crate::yaml::{emit, encoding};

/// Aliases may add so many values to those that are written out.
const REPEATED: usize = 1_000_000;

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its value. Of keys that are the same, the last one counts.
    pub node: Node,
    /// The mistakes in its keys, each with its line.
    pub mistakes: Vec<String>,
}

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing, or `~`.
    Null,
    /// `true`, and its synonyms.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond those.
    Uint(u64),
    /// Another number, which may be infinite, or none.
    Float(f64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping, with its keys as texts.
    Map(Vec<(String, Self)>),
}

/// The documents of a text, with the values that kubectl reads in it: `y` is true and `010` is 8, also where they are keys.
///
/// # Errors
/// It is not YAML; the reason has the line where that is known, and no value.
pub fn documents(text: &str) -> Result<Vec<Document>, String> {
    let text = encoding::decoded(text.as_bytes()).map_err(|failure| told(&failure))?;
    let mut reader = Reader::new(&text);
    // Each value that is written out takes a character, but for those of keys alone.
    let mut left = 2 * text.len() + REPEATED;
    let mut documents = Vec::new();
    while let Some((value, mistakes)) = reader.object().map_err(|failure| told(&failure))? {
        let node = node(&value, 0, &mut left)?;
        documents.push(Document { node, mistakes });
    }
    Ok(documents)
}

/// Notes the mistakes in the keys of one mapping.
pub(super) fn check_keys(entries: &[(Key, Value)], mistakes: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (key, _) in entries.iter().filter(|(key, _)| !key.is_merge) {
        let line = key.line + 1;
        match name(&key.value) {
            None => mistakes.push(format!(
                "line {line} has a key that is not a text: put it in quotes"
            )),
            Some(name) if seen.contains(&name) => mistakes.push(format!(
                "line {line} says `{name}` a second time: leave one of them out"
            )),
            Some(name) => {
                seen.insert(name);
            }
        }
    }
}

impl Reader {
    /// The next document, and the mistakes in its keys.
    fn object(&mut self) -> Result<Option<(Value, Vec<String>)>, Failure> {
        while self.peek()?.0 == Token::DocumentEnd {
            self.scanner.skip();
        }
        if self.peek()?.0 == Token::StreamEnd {
            return Ok(None);
        }
        self.anchors.clear();
        self.handles.clear();
        self.odd_keys = Some(Vec::new());
        let value = self.document()?;
        let (token, mark) = self.peek()?;
        match token {
            Token::StreamEnd
            | Token::DocumentStart
            | Token::DocumentEnd
            | Token::Version(..)
            | Token::TagDirective(..) => {}
            _ => {
                let problem = "did not find expected <document start>";
                return Err(error_at(problem, mark, mark));
            }
        }
        match self.mistake.take() {
            Some(mistake) => Err(mistake),
            None => Ok(Some((value, self.odd_keys.take().unwrap_or_default()))),
        }
    }
}

fn node(value: &Value, depth: usize, left: &mut usize) -> Result<Node, String> {
    let fewer = left.checked_sub(1);
    *left = fewer.ok_or_else(|| "its aliases repeat too much: write it out".to_owned())?;
    if depth > MAX_DEPTH {
        return Err("document is nested too deeply".to_owned());
    }
    Ok(match value {
        Value::Nil => Node::Null,
        Value::Bool(value) => Node::Bool(*value),
        Value::Int(number) => Node::Int(*number),
        Value::Uint64(number) => Node::Uint(*number),
        Value::Float(number) => Node::Float(*number),
        Value::Text(text) => Node::Text(String::from_utf8_lossy(text).into_owned()),
        Value::List(items) => {
            let items = items.iter().map(|item| node(item, depth + 1, left));
            Node::List(items.collect::<Result<_, _>>()?)
        }
        Value::AnyMap(entries) => {
            let mut fields = Vec::with_capacity(entries.len());
            for (key, value) in entries.iter() {
                let value = node(value, depth + 1, left)?;
                fields.extend(name(key).map(|name| (name, value)));
            }
            Node::Map(fields)
        }
        _ => unreachable!("the reader makes no other values"),
    })
}

/// The text that kubectl makes of a key; of some it makes none.
fn name(key: &Value) -> Option<String> {
    match key {
        Value::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Float(number) => {
            // It writes as many digits as a number of 32 bits has.
            let digits = (*number as f32).to_string().parse();
            Some(emit::float(digits.unwrap_or(*number)))
        }
        _ => None,
    }
}

/// The error without values, which may be secrets.
fn told(failure: &Failure) -> String {
    let message = failure.message(|_| false);
    message
        .strip_prefix("yaml: ")
        .unwrap_or(&message)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_texts_that_kubectl_makes_of_them() {
        for (written, name) in [
            ("y", "true"),
            ("Off", "false"),
            ("yEs", "yEs"),
            ("010", "8"),
            ("0x1F", "31"),
            ("1_0", "10"),
            ("1.0", "1"),
            ("0.1", "0.1"),
            ("1e6", "1e+06"),
            (".inf", ".inf"),
            ("2026-11-24", "2026-11-24"),
            ("'010'", "010"),
            ("\"y\"", "y"),
            ("null2", "null2"),
        ] {
            let document = one(&format!("{written}: v"));

            let expected = vec![(name.to_owned(), Node::Text("v".to_owned()))];
            assert_eq!(document.node, Node::Map(expected), "{written}");
            assert_eq!(document.mistakes, [""; 0], "{written}");
        }
    }

    #[test]
    fn words_are_the_booleans_of_go_yaml_and_no_others() {
        for (written, node) in [
            ("y", Node::Bool(true)),
            ("YES", Node::Bool(true)),
            ("On", Node::Bool(true)),
            ("n", Node::Bool(false)),
            ("yEs", Node::Text("yEs".to_owned())),
            ("oN", Node::Text("oN".to_owned())),
            ("tRUE", Node::Text("tRUE".to_owned())),
            ("'yes'", Node::Text("yes".to_owned())),
            ("~", Node::Null),
            ("18446744073709551615", Node::Uint(u64::MAX)),
        ] {
            let expected = Node::List(vec![node]);
            assert_eq!(one(&format!("- {written}")).node, expected, "{written}");
        }
    }

    #[test]
    fn a_mistake_in_the_keys_of_a_document_is_one_of_it_alone() {
        let documents = documents(
            "a: 1\n---\nb:\n  c: 1\n  d: {y: 1, 'true': 2}\n  c: 2\n~: 3\n--- # the last\na: 1\n",
        )
        .unwrap();

        let mistakes = documents.iter().map(|it| it.mistakes.clone());
        let expected = [
            vec![],
            vec![
                "line 5 says `true` a second time: leave one of them out",
                "line 6 says `c` a second time: leave one of them out",
                "line 7 has a key that is not a text: put it in quotes",
            ],
            vec![],
        ];
        assert_eq!(mistakes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_merged_may_be_said_anew() {
        let document = one("a: &a {x: 1, y2: 1}\nb: {<<: *a, x: 2}\n");

        assert_eq!(document.mistakes, [""; 0]);
        let Node::Map(fields) = document.node else {
            panic!("a mapping");
        };
        let merged = [("x", 2), ("y2", 1)].map(|(name, value)| (name.to_owned(), Node::Int(value)));
        assert!(fields.contains(&("b".to_owned(), Node::Map(merged.to_vec()))));
    }

    #[test]
    fn what_is_no_document_is_refused_with_the_reason() {
        let level = |name: char, below: char| {
            format!(
                "{name}: &{name} [{}]\n",
                vec![format!("*{below}"); 10].join(", ")
            )
        };
        let bomb: String = ('b'..='h')
            .zip('a'..='g')
            .map(|(name, below)| level(name, below))
            .collect();
        let nested: String = (1..=300)
            .map(|it| format!("a{it}: &a{it} [*a{}]\n", it - 1))
            .collect();
        for (text, reason) in [
            ("{a: 1}\n{b: 2}\n".to_owned(), "<document start>"),
            ("a: [".to_owned(), "did not find expected node content"),
            (
                "a: 1\n b: 2".to_owned(),
                "line 2: mapping values are not allowed in this context",
            ),
            (
                "a: !!int secret".to_owned(),
                "cannot decode !!str `[redacted]` as a !!int",
            ),
            (
                format!("a: &a [{}]\n{bomb}", "1,".repeat(10)),
                "aliases repeat too much",
            ),
            (format!("a0: &a0 []\n{nested}"), "nested too deeply"),
        ] {
            let message = documents(&text).unwrap_err();

            assert!(message.contains(reason), "{message}");
        }
    }

    fn one(text: &str) -> Document {
        let mut documents = documents(text).unwrap();
        assert_eq!(documents.len(), 1, "{text}");
        documents.remove(0)
    }
}
