//! Amazon's cloud: a signed question that Vault asks in our place, or the instance's document.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use planescape_agent_contract::{Aws, AwsKind};
use planescape_vault::wire::{self, Body};
use serde_json::Value;

use super::sigv4::{self, Keys, Question};
use super::{Services, encoded, parsed, text, variable};

const QUESTION: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const METADATA: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
/// How long a token for the metadata service lives.
const METADATA_TTL: &str = "300";

pub(super) async fn body(aws: &Aws, services: &Services) -> anyhow::Result<Body> {
    match &aws.kind {
        AwsKind::Iam {
            keys,
            region,
            header_value,
        } => {
            let keys = match keys {
                Some((access, secret, session)) => Keys {
                    access: access.clone(),
                    secret: secret.expose().to_owned(),
                    session: session.as_ref().map(|it| it.expose().to_owned()),
                },
                None => keys_of_environment(region.as_deref(), services).await?,
            };
            signed(aws, &keys, region.as_deref(), header_value.as_deref())
        }
        AwsKind::Ec2 { nonce } => {
            let path = "/latest/dynamic/instance-identity/pkcs7";
            let document = metadata(services, path).await?.replace('\n', "");
            let nonce = nonce.clone().unwrap_or_else(nonce_of_this_process);
            Ok(wire::fields([
                ("role", aws.role.as_str()),
                ("nonce", &nonce),
                ("pkcs7", &document),
            ]))
        }
    }
}

/// The nonce is the same for each login of this process, and another for each process.
fn nonce_of_this_process() -> String {
    static NONCE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NONCE
        .get_or_init(|| {
            let one = crate::clock::seed();
            let two = crate::clock::seed();
            format!("{one:016x}{two:016x}")
        })
        .clone()
}

fn signed(
    aws: &Aws,
    keys: &Keys,
    region: Option<&str>,
    header_value: Option<&str>,
) -> anyhow::Result<Body> {
    let host = sts(region);
    let question = Question {
        host: &host,
        region: region.unwrap_or("us-east-1"),
        body: QUESTION,
        server_id: header_value,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let headers = sigv4::sign(&question, keys, now);
    let headers: serde_json::Map<String, Value> = headers
        .into_iter()
        .map(|(name, value)| (name, Value::from(vec![value])))
        .collect();
    let headers = serde_json::to_string(&headers)?;
    Ok(wire::fields([
        ("role", aws.role.as_str()),
        ("iam_http_request_method", "POST"),
        (
            "iam_request_url",
            &BASE64_STANDARD.encode(format!("https://{host}/")),
        ),
        ("iam_request_headers", &BASE64_STANDARD.encode(headers)),
        ("iam_request_body", &BASE64_STANDARD.encode(QUESTION)),
    ]))
}

/// The whole world's service, or that of a region.
fn sts(region: Option<&str>) -> String {
    match region {
        None => "sts.amazonaws.com".to_owned(),
        Some(region) if region.starts_with("cn-") => format!("sts.{region}.amazonaws.com.cn"),
        Some(region) => format!("sts.{region}.amazonaws.com"),
    }
}

/// Tries variables, then the pod's role, then the pod's or the task's credentials, then the instance's role.
async fn keys_of_environment(region: Option<&str>, services: &Services) -> anyhow::Result<Keys> {
    if let (Some(access), Some(secret)) = (
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    ) {
        let session = variable("AWS_SESSION_TOKEN");
        return Ok(Keys {
            access,
            secret,
            session,
        });
    }
    if let (Some(file), Some(role)) = (
        variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
        variable("AWS_ROLE_ARN"),
    ) {
        let assumed = assume_role(&file, &role, region, services).await;
        return assumed.context("role of the pod's service account");
    }
    if let Some(keys) = of_container(services).await? {
        return Ok(keys);
    }
    let roles = "/latest/meta-data/iam/security-credentials/";
    let role = metadata(services, roles).await?;
    let role = role.lines().next().unwrap_or_default();
    if role.is_empty() {
        bail!(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the instance a role"
        );
    }
    of_json(&metadata(services, &format!("{roles}{role}")).await?)
}

async fn assume_role(
    file: &str,
    role: &str,
    region: Option<&str>,
    services: &Services,
) -> anyhow::Result<Keys> {
    let token = super::file(file).await?;
    let own = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let host = sts(region.or(own.as_deref()));
    let endpoint = variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| format!("https://{host}"));
    let session = variable("AWS_ROLE_SESSION_NAME");
    let session = session.unwrap_or_else(|| "planescape-agent".to_owned());
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encoded(role),
        encoded(&session),
        encoded(&token)
    );
    let headers = vec![
        (
            "Content-Type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("Accept", "application/json".to_owned()),
    ];
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let answer = services.ask(http::Method::POST, url, headers, form).await?;
    let answer = parsed(&answer)?;
    let result = &answer["AssumeRoleWithWebIdentityResponse"]["AssumeRoleWithWebIdentityResult"];
    let found = &result["Credentials"];
    Ok(Keys {
        access: text(found, "AccessKeyId")?,
        secret: text(found, "SecretAccessKey")?,
        session: Some(text(found, "SessionToken")?),
    })
}

/// EKS Pod Identity, or a task of ECS.
async fn of_container(services: &Services) -> anyhow::Result<Option<Keys>> {
    let full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let Some(url) = full.or_else(|| relative.map(|path| format!("{CONTAINER}{path}"))) else {
        return Ok(None);
    };
    let file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = match file {
        Some(file) => Some(super::file(&file).await?),
        None => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let headers = token.map(|token| ("Authorization", token));
    let answer = services.get(url, headers.into_iter().collect()).await?;
    of_json(&answer).map(Some)
}

fn of_json(answer: &str) -> anyhow::Result<Keys> {
    let answer = parsed(answer)?;
    Ok(Keys {
        access: text(&answer, "AccessKeyId")?,
        secret: text(&answer, "SecretAccessKey")?,
        session: text(&answer, "Token").ok(),
    })
}

/// An answer of the metadata service, asked with a token if the service gives one.
async fn metadata(services: &Services, path: &str) -> anyhow::Result<String> {
    let endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let endpoint = endpoint.unwrap_or_else(|| METADATA.to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let ttl = (
        "X-aws-ec2-metadata-token-ttl-seconds",
        METADATA_TTL.to_owned(),
    );
    let token = services
        .ask(
            http::Method::PUT,
            format!("{endpoint}/latest/api/token"),
            vec![ttl],
            String::new(),
        )
        .await;
    let headers = token.map(|token| vec![("X-aws-ec2-metadata-token", token)]);
    services
        .get(format!("{endpoint}{path}"), headers.unwrap_or_default())
        .await
}
