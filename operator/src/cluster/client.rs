//! The way to the API server: changes of the cluster go through only while this operator leads, a
//! limited number of calls at once, and the urgent ones first.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderValue, Method, Request, Response, header};
use k8s_openapi::NamespaceResourceScope;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
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
    let mut config = configuration().await?;
    let value = HeaderValue::from_static(USER_AGENT);
    config.headers.push((header::USER_AGENT, value));
    Client::try_from(config).context("cannot reach Kubernetes")
}

async fn configuration() -> anyhow::Result<Config> {
    if let Some(kubeconfig) = env::var_os("KUBECONFIG").as_deref().and_then(present) {
        let kubeconfig = kubeconfig.context("cannot reach Kubernetes")?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        return config.context("cannot reach Kubernetes");
    }
    Config::infer()
        .await
        .context("cannot reach Kubernetes: this is not a pod, and no kubeconfig can be read; name one in KUBECONFIG")
}

/// The content of the files of a list that exist, if others are missing: kubectl passes over those.
fn present(list: &OsStr) -> Option<anyhow::Result<Kubeconfig>> {
    let files = env::split_paths(list).filter(|file| !file.as_os_str().is_empty());
    let (there, missing): (Vec<PathBuf>, Vec<PathBuf>) = files.partition(|file| file.exists());
    if there.is_empty() || missing.is_empty() {
        return None;
    }
    let mut files = there.iter();
    let merge = |merged: Kubeconfig, file: &PathBuf| -> anyhow::Result<Kubeconfig> {
        Ok(merged.merge(Kubeconfig::read_from(file)?)?)
    };
    Some(files.try_fold(Kubeconfig::default(), merge))
}

/// How long a call may take once it is made: a webhook may take thirty seconds.
const LONGEST_CALL: Duration = Duration::from_secs(35);

/// The API server, or a webhook of it, was too slow.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the API server did not answer within {0:?}")]
pub(crate) struct NoAnswer(Duration);

/// Clients for calls of every class.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For watches, which last.
    fenced: Client,
    /// For lists that many wait for, and for calls that went through the gate.
    limited: Client,
    gated: [Client; 4],
    gate: Arc<Gate>,
}

impl Clients {
    /// Clients that let so many calls through at once, and write only while this operator leads. A write
    /// that is on its way when the term ends is cut off.
    pub(crate) fn new(client: &Client, leadership: &Leadership, limit: usize) -> Self {
        let gate = Gate::new(limit);
        let fenced = fenced(client.clone(), leadership.clone());
        let limited = limited(fenced.clone(), LONGEST_CALL);
        let gated = Class::ALL.map(|class| gated(limited.clone(), gate.clone(), class));
        Self {
            fenced,
            limited,
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

    /// For watches.
    pub(crate) fn for_watches(&self) -> Client {
        self.fenced.clone()
    }

    /// For lists that many wait for: they have no turn to wait for.
    pub(crate) fn for_lists(&self) -> Client {
        self.limited.clone()
    }

    /// The turn of a call that is about a namespace, and a client to make it with.
    pub(crate) async fn turn(&self, class: Class, namespace: &str) -> (Slot, Client) {
        let slot = self.gate.enter(class, namespace).await;
        (slot, self.limited.clone())
    }
}

/// A client whose calls are counted, and whose answers tell the API server's time.
pub(crate) fn observed(client: Client, metrics: Arc<Metrics>, skew: Arc<ClockSkew>) -> Client {
    wrapped(client, move |client, request| {
        let (metrics, skew) = (metrics.clone(), skew.clone());
        async move {
            let question = Question::of(request.method(), request.uri());
            let asked = Instant::now();
            let answer = client.send(request).await;
            if let Ok(answer) = &answer {
                skew.take(answer.headers(), asked, Instant::now());
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
            let namespace = namespace_of(request.uri().path()).to_owned();
            let _slot = gate.enter(class, &namespace).await;
            client.send(request).await
        }
    })
}

/// The namespace that a call is about; empty where it is about none.
fn namespace_of(path: &str) -> &str {
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces");
    parts.nth(1).unwrap_or_default()
}

/// A client whose calls, the reading of the answer included, end in time. The wait for a turn does
/// not count: only we were slow then.
fn limited(client: Client, limit: Duration) -> Client {
    wrapped(client, move |client, request| async move {
        let whole = async {
            let (head, body) = client.send(request).await?.into_parts();
            let body = Body::from(body.collect_bytes().await?);
            Ok::<_, kube::Error>(Response::from_parts(head, body))
        };
        let answered = tokio::time::timeout(limit, whole).await;
        answered.unwrap_or_else(|_| Err(kube::Error::Service(Box::new(NoAnswer(limit)))))
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

/// The namespace that somebody gives, or else the client's own. A blank one counts as absent.
pub(crate) fn namespace(client: &Client, given: Option<String>) -> String {
    given
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| client.default_namespace().to_owned())
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

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn a_kubeconfig_that_is_missing_is_passed_over_where_another_one_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let [there, missing] = ["there", "missing"].map(|name| folder.path().join(name));
        std::fs::write(&there, "current-context: one").unwrap();
        let read = |files: &[&PathBuf]| {
            let kubeconfig = present(&env::join_paths(files).unwrap());
            kubeconfig.map(|kubeconfig| kubeconfig.unwrap().current_context)
        };

        let one = Some("one".to_owned());
        assert_eq!(read(&[&missing, &there]), Some(one));
        assert_eq!(read(&[&there]), None);
        assert_eq!(read(&[&missing]), None);
    }

    #[tokio::test]
    async fn a_call_may_wait_for_its_turn_for_longer_than_it_may_take() {
        let slow = answering_after(Duration::from_millis(100));
        let client = gated(limited(slow, LIMIT), Gate::new(2), Class::Run);

        let started = Instant::now();
        let calls = (0..20).map(|_| client.request_text(get("/version")));
        let answers = join_all(calls).await;

        assert!(started.elapsed() > LIMIT);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    #[tokio::test]
    async fn a_call_that_is_not_answered_ends_and_lets_the_next_one_through() {
        let silent = answering_after(Duration::from_secs(3_600));
        let client = gated(limited(silent, LIMIT / 5), Gate::new(2), Class::Run);

        let calls = (0..4).map(|_| client.request_text(get("/version")));
        let answers = join_all(calls).await;

        for answer in answers {
            let error = answer.unwrap_err();
            let said = crate::job::brief(&error);
            assert_eq!(said, "the API server did not answer within 100ms");
        }
    }

    #[test]
    fn a_call_is_about_the_namespace_in_its_path() {
        for (path, namespace) in [
            ("/apis/batch/v1/namespaces/team/jobs", "team"),
            (
                "/apis/planescape.io/v1alpha1/namespaces/team/planescapejobs/a/status",
                "team",
            ),
            ("/apis/batch/v1/jobs", ""),
            ("/api/v1/namespaces", ""),
        ] {
            assert_eq!(namespace_of(path), namespace, "{path}");
        }
    }

    fn answering_after(wait: Duration) -> Client {
        let server = service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(wait).await;
            Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
        });
        Client::new(server, "team")
    }

    fn get(path: &str) -> Request<Vec<u8>> {
        Request::get(path).body(Vec::new()).unwrap()
    }
}
