//! Programs that others have made, in front of the agent's listeners.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::servers;
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::{ROOT_TOKEN, read_without_token};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::agent::{Agent, Place, until};

/// What `vault` and `bao` are asked for; both use the client libraries for Go.
const COMMANDS: [&[&str]; 6] = [
    &["read", "-format=json", "kv/data/clients"],
    &["kv", "get", "-format=json", "-mount=kv", "clients"],
    &["token", "lookup", "-format=json"],
    &["token", "capabilities", "kv/data/clients"],
    &["read", "-format=json", "kv/data/none"],
    &["read", "-format=json", "sys/mounts"],
];

#[tokio::test]
async fn clients_get_from_a_listener_what_vault_gives_them() {
    let cluster = Cluster::shared().await.unwrap();
    let body = json!({ "user": "svc", "note": "a&b <c> \u{e9}" });
    cluster.vault.put("clients", &body).await.unwrap();
    let (place, agent) = listening(cluster).await;
    let token = place.read("token");
    let socket = place.path("agent.sock").display().to_string();
    let listeners = [place.read("address"), format!("unix://{socket}")];
    let programs = [
        servers::VAULT.build().unwrap().join("vault"),
        servers::OPENBAO.build().unwrap().join("bao"),
    ];

    for program in &programs {
        for words in COMMANDS {
            let direct = ask(program, &cluster.vault.url(), Some(&token), words, &place).await;
            for address in &listeners {
                // The agent adds its token.
                let passed = ask(program, address, None, words, &place).await;
                assert_eq!(passed, direct, "{} {words:?} {address}", program.display());
            }
        }
    }
    let path = "http://localhost/v1/kv/data/clients";
    let curl = Command::new("curl")
        .args(["-sSi", "--unix-socket", &socket, path])
        .output();
    let answer = String::from_utf8(curl.await.unwrap().stdout).unwrap();
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("\r\nContent-Type: "),
        "as Go writes it: {head}"
    );
    let answer: Value = serde_json::from_str(content).unwrap();
    assert_eq!(answer["data"]["data"], body);
    let read = read_without_token(&listeners[0], "clients");
    let read = read.await.unwrap();
    assert_eq!(read, body);
    agent.terminate().await;
}

#[tokio::test]
async fn odd_requests_are_answered_with_the_rights_that_they_bring() {
    let cluster = Cluster::shared().await.unwrap();
    let (place, agent) = listening(cluster).await;
    let many = "X-Hop: 1\r\n".repeat(200);

    for (headers, status) in [
        ("", "200"),
        (many.as_str(), "200"),
        ("X-Vault-Token: r\u{f6}t\r\n", "403"),
    ] {
        // Nothing is written after the request.
        let path = "/v1/auth/token/lookup-self";
        let answer = half_closed(&place.read("address"), path, headers).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers:?}: {answer}"
        );
    }
    agent.terminate().await;
}

/// As a client that mends no paths spells them.
#[tokio::test]
async fn no_spelling_of_a_path_tells_the_agents_token() {
    let cluster = Cluster::shared().await.unwrap();
    let (place, agent) = listening(cluster).await;
    let token = place.read("token");

    for (path, status) in [
        ("/v1/auth/token/lookup-self", "200"),
        ("//v1/auth//token/./lookup-self", "200"),
        ("/v1/x/../auth/token/lookup-self", "200"),
        ("/v1/x/%2e%2E/auth/token/lookup-self", "200"),
        ("/v1/x%2F..%2Fauth/token/lookup%2dself/", "200"),
        ("/v1/auth\\token\\lookup-self", "403"),
    ] {
        let answer = half_closed(&place.read("address"), path, "").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && !answer.contains(&token),
            "{path}: {answer}"
        );
    }
    agent.terminate().await;
}

#[tokio::test]
async fn an_answer_that_never_ends_comes_as_vault_gives_it() {
    let cluster = Cluster::shared().await.unwrap();
    let (place, agent) = listening(cluster).await;
    let listener = place.read("address");
    let address = listener.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/sys/monitor?log_level=trace HTTP/1.1\r\nHost: v\r\nX-Vault-Token: {ROOT_TOKEN}\r\n\r\n"
    );

    stream.write_all(request.as_bytes()).await.unwrap();

    let mut answer = String::new();
    // Vault has something to say where somebody mounts something.
    let has_come = async || {
        let mut part = [0; 4096];
        if let Ok(read) = stream.try_read(&mut part) {
            answer.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        let mount = json!({ "type": "kv" });
        let path = format!("sys/mounts/monitored-{}", answer.len());
        let _ = cluster.vault.write(&path, &mount).await;
        answer.contains("monitored-")
    };
    until("the monitor's lines come while it goes on", has_come).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    agent.terminate().await;
}

