//! Any bytes are an answer of Vault or a malformed one, whatever was asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use planescape_vault::{Secret, SecretText, wire};

fuzz_target!(|body: &[u8]| {
    let _ = wire::granted(body);
    let _ = wire::logged_in(body);
    let _ = wire::capabilities(body);
    let _ = wire::done(body);
    let _ = wire::looked_up(SecretText::new("token".to_owned()), body);
    let _ = wire::wrapped(body);
    let _ = wire::secret_id(body);
    let _ = wire::renewed_token(body);
    let _ = wire::renewed_lease(body);
    let _ = wire::listed(body);
    let _ = wire::refusal(400, body, None);
    if let Ok(secret) = Secret::from_json(body) {
        assert!(secret.says_the_same(&secret));
    }
});
