//! Each rule of our admission policies is taken away once: what it forbids is possible then. So it is that rule that
//! forbids it, and neither RBAC, which lets the accounts do everything here, nor another rule.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use planescape_tests::testbed::{Cluster, NAMESPACE};
use serde_json::{Value, json};

use crate::operator::running::{Bed, once};

/// The API server takes a policy up some moments after it is written.
const LIMIT: Duration = Duration::from_secs(30);

/// Something that one rule alone forbids.
struct Attempt {
    /// The words of the rule.
    rule: &'static str,
    arguments: Vec<String>,
    input: String,
}

#[tokio::test]
async fn what_a_rule_of_a_policy_forbids_is_possible_without_it() {
    let cluster = Cluster::start().await.unwrap();
    let bed = Bed::new(&cluster, "rules").await.unwrap();
    prepare(&bed).await.unwrap();
    for (file, account, attempts, work) in [
        (
            "25-policy.yaml",
            "planescape-operator",
            of_the_operator(),
            Vec::new(),
        ),
        (
            "65-credentials-policy.yaml",
            "planescape-credentials",
            of_credentials(&bed.namespace),
            work_of_credentials(),
        ),
    ] {
        let bind = format!(
            "create clusterrolebinding {account} --clusterrole=cluster-admin --serviceaccount={NAMESPACE}:{account}"
        );
        let bind: Vec<&str> = bind.split(' ').collect();
        bed.control_plane().kubectl(&bind).await.unwrap();
        let (policy, binding) = read(file).unwrap();
        write(&bed, &policy).await.unwrap();
        write(&bed, &binding).await.unwrap();
        let rules = rules(&policy).unwrap();
        let tried: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.rule).collect();
        let named: BTreeSet<&str> = rules.iter().map(String::as_str).collect();
        assert_eq!(tried, named);

        for attempt in &attempts {
            until(&bed, account, attempt, Err(attempt.rule)).await;
        }
        for attempt in &work {
            until(&bed, account, attempt, Ok(())).await;
        }
        for attempt in &attempts {
            let mut without = policy.clone();
            let rules = without["spec"]["validations"].as_array_mut().unwrap();
            rules.retain(|rule| rule["message"] != attempt.rule);
            write(&bed, &without).await.unwrap();
            until(&bed, account, attempt, Ok(())).await;
        }
        // Other accounts are not held to it.
        let mut of_another = policy.clone();
        let condition = &mut of_another["spec"]["matchConditions"][0]["expression"];
        let expression = condition.as_str().unwrap();
        assert!(expression.contains(account), "{expression}");
        *condition = json!(expression.replace(account, "somebody"));
        write(&bed, &of_another).await.unwrap();
        for attempt in &attempts {
            until(&bed, account, attempt, Ok(())).await;
        }
    }
}

