//! Calls to the API server: how many, how they were answered, how long they took.

use std::time::Duration;

use http::{Method, Uri};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A question to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    verb: &'static str,
    resource: &'static str,
}

#[derive(Clone, Debug)]
struct Buckets;

type Labels = [(&'static str, &'static str); 2];

/// Calls to the API server.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    answered: Family<[(&'static str, String); 3], Counter>,
    took: Family<Labels, Histogram, Buckets>,
}

/// Resources that this operator asks for; all others count as one.
const RESOURCES: [&str; 6] = [
    "planescapejobs/status",
    "planescapejobs",
    "jobs",
    "pods",
    "events",
    "leases",
];

impl Question {
    /// The question of a request. A watch has none: it lasts.
    pub(crate) fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let query = uri.query().unwrap_or_default();
        if query.split('&').any(|pair| pair.starts_with("watch=")) {
            return None;
        }
        let mut parts = uri.path().trim_matches('/').split('/').peekable();
        // `api/v1` or `apis/<group>/<version>`.
        let skipped = if parts.next() == Some("api") { 1 } else { 2 };
        let mut parts = parts.skip(skipped).peekable();
        if parts.next_if_eq(&"namespaces").is_some() {
            parts.next();
        }
        let kind = parts.next().unwrap_or_default();
        let is_named = parts.next().is_some();
        let written = match parts.next() {
            Some(subresource) => format!("{kind}/{subresource}"),
            None => kind.to_owned(),
        };
        let verb = match (method, is_named) {
            (&Method::GET, true) => "get",
            (&Method::GET, false) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, _) => "delete",
            _ => "other",
        };
        let resource = RESOURCES.into_iter().find(|known| *known == written);
        Some(Self {
            verb,
            resource: resource.unwrap_or("other"),
        })
    }
}

impl Calls {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let calls = Self {
            answered: Family::default(),
            took: Family::new_with_constructor(Buckets),
        };
        registry.register(
            "api_calls",
            "Calls to the API server, by the HTTP status of the answer",
            calls.answered.clone(),
        );
        registry.register(
            "api_call_duration_seconds",
            "How long the API server took to answer",
            calls.took.clone(),
        );
        calls
    }

    /// Counts a call; one without an answer has no HTTP status.
    pub(crate) fn count(&self, question: Question, code: Option<u16>, took: Duration) {
        let Question { verb, resource } = question;
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let labels = [
            ("verb", verb.to_owned()),
            ("resource", resource.to_owned()),
            ("code", code),
        ];
        self.answered.get_or_create(&labels).inc();
        let labels = [("verb", verb), ("resource", resource)];
        self.took.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_calls_apart_by_verb_and_resource_and_by_no_name() {
        for (method, uri, verb, resource) in [
            (
                Method::POST,
                "/apis/batch/v1/namespaces/team/jobs?fieldManager=x",
                "create",
                "jobs",
            ),
            (
                Method::GET,
                "/apis/batch/v1/namespaces/team/jobs/my-job",
                "get",
                "jobs",
            ),
            (Method::GET, "/api/v1/pods?limit=500", "list", "pods"),
            (
                Method::PATCH,
                "/api/v1/namespaces/team/pods/my-pod",
                "patch",
                "pods",
            ),
            (
                Method::PUT,
                "/apis/planescape.io/v1alpha1/namespaces/team/planescapejobs/my-job/status",
                "update",
                "planescapejobs/status",
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/namespaces/jobs/jobs",
                "delete",
                "jobs",
            ),
            (Method::GET, "/version", "list", "other"),
        ] {
            let question = Question::of(&method, &uri.parse().unwrap()).unwrap();
            assert_eq!(
                (question.verb, question.resource),
                (verb, resource),
                "{uri}"
            );
        }
        let watch = "/api/v1/pods?watch=true&allowWatchBookmarks=true";
        assert_eq!(Question::of(&Method::GET, &watch.parse().unwrap()), None);
    }
}
