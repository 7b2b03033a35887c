//! Revokes tokens by their accessors, as an identity of its own that can do nothing else in Vault, but look for leases
//! whose ids it knows.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use planescape_operator_core::credentials::addresses;
use planescape_operator_core::credentials::left::{self, Place};
use planescape_operator_core::credentials::run::Run;
use planescape_vault::wire::fields;
use planescape_vault::{Error, SecretText};
use planescape_vault_client::Client;
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use super::vaults::{Vault, Vaults};
use super::{Program, bearer};
use crate::args::credentials::Credentials;

/// Revokes tokens by their accessors.
pub(super) struct Revoker {
    role: String,
    login: String,
    token_file: PathBuf,
    sessions: Mutex<HashMap<Place, Session>>,
}

/// A question to Vault.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// To revoke the token with this accessor.
    Revoke(&'a str),
    /// For the lease with this id.
    Look(&'a str),
}

impl Question<'_> {
    async fn ask(self, client: &Client, token: &SecretText) -> Result<(), Error> {
        match self {
            Self::Revoke(accessor) => client.revoke_accessor(accessor, bearer(token)).await,
            Self::Look(id) => client.look_up_lease(id, bearer(token)).await,
        }
    }
}

/// Why there is no token of ours.
enum Trouble {
    File(String),
    Login(Error),
}

/// Why it is not known whether Vault has a lease.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// It was not asked.
    #[error("{0}")]
    Unasked(String),
    /// It did not say.
    #[error("{0}")]
    Vault(Error),
}

/// A token of ours. The first caller that finds none logs in, and the others wait for that.
type Session = Arc<AsyncMutex<Option<SecretText>>>;

impl Program {
    /// Revokes a token of a run whose revocation Vault denies to itself; whether Vault has said that it is gone.
    /// Without a revoker nothing is done.
    pub(super) async fn revoke_by_accessor(&self, run: &Run, accessor: &str) -> bool {
        let Some(revoker) = self.revoker.as_ref().filter(|_| !accessor.is_empty()) else {
            return false;
        };
        let revoked = self.revoke(revoker, &run.order.place(), accessor).await;
        if let Err(trouble) = &revoked {
            let (job, namespace) = (&run.job, &run.owner.namespace);
            warn!(job, namespace, "a token may live on: {trouble}");
        }
        revoked.is_ok()
    }

    /// As [`Revoker::revoke`] has it, and counted.
    pub(super) async fn revoke(
        &self,
        revoker: &Revoker,
        place: &Place,
        accessor: &str,
    ) -> Result<(), String> {
        let revoked = revoker.revoke(&self.vaults, place, accessor).await;
        let word = match revoked.is_ok() {
            true => "Done",
            false => "RevokeFailed",
        };
        self.metrics.stepped("RevokeAccessor", word);
        revoked
    }
}

impl Revoker {
    /// None if no role for revocations is set.
    pub(super) fn new(settings: &Credentials) -> anyhow::Result<Option<Self>> {
        let role = settings.revocation_role.clone();
        let Some(role) = role.filter(|role| !role.is_empty()) else {
            return Ok(None);
        };
        let path = settings.revocation_auth_path()?;
        Ok(Some(Self {
            role,
            login: format!("{path}/login"),
            token_file: settings.revocation_token_file.clone(),
            sessions: Mutex::default(),
        }))
    }

    /// Returns when Vault has said that the token is revoked, or that it knows none by this accessor; otherwise why
    /// not.
    async fn revoke(&self, vaults: &Vaults, place: &Place, accessor: &str) -> Result<(), String> {
        let vault = vaults.of(place).await;
        let vault = vault.map_err(|refused| format!("Vault at {}: {refused}", place.address))?;
        match self.ask(place, &vault, Question::Revoke(accessor)).await {
            Ok(answer) => self.judge(answer),
            Err(Trouble::File(why)) => Err(why),
            Err(Trouble::Login(error)) => Err(left::sentence(&self.role, true, &error)),
        }
    }

