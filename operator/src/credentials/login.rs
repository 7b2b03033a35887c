//! Logs in to Vault as the pods' own ServiceAccount, with a token that Vault alone accepts.

use std::sync::Arc;

use jiff::Timestamp;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::run::Run;
use planescape_vault::wire::fields;
use planescape_vault::{Error, Login, SecretText};

use super::vaults::Vault;
use super::{Program, refused};
use crate::cluster::gate::Class;
use crate::job::post_params;

/// As short as the API server lets it be.
const SECONDS: i64 = 600;

impl Program {
    /// The Vault that a run asks.
    pub(super) async fn vault_of(&self, run: &Run) -> Result<Arc<Vault>, Failure> {
        let vault = self.vaults.of(&run.order.place()).await;
        vault.map_err(|refused| Failure::of_address(run, &refused))
    }

    /// The token of a run at a Vault that serves somebody, and when Vault was asked for it.
    pub(super) async fn log_in(
        &self,
        run: &Run,
        vault: &Arc<Vault>,
    ) -> Result<(Login, Timestamp), Failure> {
        let denied = |error: Error| Failure::of_vault(run, Question::Login, &error);
        vault.enter().map_err(denied)?;
        // A token is made when it is needed, however many wait: it lives for ten minutes.
        let (_turn, client) = vault.login_turn().await;
        let jwt = self.token(run).await;
        let jwt = jwt.map_err(|it| refused(run, "make a token of the ServiceAccount", &it))?;
        vault.pace().await;
        // It may have gone away meanwhile.
        vault.enter().map_err(denied)?;
        let body = fields([("jwt", jwt.expose()), ("role", &run.order.role)]);
        let path = format!("{}/login", run.order.auth_path.trim_matches('/'));
        let asked = Timestamp::now();
        let login = vault.learn(client.log_in(&path, None, &body).await);
        Ok((login.map_err(denied)?, asked))
    }

    /// A token for the ServiceAccount of a run's pods.
    async fn token(&self, run: &Run) -> kube::Result<SecretText> {
        let client = self.clients.of(Class::Run);
        let api: Api<ServiceAccount> = Api::namespaced(client, &run.owner.namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![self.audience.clone()],
                expiration_seconds: Some(SECONDS),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let account = &run.service_account;
        let parameters = post_params();
        let made = api.create_token_request(account, &parameters, &request);
        let status = made.await?.status;
        let token = status.map(|status| status.token);
        Ok(SecretText::new(token.unwrap_or_default()))
    }
}
