//! A token of the pods' own ServiceAccount, which Vault alone accepts.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use planescape_operator_core::credentials::run::Run;
use planescape_vault::SecretText;

use super::Program;
use super::record::within;
use crate::cluster::gate::Class;
use crate::job::post_params;

/// As short as the API server lets it be.
const SECONDS: i64 = 600;

impl Program {
    /// A token for the ServiceAccount of a run's pods.
    pub(super) async fn token(&self, run: &Run) -> kube::Result<SecretText> {
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
        let status = within(made).await?.status;
        let token = status.map(|status| status.token);
        Ok(SecretText::new(token.unwrap_or_default()))
    }
}
