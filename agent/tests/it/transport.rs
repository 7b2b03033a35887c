//! The servers that the agent talks to, and those that it must not.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;

use planescape_tests::address;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::tls::own_certificate;
use planescape_tests::vault::{Tls, Vault};
use serde_json::{Value, json};

use crate::agent::{Agent, Place, until};

const SHORT: &str = r#"exit_after_auth = true
    planescape { give_up_after = "2s" revoke_on_exit = true termination_log = "FOLDER/report" }"#;

#[tokio::test]
async fn the_servers_name_is_asked_for_in_the_handshake() {
    let (address, hello) = one_hello();
    let place = place(&address)
        .variable("HTTPS_PROXY", "http://127.0.0.1:1")
        .variable("VAULT_TLS_SERVER_NAME", "vault.internal.example")
        .variable("VAULT_SKIP_VERIFY", "true");

    place.run().await;

    let hello = hello.join().unwrap();
    let name = b"vault.internal.example";
    assert!(hello.windows(name.len()).any(|part| part == name));
}

/// A key share that waits for nothing: of a group that is named without one, a server has to ask.
#[tokio::test]
async fn the_first_key_share_is_one_that_no_quantum_computer_breaks() {
    const X25519_MLKEM768: u16 = 0x11ec;
    let (address, hello) = one_hello();

    place(&address)
        .variable("VAULT_SKIP_VERIFY", "true")
        .run()
        .await;

    assert_eq!(first_key_share(&hello.join().unwrap()), X25519_MLKEM768);
}

#[tokio::test]
async fn the_servers_name_is_verified_instead_of_the_addresss_host() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vault = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let authority = vault.authority().display().to_string();
    for (name, reason) in [
        ("127.0.0.1", "LoginDenied"),
        ("elsewhere.example", "TLSError"),
    ] {
        let place = place(&vault.url())
            .variable("VAULT_TLS_SERVER_NAME", name)
            .variable("VAULT_CACERT", &authority);

        place.run().await;

        assert_eq!(place.report()["reason"], reason, "{}", place.report());
    }
}

#[tokio::test]
async fn a_redirect_from_http_to_a_server_that_nobody_vouches_for_gets_no_token() {
    let run = RunFolder::create().unwrap();
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let other = Vault::start(&run, loopback, Tls::On).await.unwrap();
    let vault = redirecting(&format!("{}/v1/auth/kubernetes/login", other.url())).await;
    let place = place(&vault.url());

    place.run().await;

    assert_eq!(place.report()["reason"], "TLSError", "{}", place.report());
    let reached = other.requests().unwrap();
    assert!(
        !reached
            .iter()
            .any(|entry| entry.is("update", "auth/kubernetes/login"))
    );
}

#[tokio::test]
async fn one_redirect_is_followed_and_none_where_they_are_switched_off() {
    let active = ScriptedVault::start().await.unwrap();
    active.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 60),
    );
    let target = format!("{}/v1/auth/kubernetes/login", active.url());
    let standby = redirecting(&target).await;

    place(&standby.url()).run().await;
    assert!(active.count("PUT", "/v1/auth/kubernetes/login") > 0);

    let before = active.requests().len();
    let refusing = place(&standby.url()).variable("VAULT_DISABLE_REDIRECTS", "true");
    refusing.run().await;
    assert_eq!(active.requests().len(), before);
    assert_eq!(refusing.report()["status"], 307, "{}", refusing.report());

    let middle = redirecting(&target).await;
    let first = redirecting(&format!("{}/v1/auth/kubernetes/login", middle.url())).await;
    place(&first.url()).run().await;
    assert!(middle.count("PUT", "/v1/auth/kubernetes/login") > 0);
    assert_eq!(
        active.requests().len(),
        before,
        "a second redirect is not followed"
    );
}

