//! Asks Vault, and reports its answers.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use planescape_agent_core::{Failure, Input, Made, Ticket, Token, made_in, orphan};
use planescape_templates::{Answer, Request};
use planescape_vault::{Call, Error, Kind, Refusal, SecretText};
use planescape_vault_client::{self as client, Bearer, Client};

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::login::Login;
use super::saves::Saves;
use crate::persist::{Leased, Persistent};

/// The client of Vault, and the login.
#[derive(Clone)]
pub(super) struct Vault {
    pub(super) client: Arc<Client>,
    pub(super) login: Arc<Login>,
    pub(super) persistent: Arc<Persistent>,
    pub(super) saves: Saves,
    /// Limits the work on the files of logins.
    pub(super) file_slots: Arc<Semaphore>,
}

impl Vault {
    pub(super) fn bearer<'a>(&'a self, token: &'a SecretText) -> Bearer<'a> {
        Bearer {
            token,
            namespace: self.login.namespace.as_deref(),
        }
    }

    /// Logs in. The first login takes the token of the last life, if it has left one that Vault knows.
    pub(super) async fn log_in(self, ticket: Ticket) -> Input {
        if let Some(token) = self.persistent.preloaded() {
            tracing::debug!(target: "agent.auth.handler", "using preloaded token");
            match self.client.look_up_self(self.bearer(&token)).await {
                Err(Error::Refused(refusal)) if is_dead(&refusal) => {
                    tracing::warn!(target: "agent.auth.handler", error = %refusal, "the preloaded token is not good any more");
                    self.persistent.drop_preloaded();
                }
                result => {
                    if result.is_ok() {
                        self.persistent.adopt();
                    }
                    let result = result.map_err(Failure::Vault);
                    return Input::LoggedIn { ticket, result };
                }
            }
        }
        let input = self.login.run(&self.client, &self.file_slots, ticket).await;
        if let Input::LoggedIn {
            result: Ok(login), ..
        } = &input
        {
            self.saves.save(|cache| cache.keep_token(&login.token));
        }
        input
    }

    pub(super) async fn renew_token(
        self,
        ticket: Ticket,
        token: SecretText,
        increment: Option<Duration>,
    ) -> Input {
        let result = match self
            .login
            .renewing_client(&self.client, &self.file_slots)
            .await
        {
            Ok(own) => {
                let client = own.as_ref().unwrap_or(&self.client);
                let renewal = client.renew_self(self.bearer(&token), increment);
                renewal.await.map_err(Failure::Vault)
            }
            Err(failure) => Err(failure),
        };
        Input::TokenRenewed { ticket, result }
    }

    pub(super) async fn look_up_token(self, ticket: Ticket, token: SecretText) -> Input {
        let result = self.client.look_up_self(self.bearer(&token)).await;
        Input::TokenLookedUp {
            ticket,
            result: result.map(drop).map_err(Failure::Vault),
        }
    }

    pub(super) async fn revoke(self, token: Token) -> Input {
        let named = token.namespace.as_deref();
        let bearer = Bearer {
            token: &token.secret,
            namespace: named.or(self.login.namespace.as_deref()),
        };
        let mut result = self.client.revoke_self(bearer).await;
        let is_denied = result.as_ref().err().and_then(Error::kind) == Some(Kind::Denied);
        if is_denied && named.is_none() && self.login.reads_elsewhere() {
            let again = self.client.revoke_self(of_read(&token.secret)).await;
            result = again.or(result);
        }
        if result.is_ok() {
            self.saves.save(|cache| cache.token_revoked(&token.secret));
        }
        Input::Revoked {
            token: token.id,
            result: result.map_err(Failure::Vault),
        }
    }

    pub(super) async fn revoke_lease(self, lease_id: String, token: SecretText) -> Input {
        let result = self.client.revoke_lease(&lease_id, of_read(&token)).await;
        if result.is_ok() {
            self.saves.save(|cache| cache.lease_revoked(&lease_id));
        }
        Input::LeaseRevoked {
            lease_id,
            result: result.map_err(Failure::Vault),
        }
    }

