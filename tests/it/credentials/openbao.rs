//! OpenBao says of a token that has ended no more than that it is denied.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Result;
use planescape_tests::testbed::Cluster;
use planescape_tests::vault::Vault;
use serde_json::json;

use super::place::{Place, guides};

#[tokio::test]
async fn a_run_that_outlived_its_token_is_revoked_where_somebody_can_ask_for_it() {
    let cluster = Cluster::start().await.unwrap();
    let bao = openbao(&cluster).await.unwrap();
    let mut place = Place::without_program(&cluster, "openbao").await.unwrap();
    place.let_in().await.unwrap();
    let url = bao.url();
    let arguments = ["--listen", "127.0.0.1:0", "--vault-addresses", &url];
    place.start_with(&arguments).await.unwrap();

    for (name, lease) in [("asked", "Revoked"), ("presumed", "Expiring")] {
        if name == "presumed" {
            let nothing = json!({ "policy": "path \"nothing\" { capabilities = [\"deny\"] }" });
            let policy = "sys/policies/acl/planescape-revocation";
            bao.write(policy, &nothing).await.unwrap();
        }
        let mut job = guides(name);
        job["spec"]["vault"]["address"] = json!(url);
        job["spec"]["vault"]["secrets"][0]["path"] = json!("kv/app");
        place.bed.apply(&job).await.unwrap();
        place.until_let_go(name).await.unwrap();
        // Its token lives for ten seconds.
        tokio::time::sleep(Duration::from_secs(12)).await;
        place.end(name).await.unwrap();

        place.until_lease(name, lease).await.unwrap();
    }
}

async fn openbao(cluster: &Cluster) -> Result<Vault> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let bao = Vault::start_openbao(&cluster.run, loopback).await?;
    let control_plane = &cluster.control_plane;
    let reviewer = control_plane.token_reviewer().await?;
    let authority = control_plane.authority()?;
    bao.trust(&control_plane.url(), &authority, &reviewer)
        .await?;
    let brief = json!({ "token_ttl": "10s", "token_max_ttl": "10s" });
    bao.let_runs_in("runs", &brief).await?;
    let secret = json!({ "username": "somebody", "password": "secret" });
    bao.put("app", &secret).await?;
    Ok(bao)
}
