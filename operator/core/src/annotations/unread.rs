//! Annotations of a PlanescapeJob that are not read: they are misspelt, or stand in the wrong place.

use serde_json::Value;

use super::keys;
use crate::api::PlanescapeJob;
use crate::api::names::{GROUP, ONCE_STARTED_ANNOTATION, PREFLIGHT_ANNOTATION, RERUN_ANNOTATION};

/// The places of annotations in a PlanescapeJob, and which of ours are read there.
const PLACES: [(&str, &[&str]); 3] = [
    (
        OBJECT,
        &[
            RERUN_ANNOTATION,
            ONCE_STARTED_ANNOTATION,
            PREFLIGHT_ANNOTATION,
        ],
    ),
    ("spec.jobTemplate.metadata.annotations", &[]),
    (POD, keys::OWN),
];

const OBJECT: &str = "metadata.annotations";
const POD: &str = "spec.jobTemplate.spec.template.metadata.annotations";

/// One sentence for each annotation with a prefix of ours or of the Agent Injector that is not read where it stands.
pub fn unread(job: &PlanescapeJob) -> Vec<String> {
    let own = job.metadata.annotations.iter().flatten();
    let own = own.map(|(key, _)| (OBJECT, key.as_str()));
    let written = PLACES[1..].iter().flat_map(|(place, _)| {
        let pointer = place
            .trim_start_matches("spec.jobTemplate")
            .replace('.', "/");
        let annotations = job.spec.job_template.pointer(&pointer);
        let annotations = annotations.and_then(Value::as_object);
        let keys = annotations.into_iter().flat_map(|it| it.keys());
        keys.map(|key| (*place, key.as_str()))
    });
    let is_injected = is_injected(job);
    let all = own.chain(written);
    all.filter_map(|(place, key)| sentence(place, key, is_injected))
        .collect()
}

fn sentence(place: &str, key: &str, is_injected: bool) -> Option<String> {
    let (prefix, name) = key.split_once('/')?;
    let of_injector = keys::PREFIXES
        .iter()
        .any(|it| it.trim_end_matches('/') == prefix);
    let advice = match () {
        () if of_injector && place != POD => format!("it belongs to {POD}"),
        // Otherwise an unknown one is refused.
        () if of_injector && !is_injected && keys::find(name).is_none() => {
            format!("did you mean {prefix}/{}?", keys::nearest(name))
        }
        () if prefix == GROUP => ours(place, key)?,
        () => return None,
    };
    Some(format!("{place}: nobody reads {key}; {advice}"))
}

/// Advice about a key with our prefix; none if the key is read there.
fn ours(place: &str, key: &str) -> Option<String> {
    let homes = || PLACES.iter().filter(|(_, known)| known.contains(&key));
    if homes().any(|(home, _)| *home == place) {
        return None;
    }
    if let Some((home, _)) = homes().next() {
        return Some(format!("it belongs to {home}"));
    }
    let all = PLACES
        .iter()
        .flat_map(|(home, known)| known.iter().map(move |it| (home, it)));
    let distance = |known: &str| strsim::osa_distance(key, known);
    let (home, nearest) = all.min_by_key(|(_, known)| distance(known))?;
    Some(match *home == place {
        true => format!("did you mean {nearest}?"),
        false => format!("did you mean {nearest}, in {home}?"),
    })
}

fn is_injected(job: &PlanescapeJob) -> bool {
    let pod = job
        .spec
        .job_template
        .pointer("/spec/template/metadata/annotations");
    let says_so = |prefix: &&str| {
        let value = pod.and_then(|pod| pod.get(format!("{prefix}agent-inject")));
        value.and_then(Value::as_str) == Some("true")
    };
    job.spec.vault.is_some() || keys::PREFIXES.iter().any(says_so)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misspelt_annotation_is_told_with_the_nearest_that_is_read() {
        for (place, key, advice) in [
            (
                "/metadata",
                "planescape.io/rerunn",
                "did you mean planescape.io/rerun?",
            ),
            (
                "/pod",
                "planescape.io/leas-guard",
                "did you mean planescape.io/lease-guard?",
            ),
            (
                "/metadata",
                "planescape.io/lease-guard",
                "it belongs to spec.jobTemplate.spec.template.metadata.annotations",
            ),
            (
                "/job",
                "planescape.io/rerun",
                "it belongs to metadata.annotations",
            ),
            (
                "/pod",
                "vault.hashicorp.com/agent-injct",
                "did you mean vault.hashicorp.com/agent-inject?",
            ),
            (
                "/metadata",
                "openbao.org/role",
                "belongs to spec.jobTemplate.spec.template.metadata.annotations",
            ),
        ] {
            let told = of(place, key, "1");

            assert_eq!(told.len(), 1, "{key}: {told:?}");
            assert!(
                told[0].contains(key) && told[0].ends_with(advice),
                "{told:?}"
            );
        }
    }

    #[test]
    fn what_is_read_or_somebody_elses_is_no_matter() {
        for (place, key) in [
            ("/metadata", RERUN_ANNOTATION),
            ("/metadata", ONCE_STARTED_ANNOTATION),
            ("/metadata", PREFLIGHT_ANNOTATION),
            ("/pod", "planescape.io/lease-guard"),
            ("/pod", "vault.hashicorp.com/role"),
            (
                "/metadata",
                "kubectl.kubernetes.io/last-applied-configuration",
            ),
            ("/job", "example.com/team"),
        ] {
            assert_eq!(of(place, key, "1"), [""; 0], "{key}");
        }
    }

    #[test]
    fn an_unknown_annotation_of_the_injector_is_told_where_it_is_not_refused() {
        let pod = |is_injected: &str| {
            json!({
                "vault.hashicorp.com/agent-inject": is_injected,
                "openbao.org/rol": "reader",
            })
        };
        let told = |is_injected: &str, vault: Value| {
            let job = json!({
                "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                "metadata": { "name": "my-job" },
                "spec": { "schedule": "@once", "vault": vault, "jobTemplate": {
                    "spec": { "template": {
                        "metadata": { "annotations": pod(is_injected) }, "spec": { "containers": [] },
                    } },
                } },
            });
            unread(&serde_json::from_value(job).unwrap()).len()
        };
        let block = json!({ "role": "reader" });

        assert_eq!(told("false", Value::Null), 1);
        assert_eq!(told("true", Value::Null), 0);
        assert_eq!(told("false", block), 0);
    }

    fn of(place: &str, key: &str, value: &str) -> Vec<String> {
        let at = |here: &str| match here == place {
            true => json!({ "annotations": { key: value } }),
            false => json!({}),
        };
        let mut metadata = at("/metadata");
        metadata["name"] = json!("my-job");
        let job = json!({
            "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob", "metadata": metadata,
            "spec": { "schedule": "@once", "jobTemplate": {
                "metadata": at("/job"),
                "spec": { "template": { "metadata": at("/pod"), "spec": { "containers": [] } } },
            } },
        });
        unread(&serde_json::from_value(job).unwrap())
    }
}
