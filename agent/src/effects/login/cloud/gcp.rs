//! Google's cloud: the instance's identity token, or a statement that Google signs for a service account.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use planescape_agent_contract::{Gcp, GcpCredentials, GcpKind};
use planescape_vault::SecretText;
use planescape_vault::wire::{self, Body};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Services, encoded, parsed, text, variable};

const METADATA: &str = "metadata.google.internal";
const CREDENTIALS: &str = "https://iamcredentials.googleapis.com";
const TOKENS: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest life of a signed statement for which Google gives a token.
const HOUR: u64 = 3_600;

pub(super) async fn body(
    gcp: &Gcp,
    services: &Services,
    vault_address: &str,
) -> anyhow::Result<Body> {
    let jwt = match &gcp.kind {
        GcpKind::Gce => {
            let account = gcp.service_account.as_deref().unwrap_or("default");
            let audience = encoded(&format!("{vault_address}/vault/{}", gcp.role));
            let path = format!("{account}/identity?audience={audience}&format=full");
            metadata(services, &path).await?
        }
        GcpKind::Iam {
            credentials,
            lifetime,
        } => {
            let key = key(credentials.as_ref()).await?;
            statement(gcp, key.as_ref(), *lifetime, services).await?
        }
    };
    Ok(wire::fields([("role", gcp.role.as_str()), ("jwt", &jwt)]))
}

/// The metadata of the instance's service accounts.
async fn metadata(services: &Services, path: &str) -> anyhow::Result<String> {
    let host = variable("GCE_METADATA_HOST");
    let host = host.unwrap_or_else(|| METADATA.to_owned());
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/{path}");
    let headers = vec![("Metadata-Flavor", "Google".to_owned())];
    services.get(url, headers).await
}

/// The statement of who wants to log in, signed by Google.
async fn statement(
    gcp: &Gcp,
    key: Option<&Key>,
    lifetime: Duration,
    services: &Services,
) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = match key {
        Some(key) => key.access_token(now, services).await?,
        None => {
            let answer = metadata(services, "default/token").await?;
            text(&parsed(&answer)?, "access_token")?
        }
    };
    let account = match (&gcp.service_account, key) {
        (Some(account), _) => account.clone(),
        (None, Some(key)) => key.email.clone(),
        (None, None) => metadata(services, "default/email").await?,
    };
    let account = account.trim();
    let claims = json!({
        "aud": format!("http://vault/{}", gcp.role),
        "sub": account,
        "exp": now.saturating_add(lifetime.as_secs()),
    });
    // Google's own tools give the variable this name.
    let place = variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS");
    let place = place.unwrap_or_else(|| CREDENTIALS.to_owned());
    let place = place.trim_end_matches('/');
    let url = format!("{place}/v1/projects/-/serviceAccounts/{account}:signJwt");
    let headers = vec![
        ("Authorization", format!("Bearer {token}")),
        ("Content-Type", "application/json".to_owned()),
    ];
    let question = json!({"payload": claims.to_string()}).to_string();
    let answer = services.ask(http::Method::POST, url, headers, question);
    let answer = answer
        .await
        .with_context(|| format!("sign as {account}, which wants iam.serviceAccounts.signJwt"))?;
    text(&parsed(&answer)?, "signedJwt")
}

/// The key of the configuration or of the environment; `None` if the instance's own account has to serve.
async fn key(credentials: Option<&GcpCredentials>) -> anyhow::Result<Option<Key>> {
    let json = match credentials {
        Some(GcpCredentials::Json(json)) => Some(json.clone()),
        Some(GcpCredentials::File(path)) => Some(file(path).await?),
        None => of_environment().await?,
    };
    json.as_ref().map(Key::parse).transpose()
}

async fn of_environment() -> anyhow::Result<Option<SecretText>> {
    let json = variable("GOOGLE_CREDENTIALS").or_else(|| variable("GOOGLE_CLOUD_KEYFILE_JSON"));
    if let Some(json) = json {
        return Ok(Some(SecretText::new(json)));
    }
    // The file need not be there.
    if let Some(home) = variable("HOME")
        && let Ok(json) = file(&format!("{home}/.gcp/credentials")).await
    {
        return Ok(Some(json));
    }
    match variable("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => file(&path).await.map(Some),
        None => Ok(None),
    }
}

