//! Requests of others on their way to Vault: what each of them means, whose token it carries, what is withheld from
//! its answer, and what it has revoked.
//!
//! A client may spell a path in many ways. Here it gets one spelling, and that goes to Vault, so that the path that
//! is judged is the one that is asked for.

mod path;
mod revoked;
mod withheld;

use planescape_agent_contract::ProxyToken;
use planescape_vault::SecretText;
use planescape_vault::wire::granted;

use crate::cache::Revocation;

/// Requests that renew something.
const RENEWALS: [&str; 5] = [
    "sys/leases/renew",
    "sys/renew",
    "auth/token/renew",
    "auth/token/renew-self",
    "auth/token/renew-accessor",
];
/// Renewals that name the lease in their path.
const RENEWALS_IN_PATHS: [&str; 2] = ["/sys/leases/renew/", "/sys/renew/"];

/// A request, as far as it decides anything.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Its path as it came, with its percent escapes.
    pub path: &'a str,
    /// `X-Vault-Namespace`.
    pub namespace: &'a str,
    /// `X-Vault-Token`, where that is not empty.
    pub token: Option<&'a SecretText>,
    /// Whether the answer is to be wrapped for somebody else.
    pub is_wrapped: bool,
    /// Its body, where that was short enough to be read.
    pub body: Option<&'a [u8]>,
}

/// A request that goes to Vault.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The path that goes to Vault.
    pub path: String,
    /// The same without percent escapes.
    pub meant: String,
    /// Its namespace with a slash at its end; `root/` where there is none.
    pub namespace: String,
    /// The token that goes to Vault.
    pub token: Option<SecretText>,
    /// Whether that is the agent's, even if the client brought it.
    pub carries_own: bool,
    /// Whether its answer is about the agent's token: it is read whole, however long it is.
    pub is_about_own: bool,
    /// Whether it deletes what is at its path.
    deletes: bool,
}

/// Why a request does not go to Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its path has escapes that are none.
    Path,
    /// The client that unwraps the answer would be told the agent's token.
    Wrapped,
}

impl Refused {
    /// The message for the client.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Path => "the path has a % that is followed by no two hexadecimal digits",
            Self::Wrapped => {
                "the agent's token is told to nobody: ask without X-Vault-Wrap-TTL, or with a token of your own"
            }
        }
    }
}

/// Decides whether and how a request goes to Vault; `own` is the agent's token.
///
/// # Errors
/// It does not go to Vault.
pub fn decide(
    asking: &Asking<'_>,
    whose: ProxyToken,
    own: Option<&SecretText>,
) -> Result<Passage, Refused> {
    let path = path::Spelt::read(asking.path).ok_or(Refused::Path)?;
    let token = match whose {
        ProxyToken::Request => asking.token,
        ProxyToken::AgentUnlessGiven => asking.token.or(own),
        ProxyToken::Agent => own,
    };
    let carries_own = token.is_some() && token == own;
    // Vault reads no body of other methods.
    let body = asking
        .body
        .filter(|_| matches!(asking.method, "POST" | "PUT"));
    let is_about_own = carries_own && withheld::is_about(&path.meant, body, own);
    if is_about_own && asking.is_wrapped {
        return Err(Refused::Wrapped);
    }
    Ok(Passage {
        path: path.sent,
        meant: path.meant,
        namespace: namespace(asking.namespace),
        token: token.cloned(),
        carries_own,
        is_about_own,
        deletes: asking.method == "DELETE",
    })
}

impl Passage {
    /// Vault's answer without what is withheld; `None` where nothing is.
    #[must_use]
    pub fn told(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let own = self.token.as_ref().filter(|_| self.carries_own)?;
        withheld::told(answer, own.expose(), self.is_about_own)
    }

    /// The revocation that Vault has done for this request; `body` is the request's, where it was read.
    #[must_use]
    pub fn revoked(&self, body: Option<&[u8]>) -> Option<Revocation> {
        revoked::by(self, body)
    }

    /// Whether an answer hands out what ends with the agent's token, or is made by it.
    #[must_use]
    pub fn is_granted(&self, answer: &[u8]) -> bool {
        self.carries_own && !self.renews() && granted(answer).is_some()
    }

    /// The same where no answer came, or one from a gateway with this status, which may have waited in vain.
    #[must_use]
    pub fn may_be_granted(&self, status: Option<u16>) -> bool {
        let is_lost = matches!(status, None | Some(502 | 504));
        is_lost && self.carries_own && !self.renews() && !self.meant.starts_with("/v1/sys/")
    }

    /// Whether its answer is about something that was handed out before.
    fn renews(&self) -> bool {
        let mut in_path = RENEWALS_IN_PATHS.iter();
        RENEWALS.iter().any(|known| self.ends(known))
            || in_path.any(|known| self.meant.contains(known))
    }

    /// Whether the path, or what follows a namespace in it, is this one.
    fn ends(&self, known: &str) -> bool {
        ends(&self.meant, known)
    }
}

/// Whether Vault has done the request, or may have: 202 says that it does so in a moment, and a gateway may have
/// waited for the answer in vain.
#[must_use]
pub fn may_be_done(status: u16) -> bool {
    matches!(status, 202 | 204 | 502 | 504)
}

fn ends(meant: &str, known: &str) -> bool {
    let before = meant
        .strip_prefix("/v1/")
        .and_then(|it| it.strip_suffix(known));
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// Without a slash in front and with one at the end; `root/` for none.
#[must_use]
pub fn namespace(name: &str) -> String {
    match name.trim_matches('/') {
        "" => "root/".to_owned(),
        name => format!("{name}/"),
    }
}

#[cfg(test)]
mod tests;
