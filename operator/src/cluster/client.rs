//! The way to the API server: what changes the cluster goes through only while this operator leads.

use anyhow::Context as _;
use http::{HeaderValue, Method, Request, header};
use kube::client::Body;
use kube::{Client, Config};
use tower::service_fn;

use crate::leader::Leadership;

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

/// A client that reads at any time and writes only while this operator leads. A write that is on its way
/// when the term ends is cut off.
pub(crate) fn fenced(client: Client, leadership: Leadership) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, leadership) = (client.clone(), leadership.clone());
        async move {
            if request.method() == Method::GET {
                return client.send(request).await;
            }
            let sent = leadership.guard(client.send(request)).await;
            sent.unwrap_or_else(|ended| Err(kube::Error::Service(Box::new(ended))))
        }
    });
    Client::new(service, namespace)
}