/// A policy and its binding.
fn read(file: &str) -> Result<(Value, Value)> {
    let path = format!("{}/../deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path)?;
    let objects = text.split_once("\n---\n");
    let (policy, binding) = objects.context("a policy and its binding")?;
    Ok((
        serde_saphyr::from_str(policy)?,
        serde_saphyr::from_str(binding)?,
    ))
}

fn rules(policy: &Value) -> Option<Vec<String>> {
    let rules = policy["spec"]["validations"].as_array()?;
    let messages = rules.iter().map(|rule| rule["message"].as_str());
    messages.map(|it| it.map(str::to_owned)).collect()
}

async fn write(bed: &Bed<'_>, object: &Value) -> Result<()> {
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let control_plane = bed.control_plane();
    control_plane
        .kubectl_with_input(&apply, &object.to_string())
        .await?;
    Ok(())
}

/// Tries until it is refused by that rule, or nothing refuses it.
async fn until(bed: &Bed<'_>, account: &str, attempt: &Attempt, expected: Result<(), &str>) {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let mut all = vec![account.as_str()];
    if !attempt.arguments.iter().any(|argument| argument == "-n") {
        all.extend(["-n", &bed.namespace]);
    }
    all.extend(attempt.arguments.iter().map(String::as_str));
    let control_plane = bed.control_plane();
    let started = Instant::now();
    loop {
        let answered = control_plane.kubectl_with_input(&all, &attempt.input).await;
        let is_expected = match (&answered, expected) {
            (Ok(_), Ok(())) => true,
            (Err(error), Err(rule)) => error.to_string().contains(rule),
            (Ok(_), Err(_)) | (Err(_), Ok(())) => false,
        };
        if is_expected {
            return;
        }
        let (rule, arguments) = (attempt.rule, &attempt.arguments);
        assert!(
            started.elapsed() < LIMIT,
            "{rule}: {arguments:?}: expected {expected:?}: {answered:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A PlanescapeJob with two Jobs, of which one waits for Secrets, with a Secret and a pod; and what belongs to nobody.
async fn prepare(bed: &Bed<'_>) -> Result<()> {
    let mut owner = once("owner");
    owner["spec"]["suspend"] = json!(true);
    bed.apply(&owner).await?;
    let owner = reference(bed, "planescape.io/v1alpha1", "PlanescapeJob", "pjob/owner").await?;
    for (name, owners, labels) in [
        (
            "mine",
            json!([owner]),
            json!({ "planescape.io/credentials": "true", "planescape.io/job": "owner" }),
        ),
        (
            "other",
            json!([owner]),
            json!({ "planescape.io/job": "owner" }),
        ),
        ("foreign", json!([]), json!({})),
        (
            "left",
            json!([]),
            json!({ "planescape.io/credentials": "true", "planescape.io/job": "owner" }),
        ),
    ] {
        let metadata = json!({ "name": name, "labels": labels, "ownerReferences": owners });
        bed.apply(&job(&metadata)).await?;
    }
    let another = reference(bed, "batch/v1", "Job", "job/foreign").await?;
    let held = json!({ "name": "held", "ownerReferences": [another],
        "finalizers": ["planescape.io/vault-lease"] });
    bed.apply(&job(&held)).await?;
    let job = reference(bed, "batch/v1", "Job", "job/mine").await?;
    let labels = json!({ "planescape.io/job": "owner", "job-name": "owner" });
    for (name, owners) in [("own", json!([job])), ("nobodys", json!([]))] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": labels, "ownerReferences": owners },
            "spec": containers(),
        });
        bed.apply(&pod).await?;
    }
    let mut there = secret("mine-there", &json!({}));
    there["metadata"]["ownerReferences"] = json!([job]);
    bed.apply(&there).await.map(drop)
}

/// A reference to an object that is there; the Job controller is to take no notice.
async fn reference(bed: &Bed<'_>, version: &str, kind: &str, object: &str) -> Result<Value> {
    let uid = bed.get(object).await?["metadata"]["uid"].clone();
    let (_, name) = object.split_once('/').context("a kind and a name")?;
    let is_controller = kind == "PlanescapeJob";
    Ok(
        json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid,
        "controller": is_controller }),
    )
}

fn of_the_operator() -> Vec<Attempt> {
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    let job_name = json!({ "metadata": { "labels": { "job-name": "another" } } });
    let annotation = json!({ "metadata": { "annotations": { "a": "b" } } });
    vec![
        create(
            "the operator creates only Jobs that a PlanescapeJob controls",
            "",
            &job(&json!({ "name": "made" })),
        ),
        attempt(
            "the operator deletes only Jobs that a PlanescapeJob controls",
            "delete job foreign --dry-run=server",
        ),
        patch(
            "the operator changes only Jobs that a PlanescapeJob controls, or controlled",
            "job foreign",
            &label,
        ),
        patch(
            "the operator changes only pods of its own Jobs",
            "pod nobodys",
            &job_name,
        ),
        patch(
            "the operator changes no more of a pod than its label job-name",
            "pod own",
            &annotation,
        ),
    ]
}

