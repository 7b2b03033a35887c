//! Google's cloud: the instance's identity token.

use planescape_agent_contract::Gcp;
use planescape_vault::wire::{self, Body};

use super::{Services, encoded, variable};

pub(super) async fn body(
    gcp: &Gcp,
    services: &Services,
    vault_address: &str,
) -> anyhow::Result<Body> {
    let host = variable("GCE_METADATA_HOST");
    let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
    let audience = encoded(&format!("{vault_address}/vault/{}", gcp.role));
    let url = format!(
        "http://{host}/computeMetadata/v1/instance/service-accounts/{}/identity?audience={audience}&format=full",
        gcp.service_account
    );
    let headers = vec![("Metadata-Flavor", "Google".to_owned())];
    let jwt = services.get(url, headers).await?;
    Ok(wire::fields([("role", gcp.role.as_str()), ("jwt", &jwt)]))
}
