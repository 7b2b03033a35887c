//! Asks Vault, and reports what it said.

use std::sync::Arc;

use planescape_agent_core::{Failure, Input, Ticket, Token};
use planescape_templates::{Answer, Request};
use planescape_vault::{Call, Error, SecretText};
use planescape_vault_client::{self as client, Bearer, Client};

use super::login::Login;

/// Vault, and how we logged in to it.
#[derive(Clone)]
pub(super) struct Vault {
    pub(super) client: Arc<Client>,
    pub(super) login: Arc<Login>,
}

impl Vault {
    pub(super) fn bearer<'a>(&'a self, token: &'a SecretText) -> Bearer<'a> {
        Bearer {
            token,
            namespace: self.login.namespace.as_deref(),
        }
    }

    pub(super) async fn renew_token(self, ticket: Ticket, token: SecretText) -> Input {
        let result = self.client.renew_self(self.bearer(&token)).await;
        Input::TokenRenewed {
            ticket,
            result: result.map_err(Failure::Vault),
        }
    }

    pub(super) async fn look_up_token(self, ticket: Ticket, token: SecretText) -> Input {
        let result = self.client.look_up_self(self.bearer(&token)).await;
        Input::TokenLookedUp {
            ticket,
            result: result.map(drop).map_err(Failure::Vault),
        }
    }

    pub(super) async fn revoke(self, token: Token) -> Input {
        let result = self.client.revoke_self(self.bearer(&token.secret)).await;
        Input::Revoked {
            token: token.id,
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
        let result = self.client.call(call, &token).await;
        Input::Answered {
            ticket,
            request,
            result: result.map(answer).map_err(Failure::Vault),
        }
    }

    pub(super) async fn renew_lease(
        self,
        ticket: Ticket,
        request: Request,
        lease_id: String,
        token: SecretText,
    ) -> Input {
        // A lease is in the namespace of its read, not of the login.
        let bearer = Bearer {
            token: &token,
            namespace: None,
        };
        let result: Result<_, Error> = self.client.renew_lease(&lease_id, bearer).await;
        Input::LeaseRenewed {
            ticket,
            request,
            result: result.map_err(Failure::Vault),
        }
    }
}

fn answer(answer: client::Answer) -> Answer {
    match answer {
        client::Answer::Secret(secret) => Answer::Secret(secret),
        client::Answer::List(keys) => Answer::List(keys),
    }
}
