//! The account of `credentials` makes tokens and Secrets, and may do none of these things. Each attempt was possible
//! with its rule taken away.

use planescape_tests::testbed::{Cluster, NAMESPACE};
use serde_json::{Value, json};

use super::place::{ACCOUNT, Place, guides};
use crate::operator::running::once;

#[tokio::test]
async fn the_program_is_held_to_its_work() {
    let cluster = Cluster::start().await.unwrap();
    let place = Place::new(&cluster, "guard").await.unwrap();
    place.bed.apply(&guides("mine")).await.unwrap();
    let job = place.until_let_go("mine").await.unwrap();
    place.bed.apply(&once("other")).await.unwrap();
    let other = place.job("other").await.unwrap();
    let read = [
        "create",
        "role",
        "read",
        "--verb=get",
        "--resource=jobs,secrets,planescapejobs.planescape.io",
    ];
    place.bed.kubectl(&read).await.unwrap();
    let namespace = place.bed.namespace.clone();

    for (arguments, said) in attempts(&namespace, &job, &other) {
        let answered = as_program(&place, &arguments, "").await;
        let refused = answered.expect_err(&format!("{arguments:?}"));
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
    for (change, said) in secrets() {
        let secret = secret(&job, &change).to_string();
        let create = words("create -f -");
        let refused = as_program(&place, &create, &secret).await.unwrap_err();
        assert!(refused.contains(said), "{change}: {refused}");
    }
    // It may do what it needs.
    let told = json!({ "metadata": { "annotations": { "planescape.io/vault-preflight": "{}" } } });
    as_program(&place, &patch_owner(told), "").await.unwrap();
    let allowed = token(&namespace, "default", "--audience=vault --duration=10m");
    as_program(&place, &allowed, "").await.unwrap();
    let secret = secret(&job, &json!({})).to_string();
    as_program(&place, &words("create -f -"), &secret)
        .await
        .unwrap();
}

/// The attempts that are refused, and why.
fn attempts(namespace: &str, job: &str, other: &str) -> Vec<(Vec<String>, &'static str)> {
    let own_secret = format!("{job}-vault-db-creds");
    let patch = |job: &str, patch: Value| {
        let patch = patch.to_string();
        ["patch", "job", job, "--type=merge", "-p", &patch]
            .map(str::to_owned)
            .to_vec()
    };
    let template = json!({ "spec": { "backoffLimit": 9 } });
    let mut all = tokens(namespace);
    all.extend([
        (words("get secrets"), "cannot list resource"),
        (words("get secrets -A"), "cannot list resource"),
        (
            words(&format!("delete secret {own_secret}")),
            "cannot delete resource",
        ),
        (
            words("create secret generic mine-too --from-literal=a=b"),
            "only immutable Secrets",
        ),
        (patch(job, template), "no more of a Job's spec"),
        (
            patch(job, json!({ "spec": { "suspend": true } })),
            "no more of a Job's spec",
        ),
        (
            patch(job, json!({ "metadata": { "labels": { "a": "b" } } })),
            "no more of a Job's labels",
        ),
        (
            patch(
                job,
                json!({ "metadata": { "labels": { "kueue.x-k8s.io/queue-name": "other" } } }),
            ),
            "no more of a Job's labels",
        ),
        (
            patch(job, json!({ "metadata": { "finalizers": ["a.b/c"] } })),
            "no more of a Job's metadata",
        ),
        (
            patch(
                job,
                json!({ "metadata": { "annotations": { "planescape.io/vault-order": "{}" } } }),
            ),
            "no more of a Job's metadata",
        ),
        (
            patch(other, json!({ "spec": { "suspend": true } })),
            "of Jobs that wait for no Secrets the report alone",
        ),
        (
            patch_owner(json!({ "spec": { "suspend": true } })),
            "no more of a PlanescapeJob",
        ),
        (
            patch_owner(json!({ "metadata": { "annotations": { "planescape.io/rerun": "x" } } })),
            "no more of a PlanescapeJob",
        ),
        (
            patch_owner(json!({ "metadata": { "labels": { "a": "b" } } })),
            "no more of a PlanescapeJob",
        ),
    ]);
    all
}

/// Tokens of others, or for others.
fn tokens(namespace: &str) -> Vec<(Vec<String>, &'static str)> {
    vec![
        (
            token(
                namespace,
                "default",
                "--audience=https://kubernetes.default.svc",
            ),
            "only tokens for its audience",
        ),
        (
            token(namespace, "default", "--audience=vault --audience=other"),
            "only tokens for its audience",
        ),
        (
            token(namespace, "default", "--audience=vault --duration=2h"),
            "only tokens of ten minutes",
        ),
        (
            token(NAMESPACE, "default", "--audience=vault --duration=10m"),
            "cannot create resource",
        ),
        (
            token("kube-system", "default", "--audience=vault --duration=10m"),
            "cannot create resource",
        ),
        (
            token("default", "default", "--audience=vault --duration=10m"),
            "cannot create resource",
        ),
    ]
}

/// Secrets that are refused, each with what it changes in one that is not, and why.
fn secrets() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({ "type": "kubernetes.io/service-account-token", "metadata": {
            "annotations": { "kubernetes.io/service-account.name": "default" } } }),
            "type Opaque",
        ),
        (json!({ "immutable": false }), "only immutable Secrets"),
        (
            json!({ "metadata": { "ownerReferences": [] } }),
            "only immutable Secrets",
        ),
        (
            json!({ "metadata": { "name": "vault-db-creds" } }),
            "only immutable Secrets",
        ),
        (
            json!({ "metadata": { "finalizers": ["a.b/c"] } }),
            "only immutable Secrets",
        ),
    ]
}

fn patch_owner(patch: Value) -> Vec<String> {
    let patch = patch.to_string();
    ["patch", "pjob", "mine", "--type=merge", "-p", &patch]
        .map(str::to_owned)
        .to_vec()
}

fn token(namespace: &str, account: &str, options: &str) -> Vec<String> {
    words(&format!("-n {namespace} create token {account} {options}"))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn secret(job: &str, change: &Value) -> Value {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
        "metadata": { "name": format!("{job}-another"), "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": "u",
        }] },
    });
    for (field, value) in change.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(fields) => {
                for (name, value) in fields {
                    secret[field][name] = value.clone();
                }
            }
            None => secret[field] = value.clone(),
        }
    }
    secret
}

pub(super) async fn as_program(
    place: &Place<'_>,
    arguments: &[String],
    input: &str,
) -> Result<String, String> {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let namespace = place.bed.namespace.clone();
    let mut all = vec![account.as_str()];
    if !arguments.iter().any(|argument| argument == "-n") {
        all.extend(["-n", &namespace]);
    }
    all.extend(arguments.iter().map(String::as_str));
    let control_plane = place.bed.control_plane();
    let done = control_plane.kubectl_with_input(&all, input).await;
    done.map_err(|error| error.to_string())
}
