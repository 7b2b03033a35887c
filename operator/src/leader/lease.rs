//! The Lease: read, watched and written, never over a version that was not seen.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::Stream;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use planescape_operator_core::api::names::MANAGER;
use planescape_operator_core::election::{Record, Timing};
use tokio::time::timeout;

use super::Looks;

/// The Lease that the operators share, with the identity of this one.
pub struct SharedLease {
    pub(super) identity: String,
    pub(super) timing: Timing,
    api: Api<Lease>,
    name: String,
    /// The Lease as it was seen or written last.
    known: Option<Lease>,
}

/// The result of a write.
pub(super) enum Written {
    Done,
    /// Somebody else wrote before.
    TooLate,
}

impl SharedLease {
    /// A Lease by name, in a namespace. No two operators share an identity.
    pub fn new(
        client: Client,
        (namespace, name): (&str, &str),
        identity: String,
        timing: Timing,
    ) -> Self {
        Self {
            identity,
            timing,
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            known: None,
        }
    }

    pub(super) fn watch(&self) -> impl Stream<Item = Looks> + Send + use<> {
        watcher::watch_object(self.api.clone(), &self.name)
    }

    pub(super) async fn read(&self) -> Result<Option<Lease>> {
        let read = self.api.get_opt(&self.name);
        Ok(within(self.timing.longest_call(), read).await?)
    }

    /// Remembers the Lease as it is, and answers what it says.
    pub(super) fn keep(&mut self, lease: Option<Lease>) -> Option<Record> {
        self.known = lease;
        let spec = self.known.as_ref()?.spec.clone().unwrap_or_default();
        Some(Record::of(&spec, self.timing.lease_duration()))
    }

    pub(super) fn holder(&self) -> &str {
        let spec = self.known.as_ref().and_then(|lease| lease.spec.as_ref());
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        holder.unwrap_or_default()
    }

    /// Writes over what was seen or written last, and nothing else.
    pub(super) async fn write(&mut self, record: &Record) -> Result<Written> {
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let mut lease = self.known.clone().unwrap_or_default();
        record.write_to(lease.spec.get_or_insert_with(LeaseSpec::default));
        lease.metadata.managed_fields = None;
        let limit = self.timing.longest_call();
        let is_new = self.known.is_none();
        let written = if is_new {
            lease.metadata.name = Some(self.name.clone());
            within(limit, self.api.create(&parameters, &lease)).await
        } else {
            within(limit, self.api.replace(&self.name, &parameters, &lease)).await
        };
        match written {
            Ok(lease) => {
                self.known = Some(lease);
                Ok(Written::Done)
            }
            // Somebody else has changed, created or deleted it. For a new one 404 means that the namespace is missing.
            Err(Failed::Refused(kube::Error::Api(status)))
                if status.code == 409 || (status.code == 404 && !is_new) =>
            {
                Ok(Written::TooLate)
            }
            Err(error) => Err(error).with_context(|| format!("Lease {}", self.name)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{}", crate::job::brief(.0))]
    Refused(kube::Error),
    #[error("the API server did not answer within {0:?}")]
    NoAnswer(Duration),
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failed> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Failed::Refused),
        Err(_) => Err(Failed::NoAnswer(limit)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces \"nowhere\" not found","reason":"NotFound","code":404}"#;

    #[tokio::test]
    async fn a_namespace_that_is_missing_is_no_other_leader() {
        let server = service_fn(|_: Request<Body>| async {
            let answer = Response::builder().status(404);
            let answer = answer.body(Body::from(NOT_FOUND.as_bytes().to_vec()));
            Ok::<_, Infallible>(answer.unwrap())
        });
        let client = Client::new(server, "nowhere");
        let [lease, renew, retry] = [15, 10, 2].map(Duration::from_secs);
        let timing = Timing::new(lease, renew, retry).unwrap();
        let place = ("nowhere", "planescape-operator");
        let mut lease = SharedLease::new(client, place, "me".to_owned(), timing);
        let record = Record {
            holder: "me".to_owned(),
            duration: timing.lease_duration(),
            acquired: None,
            renewed: None,
            transitions: 0,
        };

        let first = lease.write(&record).await;
        lease.known = Some(Lease::default());
        let later = lease.write(&record).await;

        let said = first.err().map(|error| format!("{error:#}"));
        assert_eq!(
            said.as_deref(),
            Some("Lease planescape-operator: namespaces \"nowhere\" not found")
        );
        assert!(matches!(later, Ok(Written::TooLate)), "somebody deleted it");
    }
}