#[tokio::test]
async fn a_listener_says_how_the_agent_fares_and_waits_no_longer_than_configured() {
    let vault = ScriptedVault::start().await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let slow = Answer::ok(&json!({})).after(Duration::from_secs(5));
    let token = Answer::login("hvs.t", "accessor", 6);
    vault
        .on("PUT", "/v1/auth/kubernetes/login", token)
        .on(
            "PUT",
            "/v1/auth/token/renew-self",
            Answer::error(503, "sealed"),
        )
        .on("GET", "/v1/slow", slow);
    let place = Place::offline(&vault.url())
        .variable("VAULT_CLIENT_TIMEOUT", "1s")
        .setting("telemetry { metrics_prefix = \"team\" }")
        .listening(port);
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    until("it has a token", async || place.path("token").exists()).await;

    let begun = Instant::now();
    let answer = half_closed(&port.to_string(), "/v1/slow", "").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    let metrics = "/agent/v1/metrics?format=prometheus";
    let told = async || half_closed(&port.to_string(), metrics, "").await;
    until("a renewal fails", async || {
        told().await.contains("\nteam_agent_auth_failure 1\n")
    })
    .await;
    // The token lives for two seconds more.
    let told = told().await;
    assert!(told.contains("\nteam_agent_authenticated 1\n"), "{told}");
    agent.terminate().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_configured() {
    let vault = ScriptedVault::start().await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::offline(&vault.url())
        .variable("VAULT_CLIENT_TIMEOUT", "1s")
        .setting("cache {}")
        .listening(port);
    let agent = place.start();
    until("it listens", async || {
        TcpStream::connect(port).await.is_ok()
    })
    .await;

    for (path, expected) in [
        ("/v1/kv/data/new", "HTTP/1.1 500"),
        ("/agent/v1/cache-clear", "HTTP/1.1 400"),
    ] {
        let mut stream = TcpStream::connect(port).await.unwrap();
        let request = format!("PUT {path} HTTP/1.1\r\nHost: v\r\nContent-Length: 9\r\n\r\n{{");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        let answered = stream.read_exact(&mut answer);
        let answered = tokio::time::timeout(Duration::from_secs(9), answered).await;
        assert!(answered.is_ok_and(|read| read.is_ok()), "{path}");
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{path}");
    }
    agent.terminate().await;
}

/// A database that hangs does not answer for half a minute; leases of others may end before.
#[tokio::test]
async fn a_renewal_that_is_not_answered_holds_up_no_other() {
    const RENEWAL: (&str, &str) = ("PUT", "/v1/sys/leases/renew");
    let vault = ScriptedVault::start().await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let leased = |name: &str| Answer::leased(name, 3, &json!({ "username": name }));
    let token = Answer::login("hvs.t", "accessor", 3600);
    vault
        .on("PUT", "/v1/auth/kubernetes/login", token)
        .on("GET", "/v1/db/creds/a", leased("db/creds/a"))
        .on("GET", "/v1/db/creds/b", leased("db/creds/b"))
        .on(
            RENEWAL.0,
            RENEWAL.1,
            leased("db/creds/a").after(Duration::from_secs(30)),
        )
        .on(RENEWAL.0, RENEWAL.1, leased("db/creds/b"));
    let place = Place::offline(&vault.url())
        .setting("cache {}")
        .setting("api_proxy { use_auto_auth_token = true }")
        .listening(port);
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    until("it has a token", async || place.path("token").exists()).await;

    for path in ["/v1/db/creds/a", "/v1/db/creds/b"] {
        let answer = half_closed(&port.to_string(), path, "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    until("the other lease is renewed again and again", async || {
        vault.count(RENEWAL.0, RENEWAL.1) >= 4
    })
    .await;
    agent.terminate().await;
}

/// `vault lease revoke` does not wait for the end of a lease, and Vault answers 202; a gateway says that it does not know.
#[tokio::test]
async fn what_vault_revokes_in_a_moment_or_may_have_revoked_is_kept_no_longer() {
    const READ: (&str, &str) = ("GET", "/v1/db/creds/a");
    const REVOCATION: (&str, &str) = ("PUT", "/v1/sys/leases/revoke/db/creds/a/1");
    let vault = ScriptedVault::start().await.unwrap();
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let data = json!({ "username": "u" });
    let accepted = Answer {
        status: 202,
        ..Answer::empty()
    };
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("hvs.t", "accessor", 3600),
        )
        .on(READ.0, READ.1, Answer::leased("db/creds/a/1", 3600, &data))
        .on(REVOCATION.0, REVOCATION.1, accepted)
        .on(REVOCATION.0, REVOCATION.1, Answer::error(504, "too late"));
    let place = Place::offline(&vault.url())
        .variable("VAULT_CLIENT_TIMEOUT", "1s")
        .setting("cache {}")
        .setting("api_proxy { use_auto_auth_token = true }")
        .listening(port);
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    until("it has a token", async || place.path("token").exists()).await;
    let read = async || half_closed(&port.to_string(), READ.1, "").await;

    for round in 1..=2 {
        for _ in 0..2 {
            let answer = read().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        assert_eq!(vault.count(READ.0, READ.1), round, "the second is kept");
        let mut revoke = Command::new("curl");
        revoke.args(["-sS", "--noproxy", "*", "-X", "PUT", "-d", "{}"]);
        revoke.arg(format!("http://{port}{}", REVOCATION.1));
        assert!(revoke.output().await.unwrap().status.success());
        assert_eq!(vault.count(REVOCATION.0, REVOCATION.1), round);
    }
    read().await;

    assert_eq!(vault.count(READ.0, READ.1), 3);
    agent.terminate().await;
}

/// It renders nothing anew meanwhile, and would not find out by itself.
#[tokio::test]
async fn an_agent_whose_token_somebody_revokes_hears_of_it_by_its_listener() {
    let cluster = Cluster::shared().await.unwrap();
    let secret = json!({ "user": "svc" });
    cluster.vault.put("revoked", &secret).await.unwrap();
    let (place, agent) = listening(cluster).await;
    let revocation = json!({ "token": place.read("token") });
    let revoked = cluster.vault.write("auth/token/revoke", &revocation);
    revoked.await.unwrap();
    let read = async || half_closed(&place.read("address"), "/v1/kv/data/revoked", "").await;

    let answer = read().await;

    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    until("it goes on with another token", async || {
        read().await.starts_with("HTTP/1.1 200 ")
    })
    .await;
    agent.terminate().await;
}

pub(crate) async fn half_closed(address: &str, path: &str, headers: &str) -> String {
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: v\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An agent with two listeners that adds its token to requests without one.
async fn listening(cluster: &Cluster) -> (Place, Agent) {
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::new(cluster)
        .await
        .role("key-value-reader")
        .setting("api_proxy { use_auto_auth_token = true }")
        .setting("planescape { revoke_on_exit = true ready_socket = \"FOLDER/ready.sock\" }")
        .setting("listener \"unix\" { address = \"FOLDER/agent.sock\" tls_disable = true }")
        .listening(port);
    std::fs::write(place.path("address"), format!("http://{port}")).unwrap();
    let agent = place.start();
    until("it has a token", async || place.path("token").exists()).await;
    until("it listens", async || place.path("agent.sock").exists()).await;
    (place, agent)
}

/// Exit code and output, without what differs from call to call.
async fn ask(
    program: &Path,
    address: &str,
    token: Option<&str>,
    words: &[&str],
    home: &Place,
) -> (Option<i32>, Value) {
    let home: PathBuf = home.path("");
    let output = Command::new(program)
        .args(words)
        .env_clear()
        .env("HOME", home)
        .env("VAULT_ADDR", address)
        .env("BAO_ADDR", address)
        .envs(token.map(|token| ("VAULT_TOKEN", token)))
        .envs(token.map(|token| ("BAO_TOKEN", token)))
        .output()
        .await
        .unwrap();
    let mut said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| String::from_utf8_lossy(&output.stdout).into());
    // The agent keeps to itself which token it has.
    for key in ["request_id", "ttl", "id", "accessor"] {
        for part in [Some("/data"), None].map(|it| it.unwrap_or("")) {
            if let Some(object) = said.pointer_mut(part).and_then(Value::as_object_mut) {
                object.remove(key);
            }
        }
    }
    (output.status.code(), said)
}