#[tokio::test]
async fn loopback_is_reached_without_a_proxy() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 60),
    );
    let place = place(&vault.url())
        .variable("HTTP_PROXY", "http://127.0.0.1:9")
        .variable("http_proxy", "http://127.0.0.1:9");

    place.run().await;

    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 1);
}

#[tokio::test]
async fn an_odd_answer_to_a_login_brings_a_token_that_is_revoked() {
    let vault = ScriptedVault::start().await.unwrap();
    let odd = r#"{"auth":{"client_token":"t1","accessor":null,"lease_duration":3600.5,"renewable":true}}"#;
    let body: Value = serde_json::from_str(odd).unwrap();
    vault
        .on("PUT", "/v1/auth/kubernetes/login", Answer::ok(&body))
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let place = Place::offline(&vault.url()).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());

    agent.terminate().await;

    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 1);
}

#[tokio::test]
async fn a_vault_behind_a_unix_socket_is_reached() {
    let vault = ScriptedVault::start().await.unwrap();
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let between = Place::offline(&vault.url())
        .template("static", "text")
        .setting("planescape { revoke_on_exit = true ready_socket = \"FOLDER/ready.sock\" }")
        .setting("listener \"unix\" { address = \"FOLDER/agent.sock\" tls_disable = true }");
    std::fs::write(between.path("jwt"), "x").unwrap();
    let proxy = between.start();
    assert!(between.wait().await.success());
    let address = format!("unix://{}", between.path("agent.sock").display());
    let place = Place::offline(&address).template("static", "text");
    std::fs::write(place.path("jwt"), "x").unwrap();

    let agent = place.start();
    assert!(place.wait().await.success());
    agent.terminate().await;
    proxy.terminate().await;

    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 2);
    assert_eq!(vault.count("PUT", "/v1/auth/token/revoke-self"), 2);
    assert!(!between.path("agent.sock").exists());
}

/// As `bao agent` reads it. Its Vault is the listener of another agent, which lets nobody else in.
#[tokio::test]
async fn a_client_certificate_may_stand_in_the_environment() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 3600),
    );
    let address = address::free([127, 0, 0, 1].into()).unwrap();
    let guarded = format!(
        r#"listener "tcp" {{
          address = "{address}"
          tls_cert_file = "FOLDER/cert.pem"
          tls_key_file = "FOLDER/key.pem"
          tls_client_ca_file = "FOLDER/cert.pem"
          tls_require_and_verify_client_cert = true
        }}"#
    );
    let between = Place::offline(&vault.url())
        .template("static", "text")
        .setting("planescape { ready_socket = \"FOLDER/ready.sock\" }")
        .setting(&guarded);
    let (certificate, key) = own_certificate().unwrap();
    std::fs::write(between.path("jwt"), "x").unwrap();
    std::fs::write(between.path("cert.pem"), &certificate).unwrap();
    std::fs::write(between.path("key.pem"), &key).unwrap();
    let proxy = between.start();
    assert!(between.wait().await.success());
    for prefix in ["VAULT", "BAO"] {
        let before = vault.count("PUT", "/v1/auth/kubernetes/login");
        let place = place(&format!("https://{address}"))
            .variable("VAULT_CACERT_BYTES", &certificate)
            .variable(&format!("{prefix}_CLIENT_CERT_BYTES"), &certificate)
            .variable(&format!("{prefix}_CLIENT_KEY_BYTES"), &key);

        let output = place.run().await;

        let log = String::from_utf8_lossy(&output.stderr);
        let after = vault.count("PUT", "/v1/auth/kubernetes/login");
        assert_eq!(after, before + 1, "{prefix}: {log}");
        assert!(!log.contains("PRIVATE KEY"), "{log}");
    }
    proxy.terminate().await;
}

