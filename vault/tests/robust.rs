//! Any answer of a server becomes what it says or an error, never a panic, and nothing of it in the error.

use planescape_vault::{Secret, SecretText, wire};
use proptest::prelude::*;

const CANARY: &str = "hunter2-canary";

const ANSWERS: [&str; 5] = [
    r#"{"request_id": "r", "lease_id": "database/creds/a/1", "lease_duration": 3600, "renewable": true,
        "data": {"username": "u", "password": "hunter2-canary"}, "warnings": ["w"], "wrap_info": null}"#,
    r#"{"auth": {"client_token": "hunter2-canary", "accessor": "a", "policies": ["p"], "metadata": {"k": "v"},
        "lease_duration": 60, "renewable": true, "orphan": false, "entity_id": "e"}}"#,
    r#"{"data": {"keys": ["a", "b/"]}}"#,
    r#"{"wrap_info": {"token": "hunter2-canary", "accessor": "a", "ttl": 300,
        "creation_time": "2026-01-02T15:04:05.123Z", "creation_path": "auth/a/login", "wrapped_accessor": "w"}}"#,
    r#"{"errors": ["permission denied"]}"#,
];

const WORDS: [&str; 14] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    "null",
    "-1",
    "1e999",
    "1.5",
    "18446744073709551616",
    "true",
    "\\ud800",
    "\u{0}",
];

fn read(body: &[u8]) -> Vec<String> {
    let token = SecretText::new(CANARY.to_owned());
    let told = [
        Secret::from_json(body).err().map(|error| error.to_string()),
        wire::logged_in(body).err().map(|error| error.to_string()),
        wire::looked_up(token, body)
            .err()
            .map(|error| error.to_string()),
        wire::wrapped(body).err().map(|error| error.to_string()),
        wire::wrapped_by(body).err().map(|error| error.to_string()),
        wire::secret_id(body).err().map(|error| error.to_string()),
        wire::renewed_token(body)
            .err()
            .map(|error| error.to_string()),
        wire::renewed_lease(body)
            .err()
            .map(|error| error.to_string()),
        wire::listed(body).err().map(|error| error.to_string()),
    ];
    let _ = wire::granted(body);
    told.into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_answer_is_read_or_refused_without_quoting_it(
        answer in prop::sample::select(&ANSWERS[..]),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..10usize, prop::sample::select(&WORDS[..])), 1..4),
    ) {
        let mut bytes = answer.as_bytes().to_vec();
        for (at, taken, word) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + taken).min(bytes.len());
            bytes.splice(at..end, word.bytes());
        }
        for told in read(&bytes) {
            prop_assert!(!told.contains(CANARY), "{}", told);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }
}

#[test]
fn deep_nesting_is_refused_and_not_overflowed() {
    for text in ["[", "{\"data\":", "{\"data\":["] {
        read(text.repeat(200_000).as_bytes());
    }
}
