//! A way to the API server that understands what passes: it loses one write, or the answer to it, and tells watches
//! that their place is forgotten.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, stream};
use planescape_tests::control_plane::ControlPlane;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The part of a write that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The API server never hears of it.
    Request,
    /// It is done, and nobody hears of that.
    Answer,
}

/// A way that is open; ends when dropped.
pub(super) struct Way {
    address: SocketAddr,
    road: Arc<Road>,
    task: JoinHandle<()>,
}

/// The state that its requests share.
struct Road {
    server: String,
    client: reqwest::Client,
    /// How many writes there are to the one that is lost, that one included.
    next: Mutex<Option<(usize, Loss)>>,
    /// The write that was lost.
    struck: watch::Sender<Option<String>>,
    /// Whether watches hear nothing.
    holds: watch::Sender<bool>,
    expired: AtomicUsize,
}

impl Way {
    /// One that loses this write of all that come, or none.
    pub(super) async fn start(
        control_plane: &ControlPlane,
        lost: Option<(usize, Loss)>,
    ) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true);
        let road = Arc::new(Road {
            server: control_plane.url(),
            client: client.build()?,
            next: Mutex::new(lost),
            struck: watch::Sender::new(None),
            holds: watch::Sender::new(false),
            expired: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(pass).with_state(road.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving at loopback never fails");
        });
        Ok(Self {
            address,
            road,
            task,
        })
    }

    /// The address at its beginning.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the write that is lost, and returns its name.
    pub(super) async fn struck(&self) -> String {
        let mut struck = self.road.struck.subscribe();
        let write = struck.wait_for(Option::is_some).await;
        let write = write.expect("the way is there").clone();
        write.unwrap_or_default()
    }

    /// Ends all watches; clients that want to go on have to wait.
    pub(super) fn hold_watches(&self) {
        self.road.holds.send_replace(true);
    }

    /// Tells the clients that have waited that their place is forgotten.
    pub(super) fn expire_watches(&self) {
        self.road.holds.send_replace(false);
    }

    /// How many were told so.
    pub(super) fn expired(&self) -> usize {
        self.road.expired.load(Ordering::Relaxed)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(road): State<Arc<Road>>, request: Request) -> Response {
    let is_watch = has(&request, "watch=true");
    if is_watch && road.has_expired().await {
        return expired();
    }
    let write = name(&request);
    let loss = road.loss_of(&request);
    if loss == Some(Loss::Request) {
        return road.lose(write).await;
    }
    let answer = road.forward(request, is_watch).await;
    if loss == Some(Loss::Answer) {
        return road.lose(write).await;
    }
    answer.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}

impl Road {
    fn loss_of(&self, request: &Request) -> Option<Loss> {
        if !is_counted(request) {
            return None;
        }
        let mut next = self.next.lock().expect("nobody panics with it");
        let (left, loss) = (*next)?;
        *next = (left > 1).then_some((left - 1, loss));
        (left == 1).then_some(loss)
    }

    /// Says so, and never answers.
    async fn lose(&self, write: String) -> Response {
        self.struck.send_replace(Some(write));
        std::future::pending().await
    }

    /// Whether watches were held back, until they are not.
    async fn has_expired(&self) -> bool {
        let mut holds = self.holds.subscribe();
        let is_held = *holds.borrow();
        if is_held {
            drop(holds.wait_for(|is_held| !is_held).await);
            self.expired.fetch_add(1, Ordering::Relaxed);
        }
        is_held
    }

    async fn forward(&self, request: Request, is_watch: bool) -> Result<Response> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |it| it.as_str());
        let url = format!("{}{path}", self.server);
        let mut headers = head.headers;
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        let asked = self.client.request(head.method, url).headers(headers);
        let body = to_bytes(body, usize::MAX).await?;
        let answer = asked.body(body).send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for hop in [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            headers.remove(hop);
        }
        let chunks = chunks(answer, is_watch.then(|| self.holds.subscribe()));
        let mut response = Response::new(Body::from_stream(chunks));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// The rest of an answer; the rest of a watch ends once watches are held.
fn chunks(
    answer: reqwest::Response,
    holds: Option<watch::Receiver<bool>>,
) -> impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static {
    stream::unfold((answer, holds), |(mut answer, mut holds)| async move {
        let chunk = tokio::select! {
            chunk = answer.chunk() => chunk.transpose()?,
            () = is_held(holds.as_mut()) => return None,
        };
        Some((chunk, (answer, holds)))
    })
}

async fn is_held(holds: Option<&mut watch::Receiver<bool>>) {
    match holds {
        Some(holds) => drop(holds.wait_for(|is_held| *is_held).await),
        None => std::future::pending().await,
    }
}

/// As the API server says it: the answer begins well.
fn expired() -> Response {
    let event = json!({ "type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 1 (2)", "reason": "Expired", "code": 410,
    } });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, format!("{event}\n")).into_response()
}

/// Whether it changes something that runs depend on.
fn is_counted(request: &Request) -> bool {
    let path = request.uri().path();
    let is_other = ["/leases", "/events"].iter().any(|it| path.contains(it));
    request.method() != Method::GET && !is_other && !has(request, "dryRun=All")
}

fn has(request: &Request, parameter: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|it| it == parameter)
}

/// A request's method and object, without the namespace.
fn name(request: &Request) -> String {
    let path = request.uri().path();
    let within = path.split_once("/namespaces/");
    let within = within.and_then(|(_, rest)| rest.split_once('/'));
    let what = within.map_or(path, |(_, what)| what);
    format!("{} {what}", request.method())
}
