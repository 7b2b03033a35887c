//! Publishes events, which `kubectl describe` shows.
//!
//! Each is told once, when something changed, so there is nothing to aggregate; kube's own
//! recorder would merge events of one reason and lose all notes but the first.

mod budget;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt as _};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::GROUP;
use planescape_operator_core::job::identity::Identity;
use planescape_operator_core::job::status;
use tracing::{debug, warn};

use self::budget::Budget;
use super::client::Clients;
use super::gate::Class;
use super::planescape_jobs::Unreadable;
use crate::job::brief;

const CONTROLLER: &str = "planescape.io/operator";

/// In bytes; the API server takes no more.
const LONGEST_NOTE: usize = 1_024;

pub(crate) struct Recorder {
    clients: Clients,
    instance: String,
    /// The unreadable objects that were told of: UID and resource version.
    unreadable: Mutex<HashMap<String, String>>,
    budget: Mutex<Budget>,
}

impl Recorder {
    pub(crate) fn new(clients: Clients) -> Self {
        let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| "planescape".to_owned());
        Self {
            clients,
            instance,
            unreadable: Mutex::default(),
            budget: Mutex::default(),
        }
    }

    /// Never fails: an event is a courtesy.
    pub(crate) async fn publish(&self, job: &PlanescapeJob, event: status::Event) {
        let related = event.job.as_ref().map(|name| ObjectReference {
            api_version: Some("batch/v1".to_owned()),
            kind: Some("Job".to_owned()),
            name: Some(name.clone()),
            namespace: job.namespace(),
            ..ObjectReference::default()
        });
        self.create(job.object_ref(&()), related, event).await;
    }

    /// Says that an object cannot be read; once, until it is changed.
    pub(crate) async fn publish_unreadable(&self, identity: &Identity, unreadable: &Unreadable) {
        if !self.is_news(identity, unreadable) {
            return;
        }
        let Identity {
            namespace,
            name,
            uid,
        } = identity;
        let problem = problem(&unreadable.error);
        warn!(name, namespace, "cannot read a PlanescapeJob: {problem}");
        let object = ObjectReference {
            api_version: Some(format!("{GROUP}/v1alpha1")),
            kind: Some("PlanescapeJob".to_owned()),
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        let event = status::Event {
            kind: status::EventKind::Warning,
            reason: "Unreadable".to_owned(),
            note: format!("Cannot read this object, nothing is done for it: {problem}"),
            job: None,
        };
        self.create(object, None, event).await;
    }

    fn may_have_one_more(&self, object: &ObjectReference) -> bool {
        let uid = object.uid.as_deref().unwrap_or_default();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.spend(uid, Instant::now())
    }

    fn is_news(&self, identity: &Identity, unreadable: &Unreadable) -> bool {
        let uid = identity.uid.clone();
        let version = unreadable.version.clone();
        let mut told = self
            .unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.insert(uid, version.clone().unwrap_or_default()) != version
    }

    async fn create(
        &self,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        event: status::Event,
    ) {
        if !self.may_have_one_more(&regarding) {
            debug!(
                name = regarding.name,
                event.reason, "no more events for now"
            );
            return;
        }
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let name = regarding.name.clone().unwrap_or_default();
        let event = Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(jiff::Timestamp::now())),
            metadata: ObjectMeta {
                generate_name: Some(format!("{name}-")),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            note: Some(shortened(event.note)),
            reason: Some(event.reason),
            regarding: Some(regarding),
            related,
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(match event.kind {
                status::EventKind::Normal => "Normal".to_owned(),
                status::EventKind::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.clients.of(Class::Event), &namespace);
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            let cause = brief(&error);
            warn!(name, namespace, "cannot publish an event: {cause}");
        }
    }
}

/// The expected type; never the value that was found, which may be a secret.
fn problem(error: &str) -> String {
    let kind = error.split(' ').take(2).collect::<Vec<_>>().join(" ");
    match kind.to_ascii_lowercase().as_str() {
        "missing field" => format!("a field is missing: {}", &error[kind.len()..].trim()),
        "invalid type" | "invalid value" | "invalid length" | "unknown variant" => {
            match error.rsplit_once(". Expected ") {
                Some((_, expected)) => format!("a field is not what it should be: {expected}"),
                None => "a field is not what it should be".to_owned(),
            }
        }
        _ => "a field is not what it should be".to_owned(),
    }
}

fn shortened(mut note: String) -> String {
    note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    note
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_was_expected_and_not_what_was_found() {
        let problem = |spec: serde_json::Value| {
            let job = json!({ "metadata": { "name": "my-job" }, "spec": spec });
            let guarded: DeserializeGuard<PlanescapeJob> = serde_json::from_value(job).unwrap();
            problem(&guarded.0.unwrap_err().error)
        };
        let template = json!({});

        for (spec, said) in [
            (json!({}), "a field is missing: jobTemplate"),
            (
                json!({ "jobTemplate": template, "suspend": "s3cret. Expected x" }),
                "a field is not what it should be: a boolean",
            ),
            (
                json!({ "jobTemplate": template, "concurrencyPolicy": "s3cret" }),
                "a field is not what it should be: one of Allow, Forbid, Replace",
            ),
        ] {
            assert_eq!(problem(spec), said);
        }
    }

    #[test]
    fn cuts_a_note_where_the_api_server_would_refuse_it() {
        assert_eq!(shortened("a".repeat(1_024)).len(), 1_024);
        assert_eq!(shortened("ä".repeat(600)).len(), 1_024);
        assert_eq!(shortened("a".to_owned() + &"ä".repeat(600)).len(), 1_023);
    }
}
