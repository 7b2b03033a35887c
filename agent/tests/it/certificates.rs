//! The certificate of a listener, while it is served.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use tokio::process::Command;

use crate::agent::{Place, until};

#[tokio::test]
async fn a_certificate_that_was_replaced_is_served_on_a_signal_or_by_itself() {
    for settings in [
        "",
        "tls_auto_reload = true tls_auto_reload_interval = \"5s\"",
    ] {
        let vault = ScriptedVault::start().await.unwrap();
        let token = Answer::login("hvs.t", "accessor", 3600);
        vault.on("PUT", "/v1/auth/kubernetes/login", token);
        let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
        let listener = format!(
            "listener \"tcp\" {{ address = \"{port}\" tls_cert_file = \"FOLDER/cert\" tls_key_file = \"FOLDER/key\" {settings} }}"
        );
        let place = Place::offline(&vault.url()).setting(&listener);
        fs::write(place.path("jwt"), "x").unwrap();
        let serve = |name: &str| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(place.path(name), made.cert.pem()).unwrap();
            fs::write(place.path("key"), made.signing_key.serialize_pem()).unwrap();
            fs::copy(place.path(name), place.path("cert")).unwrap();
        };
        serve("first");
        let agent = place.start();
        let answers = async |name: &str| is_served(&place.path(name), port.port()).await;
        until("it listens", async || answers("first").await).await;

        serve("second");
        if settings.is_empty() {
            assert!(answers("first").await, "nobody has told it");
            agent.signal(Signal::SIGHUP);
        }

        until("the second is served", async || answers("second").await).await;
        assert!(!answers("first").await);
        agent.terminate().await;
    }
}

async fn is_served(certificate: &Path, port: u16) -> bool {
    let url = format!("https://localhost:{port}/agent/v1/metrics");
    let mut asked = Command::new("curl");
    asked.arg("-sSf").arg("--cacert").arg(certificate).arg(url);
    asked.output().await.unwrap().status.success()
}
