//! Logins with certificates of their own, while the agent runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::tls::{Certificate, TlsFront, own_certificate};

use crate::agent::{Agent, Place, until};

const LOGIN: &str = "/v1/auth/cert/login";
const RENEWAL: &str = "/v1/auth/token/renew-self";

/// An agent whose `vault` block does not trust Vault: the method has an authority and a certificate of its own.
fn start(place: &Place, front: &TlsFront) -> Agent {
    let text = format!(
        r#"log_file = "FOLDER/agent.log"
        vault {{ address = "{}" }}
        auto_auth {{
          enable_reauth_on_new_credentials = true
          method "cert" {{
            min_backoff = "100ms"
            max_backoff = "200ms"
            config {{
              ca_cert = "FOLDER/ca.pem"
              client_cert = "FOLDER/cert.pem"
              client_key = "FOLDER/key.pem"
              reload = true
              reload_period = "1s"
            }}
          }}
          sink "file" {{ config {{ path = "FOLDER/sink" }} }}
        }}"#,
        front.url()
    );
    let text = text.replace("FOLDER", place.path("").to_str().unwrap());
    let config = place.path("own.hcl");
    fs::write(&config, text).unwrap();
    let config = format!("-config={}", config.display());
    // The place's own configuration, which comes last, stays unread.
    let program = env!("CARGO_BIN_EXE_planescape-agent");
    let words = ["-c", "exec \"$0\" agent \"$1\"", program, &config];
    place.start_as(Path::new("/bin/sh"), &words)
}

async fn front_of(vault: &ScriptedVault) -> TlsFront {
    TlsFront::start(vault.address(), Certificate::Good)
        .await
        .unwrap()
}

/// A certificate of the agent, and the authority to trust.
fn put_certificates(place: &Place, front: &TlsFront) {
    let put = |name: &str, text: &str| fs::write(place.path(name), text).unwrap();
    let (certificate, key) = own_certificate().unwrap();
    put("ca.pem", front.authority());
    put("cert.pem", &certificate);
    put("key.pem", &key);
}

#[tokio::test]
async fn certificates_are_waited_for_and_new_ones_log_in_once_they_fit() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on("PUT", LOGIN, Answer::login("t1", "a1", 3600));
    let front = front_of(&vault).await;
    let place = Place::offline(&front.url()).variable("HOME", "/");
    let agent = start(&place, &front);

    until("it waits for them", async || {
        let log = place.read("agent.log");
        log.contains("error creating client for authentication call")
            && log.contains("auto_auth.method.config.ca_cert: cannot read")
    })
    .await;
    put_certificates(&place, &front);
    until("it logs in", async || place.path("sink").exists()).await;

    let put = |name: &str, text: &str| fs::write(place.path(name), text).unwrap();
    let (certificate, key) = own_certificate().unwrap();
    put("cert.pem", &certificate);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(vault.count("PUT", LOGIN), 1, "the key does not fit yet");
    put("key.pem", &key);
    until("it logs in again", async || vault.count("PUT", LOGIN) == 2).await;
    agent.terminate().await;
}

#[tokio::test]
async fn a_token_is_renewed_on_the_connection_that_has_logged_in() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on("PUT", LOGIN, Answer::login("t1", "a1", 6));
    vault.on("PUT", RENEWAL, Answer::login("t1", "a1", 6));
    let front = front_of(&vault).await;
    let place = Place::offline(&front.url()).variable("HOME", "/");
    put_certificates(&place, &front);
    let agent = start(&place, &front);

    until("it is renewed again and again", async || {
        vault.count("PUT", RENEWAL) >= 2
    })
    .await;
    assert_eq!(vault.count("PUT", LOGIN), 1);
    agent.terminate().await;
}
