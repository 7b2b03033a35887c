//! Logins by what a cloud says of its machines; the cloud is a stand-in.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn the_role_of_an_instance_signs_a_question() {
    let vault = vault("aws").await;
    let roles = "/latest/meta-data/iam/security-credentials/";
    vault
        .on("PUT", "/latest/api/token", text("imds"))
        .on("GET", roles, text("web\n"))
        .on(
            "GET",
            &format!("{roles}web"),
            Answer::ok(
                &json!({"AccessKeyId": "AKID", "SecretAccessKey": "s3cr3t", "Token": "session"}),
            ),
        );

    let body = log_in(
        &vault,
        "aws",
        r#"type = "iam" role = "app" region = "eu-central-1" header_value = "vault.example""#,
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", vault.url())],
    )
    .await;

    assert_eq!(body["role"], "app");
    assert_eq!(body["iam_http_request_method"], "POST");
    assert_eq!(
        decoded(&body["iam_request_url"]),
        "https://sts.eu-central-1.amazonaws.com/"
    );
    assert_eq!(
        decoded(&body["iam_request_body"]),
        "Action=GetCallerIdentity&Version=2011-06-15"
    );
    let headers: Value = serde_json::from_str(&decoded(&body["iam_request_headers"])).unwrap();
    assert_eq!(
        headers["X-Vault-AWS-IAM-Server-ID"],
        json!(["vault.example"])
    );
    assert_eq!(headers["X-Amz-Security-Token"], json!(["session"]));
    let authorization = headers["Authorization"][0].as_str().unwrap();
    assert!(authorization.contains("AKID/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/sts/aws4_request"));
}

#[tokio::test]
async fn a_managed_identity_brings_its_token_and_its_machine() {
    let vault = vault("azure").await;
    vault
        .on(
            "GET",
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.example",
            Answer::ok(&json!({"access_token": "a.b.c"})),
        )
        .on(
            "GET",
            "/metadata/instance?api-version=2017-08-01",
            Answer::ok(&json!({"compute": {"name": "vm", "resourceGroupName": "group", "subscriptionId": "subscription"}})),
        );

    let body = log_in(
        &vault,
        "azure",
        r#"role = "app" resource = "https://vault.example""#,
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", vault.url())],
    )
    .await;

    assert_eq!(
        body,
        json!({"role": "app", "jwt": "a.b.c", "vm_name": "vm", "vmss_name": "",
            "resource_group_name": "group", "subscription_id": "subscription"})
    );
}

#[tokio::test]
async fn an_instance_brings_its_identity_token() {
    let vault = vault("gcp").await;
    let audience = vault.url().replace(':', "%3A").replace('/', "%2F");
    let path = format!(
        "/computeMetadata/v1/instance/service-accounts/default/identity?audience={audience}%2Fvault%2Fapp&format=full"
    );
    vault.on("GET", &path, text("a.b.c"));

    let body = log_in(
        &vault,
        "gcp",
        r#"type = "gce" role = "app""#,
        &[("GCE_METADATA_HOST", vault.address().to_string())],
    )
    .await;

    assert_eq!(body, json!({"role": "app", "jwt": "a.b.c"}));
}

