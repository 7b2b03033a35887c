//! Logins for which the cloud that the agent runs in vouches.

mod aws;
mod azure;
mod gcp;
mod sigv4;

use anyhow::{Context, bail};
use planescape_agent_contract::Cloud;
use planescape_vault::wire::Body;
use planescape_vault_client::{Plain, PlainRequest};
use serde_json::Value;

use crate::files;

/// The body of the login.
pub(super) async fn body(cloud: &Cloud, vault_address: &str) -> anyhow::Result<Body> {
    let services = Services {
        plain: Plain::new()?,
    };
    match cloud {
        Cloud::Aws(aws) => aws::body(aws, &services).await.context("aws"),
        Cloud::Azure(azure) => azure::body(azure, &services).await.context("azure"),
        Cloud::Gcp(gcp) => gcp::body(gcp, &services, vault_address)
            .await
            .context("gcp"),
    }
}

/// The services of the machine.
struct Services {
    plain: Plain,
}

impl Services {
    async fn get(&self, url: String, headers: Vec<(&str, String)>) -> anyhow::Result<String> {
        self.ask(http::Method::GET, url, headers, String::new())
            .await
    }

    async fn ask(
        &self,
        method: http::Method,
        url: String,
        headers: Vec<(&str, String)>,
        body: String,
    ) -> anyhow::Result<String> {
        let request = PlainRequest {
            method,
            url,
            headers,
            body,
        };
        let answer = self.plain.send(request).await?;
        String::from_utf8(answer.to_vec()).context("its answer is not text")
    }
}

/// A token that the platform put into a file.
async fn file(path: &str) -> anyhow::Result<String> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || files::read(owned.as_ref())).await;
    let bytes = match read {
        Ok(bytes) => bytes.with_context(|| path.to_owned())?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{path}: is not text"))?;
    Ok(text.trim().to_owned())
}

/// A JSON answer. The parser's error is left out: it would name neither the service nor its answer.
fn parsed(answer: &str) -> anyhow::Result<Value> {
    let parsed: Option<Value> = serde_json::from_str(answer).ok();
    parsed.context("its answer is not JSON")
}

/// A text in a JSON answer.
fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    match answer[name].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => bail!("its answer has no {name}"),
    }
}

/// A variable that is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The text as it may stand in a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_of_a_cloud_is_told_in_words_and_not_repeated() {
        let told = |answer: &str| {
            let found = parsed(answer).and_then(|answer| text(&answer, "access_token"));
            found.map_err(|error| error.to_string())
        };

        assert_eq!(told(r#"{"access_token": "t"}"#), Ok("t".to_owned()));
        let not_json = Err("its answer is not JSON".to_owned());
        assert_eq!(told("<html>signed in</html>"), not_json);
        let missing = Err("its answer has no access_token".to_owned());
        for answer in ["{}", r#""s3cret""#, r#"{"access_token": ""}"#] {
            assert_eq!(told(answer), missing, "{answer}");
        }
    }
}
