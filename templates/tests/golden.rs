//! Every line of `testdata/*.jsonl` is a template with the exact text, or a part of the error, that
//! consul-template gives; in `handlebars.jsonl`, that the guide promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use planescape_templates::{
    Answer, Answers, Certificate, Engine, Environment, Options, Output, Pass, Request, Template,
};
use planescape_vault::Secret;
use serde_json::{Value, json};

fn secret(body: &Value) -> Answer {
    let secret = Secret::from_json(body.to_string().as_bytes()).expect("a secret");
    Answer::Secret(Some(secret))
}

fn versioned(data: &Value) -> Value {
    json!({"data": {"data": data, "metadata": {"version": 3, "custom_metadata": null}}})
}

/// The answers that the golden templates find.
fn answer(request: &Request) -> Option<Answer> {
    let app2 = json!({"A": "1", "B": "two", "a-b": "x"});
    let body = match (request, request.path()) {
        (Request::List { .. }, "kv/metadata") => {
            return Some(Answer::List(vec!["app2".into(), "app".into()]));
        }
        (Request::Read { .. }, "kv/data/app" | "kv/app") => versioned(&json!({
            "user": "svc", "pass": "p&q<1>\"x\"", "port": 5432, "tls": true, "note": null,
            "hosts": ["a", "b"], "nested": {"k": "v"}, "b64": "aGVsbG8=", "multi": "l1\nl2"
        })),
        (Request::Read { .. }, "kv/data/app2") => versioned(&app2),
        (Request::Read { .. }, "kv/data/esc") => versioned(&json!({"v": "a&b<c>"})),
        (Request::Read { .. }, "secret/legacy") => {
            json!({"data": {"A": "1", "B": "2", "a-b": "x"}})
        }
        (Request::Read { .. }, "database/creds/ro") => json!({
            "lease_id": "database/creds/ro/1", "lease_duration": 3600, "renewable": true,
            "data": {"username": "v-ro-1", "password": "s3cr3t"}
        }),
        (Request::Read { .. }, "kv/numbers") => {
            let body =
                r#"{"data": {"port": 5432, "big": 1e6, "price": 1.50, "zero": 0, "none": 0.0}}"#;
            let secret = Secret::from_json(body.as_bytes()).expect("a secret");
            return Some(Answer::Secret(Some(secret)));
        }
        (Request::File { .. }, "/etc/motd") => return Some(Answer::File("hello".into())),
        (Request::Pki { .. }, "pki/issue/web") => {
            return Some(Answer::Pki(Certificate {
                certificate: "CERT".into(),
                key: "KEY".into(),
                authority: "CA".into(),
                chain: vec!["CA".into(), "ROOT".into()],
                validity: None,
            }));
        }
        (Request::Write { .. }, "pki/issue/web") => json!({"data": {
            "certificate": "CERT", "issuing_ca": "CA", "ca_chain": ["CA", "ROOT"], "private_key": "KEY"
        }}),
        // A secret that is not there is a nil, as for the original before it gives up.
        (Request::Read { .. }, "kv/data/gone") => return Some(Answer::Secret(None)),
        _ => return None,
    };
    Some(secret(&body))
}

fn options(case: &Value, engine: Engine) -> Options {
    let mut options = Options {
        engine,
        error_on_missing_key: match engine {
            Engine::Go => case["missingkey"] == "error",
            Engine::Handlebars => case["strict"] != false,
        },
        output: match case["output"].as_str() {
            Some(_) => Output::Base64Decoded,
            None => Output::Text,
        },
        ..Options::default()
    };
    if case["id"] == "R34" {
        options.left_delimiter = "<<".into();
        options.right_delimiter = ">>".into();
    }
    options
}

fn render(case: &Value, engine: Engine) -> Result<Vec<u8>, String> {
    let options = options(case, engine);
    let text = case["t"].as_str().expect("a template");
    let template = Template::parse(text.as_bytes(), &options).map_err(|error| error.to_string())?;
    let mut answers = Answers::new();
    let environment = Environment {
        variables: Arc::new(BTreeMap::from([("HOME".to_owned(), "/root".to_owned())])),
        ..Environment::default()
    };
    loop {
        let pass = match case.get("d") {
            Some(data) => {
                let data = data.to_string();
                template.render_with(data.as_bytes(), &answers, &environment)
            }
            None => template.render(&answers, &environment),
        };
        match pass.map_err(|error| error.to_string())? {
            Pass::Complete(rendered) => return Ok(rendered.text.to_vec()),
            Pass::Waiting { missing, .. } => {
                for request in missing {
                    let answer = answer(&request).expect("the fixture has everything");
                    answers.insert(request, answer);
                }
            }
        }
    }
}

fn check(cases: &str, engine: Engine) {
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a case per line");
        let result = render(&case, engine);
        let is_right = match (&result, case["e"].as_str(), case["err"].as_str()) {
            (Ok(text), Some(expected), _) => text == expected.as_bytes(),
            (Err(error), _, Some(part)) => error.contains(part),
            _ => false,
        };
        if !is_right {
            let shown = result.map(|text| String::from_utf8_lossy(&text).into_owned());
            wrong.push(format!("{line}\n  got {shown:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} wrong",
        wrong.join("\n"),
        wrong.len()
    );
}

#[test]
fn templates_that_people_write_render_to_the_same_bytes() {
    check(include_str!("../testdata/real_world.jsonl"), Engine::Go);
}
#[test]
fn every_corner_of_the_language_behaves_as_in_go() {
    check(include_str!("../testdata/language.jsonl"), Engine::Go);
}

#[cfg(feature = "handlebars")]
#[test]
fn handlebars_renders_what_the_guide_promises() {
    check(
        include_str!("../testdata/handlebars.jsonl"),
        Engine::Handlebars,
    );
}

#[test]
fn every_action_runs_as_in_go() {
    check(include_str!("../testdata/actions.jsonl"), Engine::Go);
}

#[test]
fn every_verb_prints_every_type_as_in_go() {
    check(include_str!("../testdata/printing.jsonl"), Engine::Go);
}

#[test]
fn functions_refuse_with_the_words_of_the_original() {
    check(include_str!("../testdata/functions.jsonl"), Engine::Go);
}
