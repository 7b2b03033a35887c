//! From the Job's creation to the end of its database user.

use std::collections::BTreeSet;
use std::time::Duration;

use planescape_tests::testbed::{Cluster, NAMESPACE};
use planescape_tests::vault::Entry;
use serde_json::json;

use super::place::{
    ACCOUNT, CREDENTIALS, LIMIT, Place, guides, no_user_but_forgotten_ones, until_leases,
};
use crate::operator::running::condition;

#[tokio::test]
async fn a_run_has_a_database_user_of_its_own_from_before_its_pod_to_its_end() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "life").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();

    let name = format!("{job}-vault-db-creds");
    let secret = place.bed.get(&format!("secret/{name}")).await.unwrap();
    assert_eq!(secret["immutable"], true);
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["metadata"]["ownerReferences"][0]["name"], job);
    let pod = place.bed.pod("my-job").await.unwrap();
    let pod = place.bed.get(&format!("pod/{pod}")).await.unwrap();
    let reference = &pod["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(reference, &json!({ "name": name, "key": "username" }));
    assert!(
        pod["metadata"]["creationTimestamp"].as_str()
            >= secret["metadata"]["creationTimestamp"].as_str()
    );
    let data = place.secret(&name).await.unwrap();
    let [(password_key, password), (user_key, user)] = &data[..] else {
        panic!("exactly username and password: {data:?}");
    };
    assert_eq!((&user_key[..], &password_key[..]), ("username", "password"));
    assert!(cluster.postgres.admits(user, password).await.unwrap());
    let status = place.until_lease("my-job", "Held").await.unwrap();
    assert_eq!(condition(&status, "VaultReady").1, "Supplied");
    assert!(place.has_record(&job).await.unwrap());

    place.end("my-job").await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();

    assert_eq!(cluster.vault.leases(CREDENTIALS).await.unwrap(), [""; 0]);
    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), [""; 0]);
    let is_free = |job: &serde_json::Value| job["metadata"]["finalizers"].is_null();
    let ended = place
        .bed
        .until(&format!("job/{job}"), LIMIT, is_free)
        .await
        .unwrap();
    assert!(!place.has_record(&job).await.unwrap());
    let requests = cluster.vault.requests().unwrap();
    let count = |operation: &str, path: &str| {
        let of = |entry: &&Entry| entry.is(operation, path);
        requests.iter().filter(of).count()
    };
    assert_eq!(count("update", "auth/kubernetes/login"), 1);
    assert_eq!(count("read", CREDENTIALS), 1);
    assert_eq!(count("update", "auth/token/revoke-self"), 1);
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let mut calls = cluster.control_plane.calls().unwrap();
    calls.retain(|call| call.user.username == user);
    let kinds: BTreeSet<String> = calls.iter().map(|call| call.kind()).collect();
    assert!(kinds.contains("create secrets"), "{kinds:?}");
    assert!(
        !kinds.contains("list secrets") && !kinds.contains("watch secrets"),
        "{kinds:?}"
    );
    let refused: Vec<_> = calls.iter().filter(|it| it.answer.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let events = place.bed.events("my-job").await.unwrap();
    assert!(
        events.iter().any(|(reason, _)| reason == "LeaseRevoked"),
        "{events:?}"
    );
    for told in [
        ended.to_string(),
        status.to_string(),
        format!("{events:?}"),
        place.log(),
    ] {
        let line = told.lines().find(|line| line.contains(password.as_str()));
        assert_eq!(line, None, "a password is told");
    }
}

#[tokio::test]
async fn keys_and_templates_shape_a_secret_of_a_store_with_versions() {
    let cluster = Cluster::shared().await.unwrap();
    let place = Place::new(cluster, "shapes").await.unwrap();
    let data = json!({ "user": "svc", "port": 5432 });
    cluster.vault.put("shapes", &data).await.unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["secrets"] = json!([
        { "name": "a", "path": "kv/shapes", "secretName": "a", "keys": { "LOGIN": "user" } },
        { "name": "b", "path": "kv/data/shapes", "secretName": "b",
          "keyTemplates": { "url": "pg://{{ .Data.data.user }}:{{ .Data.data.port }}" } },
        { "name": "c", "path": "kv/shapes", "secretName": "c" },
    ]);
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"] = json!({ "containers": [{
        "name": "main", "image": "busybox:1.35",
        "envFrom": [{ "secretRef": { "name": "a" } }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }, { "name": "w", "mountPath": "/w" }],
    }], "volumes": [
        { "name": "v", "secret": { "secretName": "b" } },
        { "name": "w", "projected": { "sources": [{ "secret": { "name": "c" } }] } },
    ] });
    place.bed.apply(&job).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();

    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let secret = async |name: &str| place.secret(&format!("{job}-{name}")).await.unwrap();
    assert_eq!(secret("a").await, [pair("LOGIN", "svc")]);
    assert_eq!(secret("b").await, [pair("url", "pg://svc:5432")]);
    assert_eq!(
        secret("c").await,
        [pair("port", "5432"), pair("user", "svc")]
    );
}