/// A standby that answers reads by itself hears of the login a moment later, and says so where it is asked for that moment.
#[tokio::test]
async fn a_read_names_the_login_that_a_standby_has_to_know() {
    const INDEX: &str = "v1:cluster:7:0:mac";
    let vault = ScriptedVault::start().await.unwrap();
    let login = Answer {
        headers: vec![("x-vault-index", INDEX.to_owned())],
        ..Answer::login("t1", "a1", 3600)
    };
    let mount = json!({ "data": { "path": "database/", "type": "database", "options": null } });
    let read = "/v1/database/creds/ro";
    vault
        .on("PUT", "/v1/auth/kubernetes/login", login)
        .on(
            "GET",
            "/v1/sys/internal/ui/mounts/database/creds/ro",
            Answer::ok(&mount),
        )
        .on(
            "GET",
            read,
            Answer::error(412, "required index state not present"),
        )
        .on(
            "GET",
            read,
            Answer::leased("database/creds/ro/1", 3600, &json!({ "username": "v-1" })),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let text = r#"{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}"#;
    let place = place(&vault.url()).template("out", text);

    place.run().await;

    assert_eq!(place.read("out").trim(), "v-1");
    assert_eq!(vault.count("GET", read), 2);
    for request in vault.requests() {
        let expected = (request.method == "GET").then_some(INDEX);
        assert_eq!(request.index.as_deref(), expected, "{}", request.path);
    }
}

/// The community's Vault has no namespaces.
#[tokio::test]
async fn a_login_goes_to_its_methods_namespace_and_a_lease_stays_in_that_of_its_read() {
    let vault = ScriptedVault::start().await.unwrap();
    let mount = json!({ "data": { "path": "database/", "type": "database", "options": null } });
    let secret = json!({ "username": "v-1" });
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on(
            "GET",
            "/v1/sys/internal/ui/mounts/database/creds/ro",
            Answer::ok(&mount),
        )
        .on(
            "GET",
            "/v1/database/creds/ro",
            Answer::leased("database/creds/ro/1", 3, &secret),
        )
        .on(
            "PUT",
            "/v1/sys/leases/renew",
            Answer::leased("database/creds/ro/1", 3, &Value::Null),
        )
        .on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    let place = Place::offline(&vault.url());
    let agent = start_in_two(
        &place,
        &vault,
        r#"secret \"database/creds/ro\""#,
        ".Data.username",
    );
    until("it renews", async || {
        vault.count("PUT", "/v1/sys/leases/renew") > 0
    })
    .await;
    agent.terminate().await;

    let mut asked: Vec<(String, Option<String>)> = vault
        .requests()
        .into_iter()
        .map(|request| (request.path, request.namespace))
        .collect();
    asked.sort();
    asked.dedup();
    let expected = [
        ("/v1/auth/kubernetes/login", "people/"),
        ("/v1/auth/token/revoke-self", "people/"),
        ("/v1/database/creds/ro", "team/"),
        ("/v1/sys/internal/ui/mounts/database/creds/ro", "team/"),
        ("/v1/sys/leases/renew", "team/"),
        ("/v1/sys/leases/revoke", "team/"),
    ];
    let expected = expected.map(|(path, namespace)| (path.to_owned(), Some(namespace.to_owned())));
    assert_eq!(asked, expected);
}

/// The path of the read may name one below that of all reads.
#[tokio::test]
async fn a_token_is_revoked_in_the_namespace_that_its_path_names() {
    let asked = revocations_in_two("unit/auth/token/create-orphan", [Answer::empty()]).await;

    assert_eq!(asked, ["people/", "team/unit/"]);
}

/// A token that a template has made is in the namespace of its read.
#[tokio::test]
async fn a_token_that_cannot_be_revoked_where_the_login_is_is_revoked_where_the_reads_are() {
    let denied = Answer::error(403, "permission denied");

    let asked = revocations_in_two("auth/token/create-orphan", [denied, Answer::empty()]).await;

    assert_eq!(asked, ["people/", "people/", "team/"]);
}

/// The namespaces in which an agent asks to revoke its own token and one that its template has made with this path.
async fn revocations_in_two(path: &str, answers: impl IntoIterator<Item = Answer>) -> Vec<String> {
    const REVOCATION: &str = "/v1/auth/token/revoke-self";
    let vault = ScriptedVault::start().await.unwrap();
    let made = json!({ "auth": { "client_token": "o1", "accessor": "ao", "lease_duration": 3600,
        "renewable": true, "orphan": true } });
    vault
        .on(
            "PUT",
            "/v1/auth/kubernetes/login",
            Answer::login("t1", "a1", 3600),
        )
        .on("PUT", &format!("/v1/{path}"), Answer::ok(&made));
    for answer in answers {
        vault.on("PUT", REVOCATION, answer);
    }
    let place = Place::offline(&vault.url());
    let call = format!(r#"secret \"{path}\" \"ttl=1h\""#);
    let agent = start_in_two(&place, &vault, &call, ".Auth.ClientToken");
    assert!(place.wait().await.success());
    agent.terminate().await;

    assert_eq!(place.report()["reason"], "Revoked");
    let requests = vault.requests().into_iter();
    let revocations = requests.filter(|request| request.path == REVOCATION);
    let mut asked: Vec<_> = revocations.filter_map(|it| it.namespace).collect();
    asked.sort();
    asked
}

/// Starts an agent that logs in in one namespace and reads in another.
fn start_in_two(place: &Place, vault: &ScriptedVault, call: &str, value: &str) -> Agent {
    std::fs::write(place.path("jwt"), "x").unwrap();
    let folder = place.path("").display().to_string();
    let config = format!(
        r#"
        vault {{ address = "{}" namespace = "team" }}
        auto_auth {{ method "kubernetes" {{ namespace = "people" config {{ role = "r" token_path = "{folder}/jwt" }} }} }}
        planescape {{
          revoke_on_exit = true
          termination_log = "{folder}/report"
          ready_socket = "{folder}/ready.sock"
        }}
        template {{
          contents = "{{{{ with {call} }}}}{{{{ {value} }}}}{{{{ end }}}}"
          destination = "{folder}/out"
        }}
        "#,
        vault.url()
    );
    let path = place.path("own.hcl");
    std::fs::write(&path, config).unwrap();
    let path = format!("-config={}", path.display());
    // The place's own configuration, which comes last, stays unread.
    let script = "exec \"$0\" \"$1\"";
    let words = ["-c", script, env!("CARGO_BIN_EXE_planescape-agent"), &path];
    place.start_as(Path::new("/bin/sh"), &words)
}

/// The address of a server that reads the beginning of one handshake and answers nothing, and what it read.
fn one_hello() -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let hello = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut hello).unwrap();
        hello
    });
    (address, hello)
}

/// The group of the first key share in a ClientHello (RFC 8446, 4.1.2 and 4.2.8).
fn first_key_share(hello: &[u8]) -> u16 {
    const KEY_SHARE: u16 = 51;
    let short = |at: usize| u16::from_be_bytes([hello[at], hello[at + 1]]);
    // Type, length, version and random; then the session, the suites and the compressions, each with its length.
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(short(at));
    at += 1 + usize::from(hello[at]);
    let end = at + 2 + usize::from(short(at));
    at += 2;
    while at < end {
        if short(at) == KEY_SHARE {
            // The extension's own length stands before that of the list.
            return short(at + 6);
        }
        at += 4 + usize::from(short(at + 2));
    }
    panic!("the handshake has no key share")
}

async fn redirecting(target: &str) -> ScriptedVault {
    let vault = ScriptedVault::start().await.unwrap();
    let answer = Answer {
        headers: vec![("location", target.to_owned())],
        ..Answer::status(307, &Value::Null)
    };
    vault.on("PUT", "/v1/auth/kubernetes/login", answer);
    vault
}

fn place(address: &str) -> Place {
    let place = Place::offline(address)
        .template("static", "text")
        .setting(SHORT);
    std::fs::write(place.path("jwt"), "x").unwrap();
    place
}