    /// Whether Vault has a lease, whose token is revoked; none if it does not let us ask.
    pub(super) async fn has_lease(
        &self,
        vault: &Vault,
        place: &Place,
        id: &str,
    ) -> Result<Option<bool>, Unanswered> {
        match self.ask(place, vault, Question::Look(id)).await {
            Ok(Ok(())) => Ok(Some(true)),
            Ok(Err(error)) if left::is_unknown_lease(&error) => Ok(Some(false)),
            Ok(Err(error)) if left::is_denied(&error) => Ok(None),
            // The login of the revoker is not set up.
            Err(Trouble::Login(Error::Refused(refusal)))
                if matches!(refusal.status(), 400..=404) =>
            {
                Ok(None)
            }
            Ok(Err(error)) | Err(Trouble::Login(error)) => Err(Unanswered::Vault(error)),
            Err(Trouble::File(why)) => Err(Unanswered::Unasked(why)),
        }
    }

    /// Asks with a token of ours, which may have ended since it was made.
    async fn ask(
        &self,
        place: &Place,
        vault: &Vault,
        question: Question<'_>,
    ) -> Result<Result<(), Error>, Trouble> {
        let session = self.session(place);
        let (token, is_new) = self.token(&session, vault).await?;
        let (turn, client) = vault.client().await;
        let answer = question.ask(client, &token).await;
        drop(turn);
        match answer {
            Err(error) if !is_new && is_denied(&error) => {
                forget(&session, &token).await;
                let (token, _) = self.token(&session, vault).await?;
                let (_turn, client) = vault.client().await;
                Ok(question.ask(client, &token).await)
            }
            answer => Ok(answer),
        }
    }

    fn judge(&self, answer: Result<(), Error>) -> Result<(), String> {
        match answer {
            Err(error) if !left::is_unknown(&error) => {
                Err(left::sentence(&self.role, false, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn session(&self, place: &Place) -> Session {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // There is no token in a namespace that somebody has made up.
        sessions.retain(|_, session| {
            let is_used = Arc::strong_count(session) > 1;
            is_used || session.try_lock().is_ok_and(|it| it.is_some())
        });
        let place = Place {
            address: addresses::normal(&place.address),
            namespace: place.namespace.clone(),
        };
        sessions.entry(place).or_default().clone()
    }

    /// A token, and whether it was made just now.
    async fn token(&self, session: &Session, vault: &Vault) -> Result<(SecretText, bool), Trouble> {
        let mut held = session.lock().await;
        if let Some(token) = held.as_ref() {
            return Ok((token.clone(), false));
        }
        let (_turn, client) = vault.login_turn().await;
        vault.pace().await;
        let jwt = self.jwt().await?;
        let body = fields([("jwt", jwt.expose().trim()), ("role", &self.role)]);
        let login = client.log_in(&self.login, None, &body).await;
        let login = login.map_err(Trouble::Login)?;
        *held = Some(login.token.clone());
        Ok((login.token, true))
    }

    async fn jwt(&self) -> Result<SecretText, Trouble> {
        let file = self.token_file.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await;
        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let file = self.token_file.display();
        read.map(SecretText::new)
            .map_err(|error| Trouble::File(format!("cannot read the token in {file}: {error}")))
    }
}

/// Whether it may be because our token has ended. Vault answers with the same status if it does not know an accessor.
fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if refusal.status() == 403) && !left::is_unknown(error)
}

/// Unless somebody has another one already.
async fn forget(session: &Session, token: &SecretText) {
    let mut held = session.lock().await;
    if held
        .as_ref()
        .is_some_and(|it| it.expose() == token.expose())
    {
        *held = None;
    }
}

#[cfg(test)]
mod tests {
    use planescape_vault::Refusal;

    use super::*;

    #[test]
    fn an_accessor_that_vault_does_not_know_says_nothing_of_our_own_token() {
        let error = |text: &str| Error::Refused(Refusal::new(403, text.to_owned(), None));

        assert!(is_denied(&error("permission denied")));
        assert!(!is_denied(&error("1 error occurred: * invalid accessor")));
    }
}
