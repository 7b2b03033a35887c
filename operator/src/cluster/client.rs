//! The way to the API server: what changes the cluster goes through only while this operator leads, a
//! limited number of calls at once, and the urgent ones first.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use http::{HeaderValue, Method, Request, Response, header};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::client::Body;
use kube::{Api, Client, Config, Resource};
use tower::service_fn;

use super::gate::{Class, Gate, Slot};
use super::skew::ClockSkew;
use crate::leader::Leadership;
use crate::metrics::{Metrics, Question};

/// How this operator calls itself in the API server's logs.
const USER_AGENT: &str = concat!("planescape/", env!("CARGO_PKG_VERSION"));

/// A client of the cluster that this process runs in, or that its kubeconfig names.
pub(crate) async fn connect() -> anyhow::Result<Client> {
    let mut config = Config::infer()
        .await
        .context("cannot reach Kubernetes: neither in a pod nor with a kubeconfig")?;
    let value = HeaderValue::from_static(USER_AGENT);
    config.headers.push((header::USER_AGENT, value));
    Client::try_from(config).context("cannot reach Kubernetes")
}

/// Clients for calls of every class.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For watches, which last, for lists that many wait for, and for calls that went through the gate.
    fenced: Client,
    gated: [Client; 4],
    gate: Arc<Gate>,
}

impl Clients {
    /// Clients that let so many calls through at once, and write only while this operator leads. A write
    /// that is on its way when the term ends is cut off.
    pub(crate) fn new(client: &Client, leadership: &Leadership, limit: usize) -> Self {
        let gate = Gate::new(limit);
        let fenced = fenced(client.clone(), leadership.clone());
        let gated = Class::ALL.map(|class| gated(fenced.clone(), gate.clone(), class));
        Self {
            fenced,
            gated,
            gate,
        }
    }

    /// How many calls of each class wait for their turn.
    pub(crate) fn waiting(&self) -> [(&'static str, usize); 4] {
        let waiting = self.gate.waiting();
        Class::ALL.map(|class| (class.name(), waiting[class as usize]))
    }

    /// For calls of a class.
    pub(crate) fn of(&self, class: Class) -> Client {
        self.gated[class as usize].clone()
    }

    /// For watches, and for lists that many wait for.
    pub(crate) fn for_watches(&self) -> Client {
        self.fenced.clone()
    }

    /// The turn of a call, and a client to make it with.
    pub(crate) async fn turn(&self, class: Class) -> (Slot, Client) {
        (self.gate.enter(class).await, self.fenced.clone())
    }
}

/// A client whose calls are counted, and whose answers tell the API server's time.
pub(crate) fn observed(client: Client, metrics: Arc<Metrics>, skew: Arc<ClockSkew>) -> Client {
    wrapped(client, move |client, request| {
        let (metrics, skew) = (metrics.clone(), skew.clone());
        async move {
            let question = Question::of(request.method(), request.uri());
            let (asked, asked_at) = (Instant::now(), Timestamp::now());
            let answer = client.send(request).await;
            if let Ok(answer) = &answer {
                skew.take(answer.headers(), asked_at, Timestamp::now());
            }
            if let Some(question) = question {
                let code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
                metrics.calls.count(question, code, asked.elapsed());
            }
            answer
        }
    })
}

fn fenced(client: Client, leadership: Leadership) -> Client {
    wrapped(client, move |client, request| {
        let leadership = leadership.clone();
        async move {
            if request.method() == Method::GET {
                return client.send(request).await;
            }
            let sent = leadership.guard(client.send(request)).await;
            sent.unwrap_or_else(|ended| Err(kube::Error::Service(Box::new(ended))))
        }
    })
}

fn gated(client: Client, gate: Arc<Gate>, class: Class) -> Client {
    wrapped(client, move |client, request| {
        let gate = gate.clone();
        async move {
            let _slot = gate.enter(class).await;
            client.send(request).await
        }
    })
}

/// Objects of one namespace, or of all when absent.
pub(crate) fn scoped<K>(client: Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// A client that does something before and after another client's calls.
fn wrapped<F>(
    client: Client,
    call: impl Fn(Client, Request<Body>) -> F + Clone + Send + 'static,
) -> Client
where
    F: Future<Output = kube::Result<Response<Body>>> + Send + 'static,
{
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| call(client.clone(), request));
    Client::new(service, namespace)
}
