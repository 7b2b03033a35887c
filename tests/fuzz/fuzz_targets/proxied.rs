//! A request to a listener may say anything, and spell its path in any way. If it goes on with the agent's token, its
//! answer never tells that token.
//!
//! The input's lines are method, path, letters for what else there is, and a namespace; the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_agent_contract::ProxyToken;
use planescape_agent_core::{Asking, Passage, decide};
use planescape_vault::SecretText;
use serde_json::{Value, json};

const OWN: &str = "hvs.own";
/// Vault may give the same token another text.
const RENEWED: &str = "hvs.renewed";
const ACCESSOR: &str = "accessor-of-own";

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, letters, namespace, body) = (line(), line(), line(), line(), line());
    let has = |letter| letters.contains(letter);
    let (own, other) = (
        SecretText::new(OWN.into()),
        SecretText::new("hvs.other".into()),
    );
    let asking = Asking {
        method,
        path,
        namespace,
        token: if has('o') {
            Some(&own)
        } else {
            has('a').then_some(&other)
        },
        is_wrapped: has('w'),
        body: (!has('l')).then_some(body.as_bytes()),
    };
    let whose = match (has('r'), has('f')) {
        (true, _) => ProxyToken::Request,
        (false, true) => ProxyToken::Agent,
        (false, false) => ProxyToken::AgentUnlessGiven,
    };
    let Ok(passage) = decide(&asking, whose, Some(&own)) else {
        return;
    };
    let again = Asking {
        path: &passage.path,
        ..asking
    };
    let again = decide(&again, whose, Some(&own)).expect("it is spelt well");
    assert_eq!(again.path, passage.path);
    let _ = passage.revoked(asking.body);
    let answer = vault(&passage, method, body, if has('s') { RENEWED } else { OWN });
    let said = answer.to_string().into_bytes();
    let told = passage.told(&said);
    if !passage.carries_own {
        assert_eq!(told, None, "it is about somebody else's token");
        return;
    }
    let told = String::from_utf8(told.unwrap_or(said)).expect("it is JSON");
    let is_told = [OWN, RENEWED, ACCESSOR]
        .iter()
        .any(|secret| told.contains(secret));
    assert!(!is_told, "{told}");
    assert!(
        !asking.is_wrapped || answer.is_null(),
        "it would be wrapped"
    );
});

/// Vault's answer about the token that asks; null where it says nothing of it.
fn vault(passage: &Passage, method: &str, body: &str, text: &str) -> Value {
    let path = String::from_utf8_lossy(&decoded(&passage.path)).into_owned();
    let mut segments = path.split('/').rev();
    let last = segments.next();
    let is_token = segments.next() == Some("token") && segments.next() == Some("auth");
    if !is_token || !path.starts_with("/v1/") {
        return Value::Null;
    }
    let named = match method {
        "POST" | "PUT" => serde_json::from_str::<Value>(body).unwrap_or_default(),
        _ => Value::Null,
    };
    let is_own = matches!(named["token"].as_str(), None | Some("" | OWN));
    match last {
        Some("lookup-self") => json!({"data": {"id": text, "accessor": ACCESSOR, "ttl": 7}}),
        Some("lookup") if is_own => json!({"data": {"id": text, "accessor": ACCESSOR}}),
        Some("renew-self") => json!({"auth": {"client_token": text, "accessor": ACCESSOR}}),
        Some("renew") if is_own => json!({"auth": {"client_token": text, "accessor": ACCESSOR}}),
        _ => Value::Null,
    }
}

/// The path as a server in Go reads it.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit().expect("a digit"), digit().expect("a digit"));
                u8::try_from(high * 16 + low).expect("two digits")
            }
            b'?' | b'#' | b'\\' | 0..=32 | 127.. => panic!("{path} is another path on its way"),
            byte => byte,
        });
    }
    assert!(decoded.starts_with(b"/"));
    for segment in decoded[1..]
        .split(|&byte| byte == b'/')
        .filter(|_| decoded.len() > 1)
    {
        assert!(
            ![&b""[..], b".", b".."].contains(&segment),
            "{path} is redirected"
        );
    }
    decoded
}
