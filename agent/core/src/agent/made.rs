//! Tokens that templates make. A child of the agent's token ends with it; an orphan would outlive it.

use planescape_templates::{Answer, Request};
use planescape_vault::{Grant, Login, SecretText};

use super::Agent;
use crate::clock::Moment;

impl Agent {
    /// Names, remembers and revokes an orphan like the agent's own token.
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
            let remember = self.session.remember(&living.token, &living.accessor);
            self.commands.extend(remember);
            shutdown.add(living, now);
            return;
        }
        let remember = self.session.adopt(made, namespace, now);
        self.commands.extend(remember);
        self.introduce(now);
    }
}

/// Whether an answer is wrapped for somebody else, so that the agent does not know what it has made.
pub(super) fn is_wrapped(request: &Request, answer: &Answer) -> bool {
    let Answer::Secret(Some(secret)) = answer else {
        return false;
    };
    // Requests below this path wrap something that was there before.
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
