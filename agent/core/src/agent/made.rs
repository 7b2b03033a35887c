//! Tokens that templates make. One below the agent's ends with that; an orphan would outlive it, in a file or in none.

use planescape_templates::{Answer, Request};
use planescape_vault::{Grant, Login, SecretText};

use super::Agent;
use crate::clock::Moment;

impl Agent {
    /// It is named, remembered and revoked like the agent's own.
    pub(super) fn adopt(&mut self, made: Login, namespace: Option<String>, now: Moment) {
        if !self.revoke_on_exit {
            return;
        }
        if made.accessor.is_empty() {
            // Vault revokes no batch token: it can only be counted.
            self.granted_to_others();
            return;
        }
        if let Some(shutdown) = self.life.shutdown() {
            let living = self.session.living(made, namespace, now);
            self.commands.extend(self.session.remember(&living));
            shutdown.add(living, now);
            return;
        }
        let remember = self.session.adopt(made, namespace, now);
        self.commands.extend(remember);
        self.introduce(now);
    }
}

/// Whether what an answer has made waits for somebody else, so that nobody here knows it.
pub(super) fn is_wrapped(request: &Request, answer: &Answer) -> bool {
    let Answer::Secret(Some(secret)) = answer else {
        return false;
    };
    // What these wrap was there before.
    secret.wrapping().is_some() && !request.path().contains("sys/wrapping/")
}

/// The orphan that an answer has made. Other answers speak of tokens, too, which are not the agent's to revoke.
#[must_use]
pub fn orphan(request: &Request, answer: &Answer) -> Option<Login> {
    let path = request.path();
    if !path.contains("auth/token/create") && !path.contains("/login") {
        return None;
    }
    let Answer::Secret(Some(secret)) = answer else {
        return None;
    };
    let auth = secret.auth().filter(|auth| auth.is_orphan)?;
    Some(Login {
        token: SecretText::token(auth.client_token.as_str()?.to_owned())?,
        accessor: auth.accessor.as_str()?.to_owned(),
        grant: Grant::new(secret.lease_duration(), auth.renewable),
        has_limited_uses: false,
        request: String::new(),
    })
}