#[tokio::test]
async fn a_restart_goes_on_with_the_recorded_token_and_makes_a_deleted_secret_again() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::new(&cluster, "restart").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    let name = format!("{job}-vault-db-creds");
    let before = place.secret(&name).await.unwrap();

    place.kill();
    place
        .bed
        .kubectl(&["delete", "secret", &name])
        .await
        .unwrap();
    place.start().await.unwrap();

    let secret = format!("secret/{name}");
    place.bed.until(&secret, LIMIT, |_| true).await.unwrap();
    assert_ne!(place.secret(&name).await.unwrap(), before);
    let (user, password) = (&before[1].1, &before[0].1);
    assert!(
        cluster.postgres.admits(user, password).await.unwrap(),
        "pods have it"
    );
    let logins = |requests: Vec<Entry>| {
        let login = |entry: &&Entry| entry.is("update", "auth/kubernetes/login");
        requests.iter().filter(login).count()
    };
    assert_eq!(logins(cluster.vault.requests().unwrap()), 1);
    place.end("my-job").await.unwrap();
    place.until_lease("my-job", "Revoked").await.unwrap();
    assert_eq!(cluster.postgres.vault_roles().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_program_that_is_killed_at_any_moment_supplies_every_run_and_leaves_no_user() {
    let cluster = Cluster::start().await.unwrap();
    let mut place = Place::without_program(&cluster, "kills").await.unwrap();
    place.let_in().await.unwrap();
    let names: Vec<String> = (0..6).map(|number| format!("job-{number}")).collect();
    for name in &names {
        place.bed.apply(&guides(name)).await.unwrap();
    }
    for round in 0..10_u64 {
        place.start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(40 + round * 23)).await;
        place.kill();
    }
    place.start().await.unwrap();
    for name in &names {
        place.until_let_go(name).await.unwrap();
        place.end(name).await.unwrap();
    }
    for round in 0..10_u64 {
        tokio::time::sleep(Duration::from_millis(20 + round * 13)).await;
        place.kill();
        place.start().await.unwrap();
    }
    for name in &names {
        // An answer that died with the program may have brought a lease that nobody can name.
        place
            .until_lease_is_one_of(name, &["Revoked", "TokenRevoked"])
            .await
            .unwrap();
    }
    until_leases(&cluster, 0).await.unwrap();

    // A login whose answer was not recorded leaves a token, and no user.
    no_user_but_forgotten_ones(&cluster).await.unwrap();
}

#[tokio::test]
async fn a_job_that_somebody_suspends_stays_suspended() {
    let cluster = Cluster::shared().await.unwrap();
    let mut place = Place::new(cluster, "suspended").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    let suspend = r#"{"spec":{"suspend":true}}"#;
    let patch = ["patch", "job", &job, "--type=merge", "-p", suspend];
    place.bed.kubectl(&patch).await.unwrap();

    place.kill();
    place.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;

    let job = place.bed.get(&format!("job/{job}")).await.unwrap();
    assert_eq!(job["spec"]["suspend"], true, "{}", place.log());
}

#[tokio::test]
async fn deleting_the_planescapejob_revokes_and_leaves_nothing() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "delete").await.unwrap();
    place.bed.apply(&guides("my-job")).await.unwrap();
    place.until_let_go("my-job").await.unwrap();

    let delete = ["delete", "pjob", "my-job", "--timeout=20s"];
    place.bed.kubectl(&delete).await.unwrap();

    // The garbage collector learns of a new kind within half a minute.
    for _ in 0..1_200 {
        let jobs = place
            .bed
            .list("jobs", "planescape.io/job=my-job")
            .await
            .unwrap();
        let roles = cluster.postgres.vault_roles().await.unwrap();
        if jobs.is_empty() && roles.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("something is left: {}", place.log());
}

#[tokio::test]
async fn a_lease_is_renewed_for_longer_than_its_first_life() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "renewal").await.unwrap();
    let brief = planescape_tests::vault::Role {
        name: "readonly",
        default_ttl: "6s",
        max_ttl: "24h",
    };
    cluster.vault.set_database_role(brief).await.unwrap();
    cluster
        .vault
        .let_runs_in("brief", &json!({ "token_ttl": "6s" }))
        .await
        .unwrap();
    let mut job = guides("my-job");
    job["spec"]["vault"]["role"] = json!("brief");
    place.bed.apply(&job).await.unwrap();
    let job = place.until_let_go("my-job").await.unwrap();
    let data = place
        .secret(&format!("{job}-vault-db-creds"))
        .await
        .unwrap();

    tokio::time::sleep(Duration::from_secs(9)).await;

    let (user, password) = (&data[1].1, &data[0].1);
    assert!(
        cluster.postgres.admits(user, password).await.unwrap(),
        "{}",
        place.log()
    );
}
