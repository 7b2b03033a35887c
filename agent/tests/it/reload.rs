//! What SIGHUP takes over.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use planescape_tests::address;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::servers;
use planescape_tests::tls::{Certificate, TlsFront, own_certificate};
use tokio::process::Command;

use crate::agent::{Place, until};

const TRIGGERED: &str = "agent config reload triggered";

#[tokio::test]
async fn a_template_source_that_is_gone_keeps_nothing_else_from_being_taken() {
    let vault = vault().await;
    let listener = address::free([127, 0, 0, 1].into()).unwrap();
    let place = place(&vault)
        .setting(r#"template { source = "FOLDER/source" destination = "FOLDER/out" }"#)
        .setting(&format!(
            r#"listener "tcp" {{
              address = "{listener}"
              tls_cert_file = "FOLDER/cert.pem"
              tls_key_file = "FOLDER/key.pem"
            }}"#
        ));
    fs::write(place.path("source"), "text").unwrap();
    certify(&place);
    let agent = place.start();
    assert!(place.wait().await.success());

    fs::remove_file(place.path("source")).unwrap();
    fs::rename(place.path("agent.log"), place.path("moved.log")).unwrap();
    certify(&place);
    agent.signal(Signal::SIGHUP);

    until("the new certificate is shown", async || {
        let url = format!("https://{listener}/agent/v1/metrics");
        let asked = Command::new("curl")
            .args(["-sS", "--max-time", "5", "--noproxy", "*", "--cacert"])
            .arg(place.path("cert.pem"))
            .arg(url)
            .output();
        asked.await.unwrap().status.success()
    })
    .await;
    until("there is a new log", async || {
        place.path("agent.log").exists()
    })
    .await;
    agent.terminate().await;
}