#[tokio::test]
async fn a_key_has_google_sign_for_its_service_account() {
    let vault = vault("gcp").await;
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let key = json!({
        "type": "service_account", "client_email": "app@p.iam", "private_key_id": "k1",
        "private_key": pem(&pair), "token_uri": format!("{}/tokens", vault.url()),
    });
    std::fs::write(&path, key.to_string()).unwrap();
    let sign = "/v1/projects/-/serviceAccounts/app@p.iam:signJwt";
    vault
        .on(
            "POST",
            "/tokens",
            Answer::ok(&json!({"access_token": "s3cr3t-token"})),
        )
        .on("POST", sign, Answer::ok(&json!({"signedJwt": "a.b.c"})));

    let body = log_in(
        &vault,
        "gcp",
        r#"type = "iam" role = "app" jwt_exp = 10"#,
        &[
            ("GOOGLE_APPLICATION_CREDENTIALS", path.display().to_string()),
            (
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
                vault.url(),
            ),
        ],
    )
    .await;

    assert_eq!(body, json!({"role": "app", "jwt": "a.b.c"}));
    let requests = vault.requests();
    let [tokens, signing] = ["/tokens", sign].map(|path| {
        requests
            .iter()
            .find(|request| request.path == path)
            .unwrap()
    });
    let form = tokens.text.strip_prefix(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
    );
    let claims = verified(form.unwrap(), &pair);
    assert_eq!(claims["iss"], "app@p.iam");
    assert_eq!(claims["aud"], key["token_uri"]);
    let payload = signing.body["payload"].as_str().unwrap();
    let payload: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(payload["sub"], "app@p.iam");
    assert_eq!(payload["aud"], "http://vault/app");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = payload["exp"].as_u64().unwrap() - now.as_secs();
    assert!((500..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn an_instance_has_google_sign_for_the_account_that_is_named_or_its_own() {
    for (named, account) in [("other@p.iam", "other@p.iam"), ("", "own@p.iam")] {
        let vault = vault("gcp").await;
        let accounts = "/computeMetadata/v1/instance/service-accounts/default";
        let sign = format!("/v1/projects/-/serviceAccounts/{account}:signJwt");
        let token = Answer::ok(&json!({"access_token": "s3cr3t-token"}));
        vault
            .on("GET", &format!("{accounts}/token"), token)
            .on("GET", &format!("{accounts}/email"), text("own@p.iam"))
            .on("POST", &sign, Answer::ok(&json!({"signedJwt": "a.b.c"})));

        let body = log_in(
            &vault,
            "gcp",
            &format!(r#"type = "iam" role = "app" service_account = "{named}""#),
            &[
                ("GCE_METADATA_HOST", vault.address().to_string()),
                (
                    "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
                    vault.url(),
                ),
            ],
        )
        .await;

        assert_eq!(body, json!({"role": "app", "jwt": "a.b.c"}), "{account}");
        assert_eq!(vault.count("POST", &sign), 1, "{account}");
    }
}

/// As Google writes it into its files.
fn pem(pair: &KeyPair) -> String {
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    format!("{begin}\n{}\n{end}\n", lines.join("\n"))
}

/// What a JWT claims that this key has signed.
fn verified(jwt: &str, pair: &KeyPair) -> Value {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    public
        .verify(signed.as_bytes(), &decoded(signature))
        .unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    serde_json::from_slice(&decoded(claims)).unwrap()
}

async fn vault(method: &str) -> ScriptedVault {
    let vault = ScriptedVault::start().await.unwrap();
    let login = Answer::login("t1", "a1", 3600);
    vault.on("PUT", &format!("/v1/auth/{method}/login"), login);
    vault
}

/// What the agent sends to Vault.
async fn log_in(
    vault: &ScriptedVault,
    method: &str,
    config: &str,
    environment: &[(&str, String)],
) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.hcl");
    let text = format!(
        r#"
        vault {{ address = "{}" }}
        exit_after_auth = true
        auto_auth {{
          method "{method}" {{ exit_on_err = true config {{ {config} }} }}
          sink "file" {{ config {{ path = "{}" }} }}
        }}"#,
        vault.url(),
        folder.path().join("token").display()
    );
    std::fs::write(&path, text).unwrap();

    let output = Command::new(env!("CARGO_BIN_EXE_planescape-agent"))
        .arg(format!("-config={}", path.display()))
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .await
        .unwrap();

    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("s3cr3t") && !log.contains("a.b.c"), "{log}");
    let login = format!("/v1/auth/{method}/login");
    let requests = vault.requests();
    let request = requests.iter().find(|request| request.path == login);
    request.unwrap().body.clone()
}

fn text(text: &str) -> Answer {
    Answer {
        body: text.to_owned(),
        ..Answer::ok(&Value::Null)
    }
}

fn decoded(value: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}
