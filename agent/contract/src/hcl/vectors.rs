//! Random texts, and the results that version 1.0.1-vault-7 of the original gives for them.

use serde_json::{Value as Json, json};

use crate::tree::{Body, Value};

#[test]
fn texts_mean_what_they_mean_to_the_original() {
    for line in include_str!("../../testdata/hcl.jsonl").lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let text = case["text"].as_str().unwrap();
        let ours = super::parse(text).map_or(Json::Null, |body| items(&body));

        assert_eq!(ours, case["items"], "{text}");
    }
}

fn items(body: &Body) -> Json {
    body.iter()
        .map(|item| {
            let keys: Vec<&String> = std::iter::once(&item.key).chain(&item.labels).collect();
            json!({ "keys": keys, "value": value(&item.value) })
        })
        .collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(number) => json!({ "i": number.to_string() }),
        Value::Float(number) => json!({ "f": number.to_string() }),
        Value::Bool(flag) => json!(flag),
        Value::List(values) => {
            let values: Vec<Json> = values.iter().map(self::value).collect();
            json!({ "list": values })
        }
        Value::Body(body) => json!({ "body": items(body) }),
        Value::Null => Json::Null,
    }
}
