//! Reads the canned answers that both engines render from.

use std::collections::BTreeMap;

use planescape_templates::{Answer, Answers, Request};
use planescape_vault::Secret;
use serde_json::value::RawValue;

pub(crate) fn load(document: &str) -> Answers {
    // Bodies stay texts, because the digits of numbers matter.
    let parts: BTreeMap<String, &RawValue> =
        serde_json::from_str(document).expect("the answers are JSON");
    let responses: BTreeMap<String, &RawValue> =
        serde_json::from_str(parts["responses"].get()).expect("there are answers");
    let mut answers = Answers::new();
    for (key, body) in responses {
        let mut parts = key.splitn(3, ' ');
        let method = parts.next().unwrap_or_default();
        let path = parts.next().unwrap_or_default().to_owned();
        let parameters: BTreeMap<String, String> = parts
            .next()
            .map(|text| serde_json::from_str(text).expect("parameters are JSON"))
            .unwrap_or_default();
        let secret = Secret::from_json(body.get().as_bytes()).expect("an answer is an object");
        for path in [path.clone(), short(&path)] {
            let (request, answer) = match method {
                "LIST" => {
                    let keys = secret.list_field("keys").unwrap_or_default();
                    (Request::List { path }, Answer::List(keys))
                }
                "PUT" => {
                    let parameters = parameters.clone();
                    let answer = Answer::Secret(Some(secret.clone()));
                    (Request::Write { path, parameters }, answer)
                }
                _ => {
                    let answer = Answer::Secret(Some(secret.clone()));
                    (Request::Read { path }, answer)
                }
            };
            answers.insert(request, answer);
        }
    }
    answers
}

/// The same path as a template may write it.
fn short(path: &str) -> String {
    match path {
        "kv/metadata" => "kv".to_owned(),
        path => path.replace("kv/data/", "kv/"),
    }
}