#[tokio::test]
async fn a_hang_up_during_a_reload_is_one_more_reload_after_it() {
    let vault = vault().await;
    let place = place(&vault);
    let agent = place.start();
    assert!(place.wait().await.success());
    let config = place.path("agent.hcl");
    let text = fs::read_to_string(&config).unwrap();
    fs::remove_file(&config).unwrap();
    mkfifo(&config, Mode::S_IRWXU).unwrap();

    // The first one waits for what the pipe will hold.
    for _ in 0..3 {
        agent.signal(Signal::SIGHUP);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(triggered(&place), 1);
    let pipe = OpenOptions::new().write(true).open(&config);
    let mut pipe = pipe.unwrap();
    let last = place.path("last.hcl");
    fs::write(&last, text.replace("\"info\"", "\"debug\"")).unwrap();
    fs::rename(last, &config).unwrap();
    pipe.write_all(text.as_bytes()).unwrap();
    drop(pipe);

    until("it reads the file that came last", async || {
        triggered(&place) == 2
    })
    .await;
    agent.signal(Signal::SIGHUP);
    until("there is no third one that waits", async || {
        triggered(&place) == 3
    })
    .await;
    agent.terminate().await;
}

#[tokio::test]
async fn templates_are_taken_over_and_a_broken_configuration_changes_nothing() {
    let vault = vault().await;
    let place = place(&vault)
        .setting(r#"template { contents = "one" destination = "FOLDER/one" }"#)
        .setting(r#"template { source = "FOLDER/source" destination = "FOLDER/two" }"#);
    fs::write(place.path("source"), "two").unwrap();
    let agent = place.start();
    assert!(place.wait().await.success());
    let config = place.path("agent.hcl");
    let before = fs::read_to_string(&config).unwrap();
    let third = |contents: &str| {
        let path = place.path("three");
        let path = path.display();
        format!("{before}\ntemplate {{ contents = \"{contents}\" destination = \"{path}\" }}")
    };
    let inode = || fs::metadata(place.path("one")).unwrap().ino();
    let first = inode();

    fs::write(place.path("source"), "2").unwrap();
    fs::write(&config, third("{{ end }}")).unwrap();
    agent.signal(Signal::SIGHUP);
    until("the mistake is named", async || {
        let log = place.read("agent.log");
        log.contains("the templates are kept as they were") && log.contains("template[2]")
    })
    .await;
    assert_eq!(
        (place.read("two"), place.read("three")),
        ("two".to_owned(), String::new())
    );

    fs::write(&config, third("three")).unwrap();
    agent.signal(Signal::SIGHUP);
    until("both are written", async || {
        place.read("two") == "2" && place.read("three") == "three"
    })
    .await;

    let elsewhere = before.replace(&vault.url(), "http://127.0.0.1:1");
    fs::write(&config, elsewhere + "\npigeon = 1").unwrap();
    agent.signal(Signal::SIGHUP);
    until("what needs a start, or is unknown, is named", async || {
        let log = place.read("agent.log");
        log.contains("key=vault.address") && log.contains("pigeon")
    })
    .await;
    agent.terminate().await;

    assert_eq!(place.read("three"), "three");
    assert_eq!(inode(), first);
    assert_eq!(vault.count("PUT", "/v1/auth/kubernetes/login"), 1);
}

/// Whoever signs Vault's certificates has changed.
#[tokio::test]
async fn the_authorities_to_trust_are_read_again_as_bao_agent_reads_them() {
    let programs = [
        (env!("CARGO_BIN_EXE_planescape-agent").into(), "kubernetes"),
        (env!("CARGO_BIN_EXE_planescape-agent").into(), "cert"),
        (servers::OPENBAO.build().unwrap().join("bao"), "kubernetes"),
    ];
    for (program, method) in programs {
        let vault = vault().await;
        vault.on(
            "PUT",
            "/v1/auth/cert/login",
            Answer::login("t1", "a1", 3600),
        );
        let good = TlsFront::start(vault.address(), Certificate::Good)
            .await
            .unwrap();
        let other = TlsFront::start(vault.address(), Certificate::Good)
            .await
            .unwrap();
        let place = Place::offline(&good.url()).variable("HOME", "/");
        fs::write(place.path("jwt"), "x").unwrap();
        fs::write(place.path("ca.pem"), other.authority()).unwrap();
        let (common, own) = match method {
            "cert" => ("", "ca_cert = \"FOLDER/ca.pem\""),
            _ => (
                "ca_cert = \"FOLDER/ca.pem\"",
                "role = \"r\" token_path = \"FOLDER/jwt\"",
            ),
        };
        let text = format!(
            r#"vault {{ address = "{}" {common} }}
            auto_auth {{
              method "{method}" {{ min_backoff = "1s" max_backoff = "2s" config {{ {own} }} }}
              sink "file" {{ config {{ path = "FOLDER/sink" }} }}
            }}"#,
            good.url()
        );
        let text = text.replace("FOLDER", place.path("").to_str().unwrap());
        let config = place.path("own.hcl");
        fs::write(&config, text).unwrap();
        let config = format!("-config={}", config.display());
        // The place's own configuration, which comes last, stays unread.
        let words = [
            "-c",
            "exec \"$0\" agent \"$1\"",
            program.to_str().unwrap(),
            &config,
        ];
        let agent = place.start_as(Path::new("/bin/sh"), &words);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(vault.requests(), []);

        fs::write(place.path("ca.pem"), good.authority()).unwrap();
        agent.signal(Signal::SIGHUP);

        until(
            &format!("{} logs in by {method}", program.display()),
            async || place.path("sink").exists(),
        )
        .await;
        agent.terminate().await;
    }
}

/// A new certificate in the listener's place.
fn certify(place: &Place) {
    let (certificate, key) = own_certificate().unwrap();
    fs::write(place.path("cert.pem"), certificate).unwrap();
    fs::write(place.path("key.pem"), key).unwrap();
}

fn triggered(place: &Place) -> usize {
    place.read("agent.log").matches(TRIGGERED).count()
}

async fn vault() -> ScriptedVault {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on(
        "PUT",
        "/v1/auth/kubernetes/login",
        Answer::login("t1", "a1", 3600),
    );
    vault
}

fn place(vault: &ScriptedVault) -> Place {
    let place = Place::offline(&vault.url())
        .setting(r#"log_level = "info""#)
        .setting(r#"log_file = "FOLDER/agent.log""#)
        .setting(r#"planescape { ready_socket = "FOLDER/ready.sock" }"#);
    fs::write(place.path("jwt"), "x").unwrap();
    place
}
