//! Metrics that are pushed, beside those that `vault agent` pushes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use planescape_tests::servers;
use planescape_tests::testbed::Cluster;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use crate::agent::{Agent, Place, until};
use crate::clients::half_closed;

#[tokio::test]
async fn metrics_are_pushed_with_the_names_and_types_of_vault_agent() {
    let cluster = Cluster::shared().await.unwrap();
    let vault = servers::VAULT.build().unwrap().join("vault");

    let theirs = pushed(cluster, Some(&vault)).await;
    let ours = pushed(cluster, None).await;

    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_the_rest_when_it_is_back_and_the_last_at_the_end() {
    let cluster = Cluster::shared().await.unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let telemetry = format!("telemetry {{ statsite_address = \"{address}\" }}");
    let (_place, agent, listener) = start(cluster, &telemetry, None).await;
    let (mut first, _) = receiver.accept().await.unwrap();
    let text = received(&mut first, ".agent.authenticated:1.000000|g\n").await;
    let login = "vault.agent.auth.success:1.000000|c\n";
    assert!(text.contains(login), "{text}");

    drop(first);
    // The first write ends in the connection that is gone; the second one finds out.
    let again = async {
        loop {
            half_closed(&listener, "/v1/kv/data/pushed", "").await;
            let accepted = timeout(Duration::from_millis(500), receiver.accept()).await;
            if let Ok(accepted) = accepted {
                break accepted.unwrap().0;
            }
        }
    };
    let mut second = timeout(Duration::from_secs(15), again).await.unwrap();
    received(&mut second, "vault.agent.proxy.success:").await;
    // Less than a second before the end.
    half_closed(&listener, "/v1/sys/mounts", "").await;
    agent.terminate().await;

    received(&mut second, "vault.agent.proxy.client_error:1.000000|c\n").await;
}

/// The kernel says so of the packet after the first one; a login that fails again and again makes one.
#[tokio::test]
async fn a_port_that_nobody_listens_at_is_told() {
    let receiver = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::offline("http://127.0.0.1:9")
        .setting("log_file = \"FOLDER/agent.log\"")
        .setting(&format!("telemetry {{ statsd_address = \"{receiver}\" }}"));
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();

    until("the log says so", async || {
        let log = place.read("agent.log");
        log.contains("metrics cannot be pushed") && log.contains(&receiver.to_string())
    })
    .await;
    agent.terminate().await;
}

/// Reads until this has come.
async fn received(stream: &mut TcpStream, text: &str) -> String {
    let mut all = String::new();
    let reading = async {
        while !all.contains(text) {
            let mut part = [0; 4096];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "{text:?} does not come: {all}");
            all.push_str(std::str::from_utf8(&part[..count]).unwrap());
        }
    };
    timeout(Duration::from_secs(15), reading).await.unwrap();
    all
}

/// Names and types of what comes at a socket, but for what Go counts of itself.
async fn pushed(cluster: &Cluster, program: Option<&Path>) -> BTreeSet<String> {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let telemetry =
        format!("telemetry {{ statsd_address = \"{address}\" metrics_prefix = \"my team\" }}");
    let (_place, agent, listener) = start(cluster, &telemetry, program).await;
    let is_read = async || {
        let answer = half_closed(&listener, "/v1/kv/data/pushed", "").await;
        answer.starts_with("HTTP/1.1 200 ")
    };
    until("it is asked with the agent's token", is_read).await;
    half_closed(&listener, "/v1/sys/mounts", "").await;
    let mut found = BTreeSet::new();
    let mut packet = [0; 4096];
    let mut deadline = Instant::now() + Duration::from_secs(15);
    while let Ok(received) = timeout_at(deadline, receiver.recv(&mut packet)).await {
        let packet = std::str::from_utf8(&packet[..received.unwrap()]).unwrap();
        assert!(packet.len() <= 1_432 && packet.ends_with('\n'), "{packet}");
        let before = found.len();
        for line in packet.lines().filter(|line| !line.contains(".runtime.")) {
            let (name, value) = line.split_once(':').unwrap();
            let (_, kind) = value.split_once('|').unwrap();
            found.insert(format!("{name} {kind}"));
        }
        // Two of the agent and three of its listener; what else comes, comes soon.
        if before < 5 && found.len() >= 5 {
            deadline = Instant::now() + Duration::from_millis(1_500);
        }
    }
    assert!(found.len() >= 5, "{found:?}");
    agent.terminate().await;
    found
}

/// An agent with a token, and where it listens.
async fn start(
    cluster: &Cluster,
    telemetry: &str,
    program: Option<&Path>,
) -> (Place, Agent, String) {
    let secret = json!({ "a": "b" });
    cluster.vault.put("pushed", &secret).await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::new(cluster)
        .await
        .role("key-value-reader")
        .variable("HOME", "/nowhere")
        .setting("api_proxy { use_auto_auth_token = true }")
        .setting("cache {}")
        .setting(telemetry)
        .listening(port);
    let agent = match program {
        Some(program) => place.start_as(program, &["agent"]),
        None => place.start(),
    };
    until("it has a token", async || place.path("token").exists()).await;
    let listens = async || TcpStream::connect(port).await.is_ok();
    until("it listens", listens).await;
    (place, agent, port.to_string())
}