fn of_credentials(namespace: &str) -> Vec<Attempt> {
    let token = |rule, namespace: &str, options: &str| {
        let create = format!("-n {namespace} create token default {options}");
        attempt(rule, &create)
    };
    let label = json!({ "metadata": { "labels": { "a": "b" } } });
    let record = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "other" } });
    vec![
        token(
            "credentials makes only tokens for its audience",
            namespace,
            "--audience=other --duration=10m",
        ),
        token(
            "credentials makes only tokens of ten minutes",
            namespace,
            "--audience=vault --duration=2h",
        ),
        token(
            "credentials makes no tokens of the cluster's own accounts",
            "kube-system",
            "--audience=vault --duration=10m",
        ),
        create(
            "credentials touches only its own records",
            &format!("-n {NAMESPACE} "),
            &record,
        ),
        create(
            "credentials writes only Secrets of type Opaque",
            "",
            &secret("mine-new", &json!({ "type": "example.com/other" })),
        ),
        patch(
            "credentials changes and deletes no Secret of a namespace",
            "secret mine-there",
            &label,
        ),
        create(
            "credentials creates only immutable Secrets that a Job owns and that are called after it",
            "",
            &secret("mine-new", &json!({ "immutable": false })),
        ),
        patch(
            "credentials changes only Jobs of a PlanescapeJob or that it holds, and of those left behind the report alone",
            "job foreign",
            &annotated("planescape.io/revoked-p"),
        ),
        patch(
            "credentials changes only Jobs of a PlanescapeJob or that it holds, and of those left behind the report alone",
            "job left",
            &json!({ "spec": { "suspend": false } }),
        ),
        patch(
            "credentials changes of Jobs that wait for no Secrets the report alone",
            "job other",
            &json!({ "spec": { "suspend": false } }),
        ),
        patch(
            "credentials changes no more of a Job's spec than to let it go, and leaves that to its queue where it has one",
            "job mine",
            &json!({ "spec": { "activeDeadlineSeconds": 5 } }),
        ),
        patch(
            "credentials changes no more of a Job's labels than to put it into its queue",
            "job mine",
            &label,
        ),
        patch(
            "credentials changes no more of a Job's metadata than its report and its finalizer",
            "job mine",
            &json!({ "metadata": { "annotations": { "a": "b" } } }),
        ),
        patch(
            "credentials changes no more of a PlanescapeJob than what it says of a login that it tried",
            "pjob owner",
            &label,
        ),
    ]
}

/// The program's writes on Jobs, whoever owns them by then.
fn work_of_credentials() -> Vec<Attempt> {
    let held = json!({ "metadata": { "finalizers": ["planescape.io/vault-lease"] } });
    let mut supplied = annotated("planescape.io/supplied");
    supplied["spec"] = json!({ "suspend": false });
    let work = |object, change: &Value| patch("admitted", object, change);
    let mut all = vec![
        work("job mine", &held),
        work("job mine", &supplied),
        work("job held", &supplied),
        work("job held", &json!({ "metadata": { "finalizers": [] } })),
    ];
    for object in ["job mine", "job other", "job left", "job held"] {
        all.push(work(object, &annotated("planescape.io/vault-report")));
        all.push(work(object, &annotated("planescape.io/revoked-p")));
    }
    all
}

fn annotated(key: &str) -> Value {
    json!({ "metadata": { "annotations": { key: "{}" } } })
}

fn attempt(rule: &'static str, words: &str) -> Attempt {
    Attempt {
        rule,
        arguments: words.split(' ').map(str::to_owned).collect(),
        input: String::new(),
    }
}

fn create(rule: &'static str, where_to: &str, object: &Value) -> Attempt {
    Attempt {
        input: object.to_string(),
        ..attempt(rule, &format!("{where_to}create --dry-run=server -f -"))
    }
}

fn patch(rule: &'static str, object: &str, patch: &Value) -> Attempt {
    let words = format!("patch {object} --dry-run=server --type=merge -p");
    let mut attempt = attempt(rule, &words);
    attempt.arguments.push(patch.to_string());
    attempt
}

fn job(metadata: &Value) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
        "spec": { "suspend": true, "template": { "spec": containers() } } })
}

fn containers() -> Value {
    json!({
        "restartPolicy": "Never",
        "containers": [{ "name": "main", "image": "busybox:1.35" }],
    })
}

/// A Secret as `credentials` may make it for the Job `mine`; no rule asks whether there is an owner of that UID.
fn secret(name: &str, change: &Value) -> Value {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
        "metadata": { "name": name },
    });
    for (field, value) in change.as_object().into_iter().flatten() {
        secret[field] = value.clone();
    }
    secret["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "mine", "uid": "u",
    }]);
    secret
}