async fn file(path: &str) -> anyhow::Result<SecretText> {
    super::file(path).await.map(SecretText::new)
}

/// The key of a service account.
struct Key {
    email: String,
    id: String,
    /// The address of the service that gives tokens for the key's signatures.
    tokens: String,
    private: SecretText,
}

impl Key {
    fn parse(json: &SecretText) -> anyhow::Result<Self> {
        let found: Option<Value> = serde_json::from_str(json.expose()).ok();
        let mut found = found.context("the credentials are not JSON")?;
        let kind = found["type"].as_str().unwrap_or("service_account");
        if kind != "service_account" {
            bail!(
                "credentials of the type {kind} are not supported: use the key of a service account, or the instance's"
            );
        }
        let private = found.get_mut("private_key").map(Value::take);
        let Some(Value::String(private)) = private else {
            bail!("the credentials have no private_key");
        };
        let private = SecretText::new(private);
        Ok(Self {
            email: text(&found, "client_email")
                .map_err(|_| anyhow!("the credentials have no client_email"))?,
            id: text(&found, "private_key_id").unwrap_or_default(),
            tokens: text(&found, "token_uri").unwrap_or_else(|_| TOKENS.to_owned()),
            private,
        })
    }

    async fn access_token(&self, now: u64, services: &Services) -> anyhow::Result<String> {
        let assertion = self.sign(&json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.tokens,
            "iat": now,
            "exp": now + HOUR,
        }))?;
        let grant = encoded("urn:ietf:params:oauth:grant-type:jwt-bearer");
        let form = format!("grant_type={grant}&assertion={assertion}");
        let kind = "application/x-www-form-urlencoded".to_owned();
        let headers = vec![("Content-Type", kind)];
        let answer = services
            .ask(http::Method::POST, self.tokens.clone(), headers, form)
            .await?;
        text(&parsed(&answer)?, "access_token")
    }

    /// A JWT by RS256.
    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let [header, claims] =
            [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let der = der(self.private.expose())?;
        // A key that begins with BEGIN RSA PRIVATE KEY has the second form.
        let key = KeyPair::from_pkcs8(&der).or_else(|_| KeyPair::from_der(&der));
        let key = key.map_err(|_| anyhow!("the private_key of the credentials is no RSA key"))?;
        let mut signature = vec![0; key.public_modulus_len()];
        let random = SystemRandom::new();
        key.sign(
            &RSA_PKCS1_SHA256,
            &random,
            signed.as_bytes(),
            &mut signature,
        )?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{signed}.{signature}"))
    }
}

/// The bytes between the lines with dashes.
fn der(pem: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut inside = Zeroizing::new(String::with_capacity(pem.len()));
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        inside.push_str(line.trim());
    }
    let bytes = BASE64_STANDARD.decode(inside.as_bytes());
    // The error would quote the key.
    let bytes = bytes.map_err(|_| anyhow!("the private_key of the credentials is no PEM"))?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        let pem = |inside: &str| {
            let text =
                format!("-----BEGIN PRIVATE KEY-----\n{inside}\n-----END PRIVATE KEY-----\n");
            json!({"client_email": "app@p", "private_key": text}).to_string()
        };
        for (credentials, message) in [
            ("s3cr3t".to_owned(), "the credentials are not JSON"),
            ("[1]".to_owned(), "the credentials have no private_key"),
            (
                json!({"private_key": "s3cr3t"}).to_string(),
                "the credentials have no client_email",
            ),
            (
                json!({"type": "authorized_user"}).to_string(),
                "credentials of the type authorized_user are not supported: use the key of a service account, or the instance's",
            ),
            (
                pem("s3cr3t!"),
                "the private_key of the credentials is no PEM",
            ),
            (
                pem("c2VjcmV0"),
                "the private_key of the credentials is no RSA key",
            ),
        ] {
            let key = Key::parse(&SecretText::new(credentials));
            let signed = key.and_then(|key| key.sign(&json!({})));

            assert_eq!(format!("{:#}", signed.unwrap_err()), message);
        }
    }
}
