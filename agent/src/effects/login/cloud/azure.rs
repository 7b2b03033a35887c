//! Microsoft's cloud: the token of a managed identity, and the machine that has it.

use anyhow::Context;
use planescape_agent_contract::Azure;
use planescape_vault::wire::{self, Body};
use serde_json::Value;

use super::{Services, encoded, parsed, text, variable};

const METADATA: &str = "http://169.254.169.254";

pub(super) async fn body(azure: &Azure, services: &Services) -> anyhow::Result<Body> {
    let jwt = if azure.from_environment {
        federated(azure, services).await?
    } else {
        managed(azure, services).await?
    };
    let machine = machine(services).await?;
    let of = |name: &str| machine["compute"][name].as_str().unwrap_or_default();
    Ok(wire::fields([
        ("role", azure.role.as_str()),
        ("jwt", &jwt),
        ("vm_name", of("name")),
        ("vmss_name", of("vmScaleSetName")),
        ("resource_group_name", of("resourceGroupName")),
        ("subscription_id", of("subscriptionId")),
    ]))
}

fn metadata() -> String {
    variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").map_or_else(
        || METADATA.to_owned(),
        |host| host.trim_end_matches('/').to_owned(),
    )
}

async fn managed(azure: &Azure, services: &Services) -> anyhow::Result<String> {
    let mut url = format!(
        "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}",
        metadata(),
        encoded(&azure.resource)
    );
    if let Some((name, id)) = &azure.identity {
        url.push_str(&format!("&{name}={}", encoded(id)));
    }
    let answer = services.get(url, flavour()).await?;
    text(&parsed(&answer)?, "access_token")
}

/// Workload identity: the pod's token becomes one of the directory.
async fn federated(azure: &Azure, services: &Services) -> anyhow::Result<String> {
    let needed = |name: &'static str| variable(name).with_context(|| format!("{name} is not set"));
    let file = needed("AZURE_FEDERATED_TOKEN_FILE")?;
    let assertion = super::file(&file).await?;
    let authority = variable("AZURE_AUTHORITY_HOST");
    let authority = authority.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
    let scope = azure.scope.clone();
    let scope =
        scope.unwrap_or_else(|| format!("{}/.default", azure.resource.trim_end_matches('/')));
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        authority.trim_end_matches('/'),
        needed("AZURE_TENANT_ID")?
    );
    let fields = [
        ("client_id", needed("AZURE_CLIENT_ID")?),
        ("scope", scope),
        ("grant_type", "client_credentials".to_owned()),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
        ),
        ("client_assertion", assertion),
    ];
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let kind = "application/x-www-form-urlencoded".to_owned();
    let headers = vec![("Content-Type", kind)];
    let answer = services
        .ask(http::Method::POST, url, headers, form.join("&"))
        .await?;
    text(&parsed(&answer)?, "access_token")
}

/// The machine. A pod has none of its own: then the names stay empty.
async fn machine(services: &Services) -> anyhow::Result<Value> {
    let url = format!("{}/metadata/instance?api-version=2017-08-01", metadata());
    match services.get(url, flavour()).await {
        Ok(answer) => parsed(&answer),
        Err(_) if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn flavour() -> Vec<(&'static str, String)> {
    vec![("Metadata", "true".to_owned())]
}
