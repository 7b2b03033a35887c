//! An engine behind Vault that does not answer, such as a database that hangs, and the leases of another one.

use std::time::Duration;

use planescape_tests::scripted_vault::{Answer, Request, ScriptedVault};
use serde_json::json;

use crate::agent::{Place, until};
use crate::clients::half_closed;

const RENEWAL: &str = "/v1/sys/leases/renew";
const OTHER: &str = "database/creds/ro";

/// The life of each lease of the engine that hangs: these are due first.
const SHORT: u64 = 3;
const LONG: u64 = 9;

#[tokio::test]
async fn leases_of_templates_are_renewed_whatever_hangs_beside_them() {
    let vault = hanging(12, 10).await;
    let mut place = Place::offline(&vault.url());
    for path in slow(12).chain([OTHER.to_owned()]) {
        let text = format!("{{{{ with secret \"{path}\" }}}}{{{{ .Data.user }}}}{{{{ end }}}}");
        place = place.template(&path.replace('/', "-"), &text);
    }
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();

    let after = renewed_after(&vault).await;

    assert!(after < Duration::from_secs(LONG), "{after:?}");
    drop(agent);
}

#[tokio::test]
async fn leases_of_a_listeners_clients_are_renewed_whatever_hangs_beside_them() {
    let vault = hanging(20, 16).await;
    let port = planescape_tests::address::free([127, 0, 0, 1].into()).unwrap();
    let place = Place::offline(&vault.url())
        .setting("cache {}")
        .setting("api_proxy { use_auto_auth_token = true }")
        .listening(port);
    std::fs::write(place.path("jwt"), "x").unwrap();
    let agent = place.start();
    until("it has a token", async || place.path("token").exists()).await;
    for path in slow(20).chain([OTHER.to_owned()]) {
        let answer = half_closed(&port.to_string(), &format!("/v1/{path}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    let after = renewed_after(&vault).await;

    assert!(after < Duration::from_secs(LONG), "{after:?}");
    drop(agent);
}

/// A Vault with so many leases of an engine that answers none of so many renewals.
async fn hanging(leases: usize, renewals: usize) -> ScriptedVault {
    let vault = ScriptedVault::start().await.unwrap();
    let leased = |path: &str, ttl| Answer::leased(&format!("{path}/1"), ttl, &json!({"user": "u"}));
    let token = Answer::login("hvs.t", "accessor", 3600);
    vault.on("PUT", "/v1/auth/kubernetes/login", token);
    for path in slow(leases) {
        vault.on("GET", &format!("/v1/{path}"), leased(&path, SHORT));
    }
    vault.on("GET", &format!("/v1/{OTHER}"), leased(OTHER, LONG));
    for _ in 0..renewals {
        let never = leased("slow/0", SHORT).after(Duration::from_secs(60));
        vault.on("PUT", RENEWAL, never);
    }
    vault.on("PUT", RENEWAL, leased(OTHER, LONG));
    vault
}

fn slow(leases: usize) -> impl Iterator<Item = String> {
    (0..leases).map(|number| format!("slow/{number}"))
}

/// How long after its read the lease of the other engine is renewed first.
async fn renewed_after(vault: &ScriptedVault) -> Duration {
    let find = |is_it: &dyn Fn(&Request) -> bool| {
        let requests = vault.requests();
        let found = requests.iter().find(|request| is_it(request));
        found.map(|request| request.at)
    };
    let is_renewal = |request: &Request| {
        request.path == RENEWAL && request.body["lease_id"] == format!("{OTHER}/1")
    };
    until("the other engine's lease is renewed", async || {
        find(&is_renewal).is_some()
    })
    .await;
    let is_read = |request: &Request| request.path == format!("/v1/{OTHER}");
    find(&is_renewal).unwrap() - find(&is_read).unwrap()
}