    pub(super) async fn find_mount(self, ticket: Ticket, path: String, token: SecretText) -> Input {
        let result = self.client.mount_of(&path, &token).await;
        Input::MountFound {
            ticket,
            path,
            result: result.map_err(Failure::Vault),
        }
    }

    pub(super) async fn read(
        self,
        ticket: Ticket,
        request: Request,
        call: Call,
        token: SecretText,
    ) -> Input {
        let key = self.persistent.key_of(&call, self.login.reads_in());
        if let Some(key) = &key
            && let Some(Leased { secret, age }) = self.persistent.take(key, SystemTime::now())
        {
            let sent = ticket.sent.before(age);
            return Input::Answered {
                ticket: Ticket { sent, ..ticket },
                request,
                result: Ok(Answer::Secret(Some(secret))),
            };
        }
        let mut body = None;
        let keep = |bytes: &[u8]| {
            if self.persistent.is_written() {
                body = std::str::from_utf8(bytes)
                    .ok()
                    .map(|text| Zeroizing::new(text.to_owned()));
            }
        };
        let asked_at = SystemTime::now();
        let result = self.client.call_seeing(call, &token, keep).await;
        if let (Ok(client::Answer::Secret(Some(secret))), Some(body), Some(key)) =
            (&result, body, key)
        {
            self.saves
                .save(|cache| cache.keep(key, secret, body, asked_at));
        }
        let result = result.map(answer).map_err(Failure::Vault);
        if let Ok(answer) = &result
            && let Some(made) = orphan(&request, answer)
        {
            let namespace = made_in(request.path(), self.login.reads_in());
            self.saves
                .save(|cache| cache.keep_orphan(&made, namespace, asked_at));
        }
        Input::Answered {
            ticket,
            request,
            result,
        }
    }

    /// Renews a token that a template has made, with that token itself.
    pub(super) async fn renew_made(self, made: Made) -> Input {
        let Made {
            ticket,
            request,
            accessor,
            token,
            namespace,
        } = made;
        let former = self.saves.renewal_asked(&accessor).await;
        let asked_at = SystemTime::now();
        let bearer = Bearer {
            token: &token,
            namespace: namespace.as_deref(),
        };
        let result = self.client.renew_self(bearer, None).await;
        match (&result, former) {
            (Ok(grant), _) => self
                .saves
                .save(|cache| cache.renewed(&accessor, *grant, asked_at)),
            (Err(error), Some(ends_at)) if !error.may_be_done() => {
                self.saves
                    .save(|cache| cache.renewal_refused(&accessor, ends_at));
            }
            (Err(_), _) => {}
        }
        Input::LeaseRenewed {
            ticket,
            request,
            result: result.map_err(Failure::Vault),
        }
    }

    pub(super) async fn renew_lease(
        self,
        ticket: Ticket,
        request: Request,
        (lease_id, namespace): (String, Option<String>),
        token: SecretText,
    ) -> Input {
        let asked_at = SystemTime::now();
        let bearer = Bearer {
            token: &token,
            namespace: namespace.as_deref(),
        };
        let result = self.client.renew_lease(&lease_id, bearer, None).await;
        if let Ok(grant) = result {
            self.saves
                .save(|cache| cache.renewed(&lease_id, grant, asked_at));
        }
        Input::LeaseRenewed {
            ticket,
            request,
            result: result.map_err(Failure::Vault),
        }
    }
}

/// A bearer without the login's namespace: leases, and tokens that templates have made, are in that of their read.
fn of_read(token: &SecretText) -> Bearer<'_> {
    Bearer {
        token,
        namespace: None,
    }
}

/// Whether Vault refuses the token itself for good, and not only for the moment.
pub(super) fn is_dead(refusal: &Refusal) -> bool {
    matches!(
        refusal.kind(),
        Kind::InvalidToken | Kind::Denied | Kind::NotFound | Kind::Invalid
    )
}

fn answer(answer: client::Answer) -> Answer {
    match answer {
        client::Answer::Secret(secret) => Answer::Secret(secret),
        client::Answer::List(keys) => Answer::List(keys),
    }
}
