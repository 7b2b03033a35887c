use super::*;
use crate::options::{Environment, Options};
use crate::template::Template;

const DOCUMENT: &str = r#"{
    "mounts": {
        "kv/": {"type": "kv", "options": {"version": "2"}},
        "kv/team": {"type": "kv", "options": {"version": 1}}
    },
    "responses": {
        "GET kv/data/app": {"data": {"data": {"user": "svc"}}},
        "GET kv/data/app?version=1": {"data": {"data": {"user": "old"}}},
        "GET kv/team/app/": {"data": {"user": "v1"}},
        "GET kv/data/gone": {"status": 404},
        "GET kv/data/denied": {"status": 403, "errors": ["permission denied"]},
        "LIST kv/metadata/": {"data": {"keys": ["b", "a"]}},
        "LIST kv/metadata/none": {"status": 404},
        "PUT pki/issue/web": {"data": {"certificate": "any"}},
        "PUT pki/issue/web {\"common_name\": \"a.example\"}": {"data": {"certificate": "a"}},
        "PUT pki/issue/other": {"data": {"certificate": "none"}},
        "PUT kv/data/new {\"data\": {\"k\": \"v\"}}": null,
        "PUT sys/seal": {"status": 204}
    }
}"#;

#[test]
fn requests_are_answered_as_the_mount_rewrites_them() {
    for path in ["kv/app", "kv/data/app"] {
        assert_eq!(user(&read(path)), "svc");
    }
    assert_eq!(user(&read("kv/app?version=1")), "old");
    assert_eq!(user(&read("kv/team/app")), "v1");
    assert!(responses().response(&read("kv/app?version=9")).is_none());
}

#[test]
fn parameters_choose_among_writes_and_any_is_the_last_choice() {
    let certificate =
        |name: &str| text(&write("pki/issue/web", "common_name", name), "certificate");
    assert_eq!(certificate("a.example"), "a");
    assert_eq!(certificate("b.example"), "any");

    for request in [write("kv/new", "k", "v"), write("sys/seal", "k", "v")] {
        let response = responses().response(&request);
        assert!(
            matches!(response, Some(Response::Answer(Answer::Secret(None)))),
            "{response:?}"
        );
    }
}

#[test]
fn a_certificate_is_found_in_the_answer_or_its_lack_is_told() {
    let request = |path: &str| Request::Pki {
        path: path.to_owned(),
        parameters: BTreeMap::new(),
        destination: None,
    };
    let pem = include_str!("../../testdata/pki/leaf.pem").replace('\n', "\\n");
    let document = DOCUMENT.replace("\"any\"", &format!("\"{pem}\""));
    let responses = Responses::from_json(document.as_bytes()).expect("it is right");

    let issued = responses.response(&request("pki/issue/web"));
    let Some(Response::Answer(Answer::Pki(certificate))) = issued else {
        panic!("{issued:?}");
    };
    assert!(
        certificate
            .certificate
            .starts_with(b"-----BEGIN CERTIFICATE-----")
    );

    let other = responses.response(&request("pki/issue/other"));
    assert!(matches!(other, Some(Response::Malformed(_))), "{other:?}");
}

#[test]
fn what_is_not_there_fails_a_read_and_empties_a_list() {
    assert_eq!(
        refusal("kv/gone"),
        (404, vec!["no secret exists at kv/data/gone".to_owned()])
    );
    assert_eq!(
        refusal("kv/denied"),
        (403, vec!["permission denied".to_owned()])
    );
    for (path, keys) in [("kv", vec!["b", "a"]), ("kv/none", vec![])] {
        let path = path.to_owned();
        let response = responses().response(&Request::List { path });
        let Some(Response::Answer(Answer::List(found))) = response else {
            panic!("{response:?}");
        };
        assert_eq!(found, keys);
    }
}

#[test]
fn a_missing_answer_is_named_by_its_key_without_values() {
    assert_eq!(
        responses().key(&read("kv/x?version=2")),
        "GET kv/data/x?version=2"
    );
    assert_eq!(
        responses().key(&write("kv/x", "password", "hunter2")),
        "PUT kv/data/x (with password)"
    );
}

#[test]
fn every_mistake_in_a_document_is_named_at_once() {
    let document = br#"{
        "mount": {},
        "mounts": {"a/": {}, "b/": {"type": "kv", "options": {"version": true}}},
        "responses": {"READ a": {}, "GET": {}, "GET a {}": {}, "PUT a [1]": {}, "GET b": 1, "GET c": {"status": 42}}
    }"#;
    let error = Responses::from_json(document).expect_err("it is wrong");
    let fields: Vec<&str> = error
        .problems
        .iter()
        .filter_map(|problem| problem.split(": ").next())
        .collect();
    assert_eq!(
        fields,
        [
            "mount",
            "mounts.a/",
            "mounts.b/",
            "responses.GET",
            "responses.GET a {}",
            "responses.GET b",
            "responses.GET c",
            "responses.PUT a [1]",
            "responses.READ a",
        ]
    );
    let error = Responses::from_json(b"{\"responses\": {\"GET a\": hunter2}}");
    let error = error.expect_err("no JSON").to_string();
    assert!(
        error.starts_with("not JSON") && !error.contains("hunter"),
        "{error}"
    );
}

fn responses() -> Responses {
    Responses::from_json(DOCUMENT.as_bytes()).expect("it is right")
}

fn read(path: &str) -> Request {
    let path = path.to_owned();
    Request::Read { path }
}

fn write(path: &str, key: &str, value: &str) -> Request {
    let parameters = [(key.to_owned(), value.to_owned())].into();
    let path = path.to_owned();
    Request::Write { path, parameters }
}

fn text(request: &Request, field: &str) -> String {
    match responses().response(request) {
        Some(Response::Answer(Answer::Secret(Some(secret)))) => {
            secret.text_field(field).unwrap_or_default().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// From either version of KV.
fn user(request: &Request) -> String {
    let Some(Response::Answer(Answer::Secret(Some(secret)))) = responses().response(request) else {
        panic!("{request} has no answer");
    };
    let inner = secret.data().get("data").unwrap_or(secret.data());
    inner
        .get("user")
        .and_then(planescape_vault::json::Datum::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn refusal(path: &str) -> (u16, Vec<String>) {
    match responses().response(&read(path)) {
        Some(Response::Refused { status, errors }) => (status, errors),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_version_is_a_failure_and_no_empty_text() {
    let document = br#"{"responses": {"GET kv/data/app": {"data": {"data": null, "metadata":
        {"deletion_time": "2020-01-01T00:00:00Z", "version": 2}}}}}"#;
    let responses = Responses::from_json(document).expect("they are responses");
    let text = br#"{{with secret "kv/data/app"}}{{.Data.data.user}}{{end}}"#;
    let template = Template::parse(text, &Options::default()).expect("it parses");
    let environment = Environment {
        now: std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000),
        ..Environment::default()
    };

    let outcome = responses.render(&template, &environment, |_| Err("no files".to_owned()));

    let error = outcome.expect_err("nothing is there to render");
    assert_eq!(
        error.to_string(),
        "GET kv/data/app: vault answered 404: the secret is deleted"
    );
}
