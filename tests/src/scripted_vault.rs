//! A stand-in for Vault, for answers that a real one cannot be made to give.
//!
//! Answers are looked up by method and path. Several for the same request are given in order,
//! and the last one for ever; a request without an answer gets Vault's 404.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Sent as it is, so that it need not be JSON.
    pub body: String,
    /// Sent besides `content-type`.
    pub headers: Vec<(&'static str, String)>,
    /// How long the answer takes.
    pub delay: Duration,
}

impl Answer {
    /// 200 with a JSON body.
    pub fn ok(body: &Value) -> Self {
        Self::status(200, body)
    }

    /// 204, as Vault answers a revocation.
    pub fn empty() -> Self {
        Self {
            body: String::new(),
            ..Self::status(204, &Value::Null)
        }
    }

    /// An error as Vault words them.
    pub fn error(status: u16, message: &str) -> Self {
        Self::status(status, &json!({"errors": [message]}))
    }

    /// A status with a JSON body.
    pub fn status(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string(),
            headers: Vec::new(),
            delay: Duration::ZERO,
        }
    }

    /// A successful login.
    pub fn login(token: &str, accessor: &str, ttl: u64) -> Self {
        Self::ok(&json!({"auth": {
            "client_token": token,
            "accessor": accessor,
            "policies": ["default"],
            "lease_duration": ttl,
            "renewable": true,
        }}))
    }

    /// A secret with a lease.
    pub fn leased(lease: &str, ttl: u64, data: &Value) -> Self {
        Self::ok(&json!({
            "lease_id": lease,
            "lease_duration": ttl,
            "renewable": true,
            "data": data,
        }))
    }

    /// The same, after a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it arrived.
    pub at: Instant,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, with the leading `/v1/`.
    pub path: String,
    /// `X-Vault-Token`.
    pub token: Option<String>,
    /// `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// `X-Vault-Index`.
    pub index: Option<String>,
    /// The body, or null if it is no JSON.
    pub body: Value,
    /// The same as it came.
    pub text: String,
}

/// A running stand-in; ends when dropped.
#[derive(Debug)]
pub struct ScriptedVault {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<(String, String), VecDeque<Answer>>,
    requests: Vec<Request>,
}

impl ScriptedVault {
    /// Starts one on loopback that knows no answers.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new().fallback(answer).with_state(script.clone());
        let task = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            script,
            task,
        })
    }

    /// `VAULT_ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an answer: `vault.on("GET", "/v1/kv/data/app", Answer::error(503, "sealed"))`.
    pub fn on(&self, method: &str, path: &str, answer: Answer) -> &Self {
        let key = (method.to_owned(), path.to_owned());
        lock(&self.script)
            .answers
            .entry(key)
            .or_default()
            .push_back(answer);
        self
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.script).requests.clone()
    }

    /// How often a request was made.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let requests = self.requests();
        let is_it = |request: &&Request| request.method == method && request.path == path;
        requests.iter().filter(is_it).count()
    }
}

impl Drop for ScriptedVault {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    /// Takes the next answer, or repeats the last one.
    fn next(&mut self, method: &str, path: &str) -> Answer {
        let key = (method.to_owned(), path.to_owned());
        let unknown = || Answer::status(404, &json!({"errors": []}));
        let Some(answers) = self.answers.get_mut(&key) else {
            return unknown();
        };
        if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        }
        .unwrap_or_else(unknown)
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let path = uri.to_string();
    let answer = {
        let mut script = lock(&script);
        script.requests.push(Request {
            at: Instant::now(),
            method: method.to_string(),
            path: path.clone(),
            token: header("x-vault-token"),
            namespace: header("x-vault-namespace"),
            index: header("x-vault-index"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
        });
        script.next(method.as_str(), &path)
    };
    tokio::time::sleep(answer.delay).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response =
        (status, [("content-type", "application/json")], answer.body).into_response();
    for (name, value) in answer.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A test that has panicked in between has said enough.
fn lock(script: &Mutex<Script>) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}
