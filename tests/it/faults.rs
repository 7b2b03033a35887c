//! The proxy that makes the network misbehave.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use serde_json::json;

struct Bed {
    vault: ScriptedVault,
    proxy: Proxy,
    client: reqwest::Client,
}

impl Bed {
    async fn start() -> Self {
        let vault = ScriptedVault::start().await.expect("a stand-in");
        vault.on("GET", "/v1/x", Answer::ok(&json!({"data": "0123456789"})));
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let proxy = Proxy::start(loopback, vault.address())
            .await
            .expect("a proxy");
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(500))
            .tls_certs_only([])
            .build()
            .expect("a client");
        Self {
            vault,
            proxy,
            client,
        }
    }

    async fn ask(&self) -> reqwest::Result<(u16, String)> {
        let url = format!("http://{}/v1/x", self.proxy.address());
        let answer = self.client.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

#[tokio::test]
async fn without_a_fault_everything_passes() {
    let bed = Bed::start().await;
    let (status, body) = bed.ask().await.unwrap();
    assert_eq!((status, body.as_str()), (200, r#"{"data":"0123456789"}"#));
}

#[tokio::test]
async fn a_status_is_answered_without_the_server_and_can_be_taken_back() {
    let bed = Bed::start().await;
    for status in [429, 500, 503] {
        bed.proxy.set(Fault::Status(status));
        assert_eq!(bed.ask().await.unwrap().0, status);
    }
    assert_eq!(bed.vault.requests(), []);
    bed.proxy.set(Fault::None);
    assert_eq!(bed.ask().await.unwrap().0, 200);
}

#[tokio::test]
async fn a_closed_port_refuses_connections_until_it_is_open_again() {
    let bed = Bed::start().await;
    for _ in 0..3 {
        bed.proxy.set(Fault::Refused);
        let refused = becomes(&bed, |asked| {
            asked.as_ref().is_err_and(reqwest::Error::is_connect)
        });
        assert!(refused.await);
        bed.proxy.set(Fault::None);
        let served = becomes(&bed, |asked| asked.as_ref().is_ok_and(|it| it.0 == 200));
        assert!(served.await);
    }
}

/// The port closes and opens a moment later.
async fn becomes(bed: &Bed, is_so: impl Fn(&reqwest::Result<(u16, String)>) -> bool) -> bool {
    for _ in 0..50 {
        if is_so(&bed.ask().await) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn half_a_body_is_an_error_in_the_middle_of_an_answer() {
    let bed = Bed::start().await;
    bed.proxy.set(Fault::HalfBody);
    let error = bed.ask().await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(bed.vault.count("GET", "/v1/x"), 1);
}

#[tokio::test]
async fn a_reset_comes_before_any_answer() {
    let bed = Bed::start().await;
    bed.proxy.set(Fault::Reset);
    let error = bed.ask().await.unwrap_err();
    assert!(
        format!("{error:?}").contains("ConnectionReset"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_black_hole_answers_nothing() {
    let bed = Bed::start().await;
    bed.proxy.set(Fault::BlackHole);
    assert!(bed.ask().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_delay_only_delays() {
    let bed = Bed::start().await;
    bed.proxy.set(Fault::Delay(Duration::from_millis(200)));
    let started = Instant::now();
    assert_eq!(bed.ask().await.unwrap().0, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_silent_connection_stays_open_and_new_ones_are_fine() {
    let bed = Bed::start().await;
    bed.ask().await.unwrap();
    // The client keeps the connection for the next request by then.
    tokio::time::sleep(Duration::from_millis(100)).await;
    bed.proxy.set(Fault::Silent);
    assert!(bed.ask().await.unwrap_err().is_timeout());
    assert_eq!(bed.ask().await.unwrap().0, 200);
}

#[tokio::test]
async fn connections_that_are_open_feel_a_new_fault() {
    let bed = Bed::start().await;
    bed.ask().await.unwrap();
    bed.proxy.set(Fault::BlackHole);
    assert!(bed.ask().await.is_err(), "the old connection still answers");
}
