//! Canned answers: what Vault would say, written down in a JSON document. Templates can be tried
//! and tested with them where no Vault is.

mod read;
mod render;

use std::collections::BTreeMap;

use planescape_vault::mount::{self, Mount};
use planescape_vault::{MalformedAnswer, Secret};

use crate::certificate::Certificate;
use crate::request::{Answer, Request};

pub use render::RenderError;

/// The answers of one document.
///
/// ```
/// use planescape_templates::{Environment, Options, Template, responses::Responses};
///
/// let document = br#"{
///     "mounts": {"kv/": {"type": "kv", "options": {"version": "2"}}},
///     "responses": {
///         "GET kv/data/app": {"data": {"data": {"user": "svc"}, "metadata": {"version": 1}}},
///         "PUT pki/issue/web {\"common_name\":\"a.example\"}": {"data": {"certificate": "..."}},
///         "LIST kv/metadata/": {"data": {"keys": ["app"]}},
///         "GET kv/data/gone": {"status": 404}
///     }
/// }"#;
/// let responses = Responses::from_json(document)?;
/// let template = Template::parse(b"{{ with secret `kv/app` }}{{ .Data.data.user }}{{ end }}", &Options::default())?;
/// let rendered = responses.render(&template, &Environment::default(), |_| Err("no files".into()))?;
/// assert_eq!(rendered.text.as_bytes(), b"svc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Responses {
    mounts: Vec<Mount>,
    known: Vec<Known>,
}

/// One answer and its request.
#[derive(Clone, Debug)]
struct Known {
    call: Call,
    /// Only for a `PUT`; any when absent.
    parameters: Option<BTreeMap<String, String>>,
    response: Response,
}

/// A request as Vault sees it, without the body of a `PUT`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Call {
    method: &'static str,
    path: String,
    query: Option<String>,
}

/// How a request is answered.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is taken apart at once"
)]
pub enum Response {
    /// With a body.
    Answer(Answer),
    /// With an error.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Vault's words.
        errors: Vec<String>,
    },
    /// With a body that is no answer to this request.
    Malformed(MalformedAnswer),
}

/// A document that holds no answers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct MalformedResponses {
    /// Everything that is wrong, each with its place in the document; no values.
    pub problems: Vec<String>,
}

impl Responses {
    /// Reads a document of `mounts` (as `sys/mounts` shows them) and `responses`, whose keys are
    /// `GET path`, `LIST path` or `PUT path {parameters}` and whose values are the bodies that Vault
    /// would send, or `{"status": 404}` for one that fails.
    ///
    /// # Errors
    /// Everything that cannot be understood, at once.
    pub fn from_json(document: &[u8]) -> Result<Self, MalformedResponses> {
        read::document(document)
    }

    /// The mount that serves a path, if the document knows it.
    pub fn mount_of(&self, path: &str) -> Option<&Mount> {
        let path = format!("{}/", path.trim_matches('/'));
        self.mounts
            .iter()
            .filter(|mount| path.starts_with(mount.path()))
            .max_by_key(|mount| mount.path().len())
    }

    /// Whether the document describes any mount.
    pub fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// The answer to a request.
    pub fn response(&self, request: &Request) -> Option<Response> {
        let call = self.call(request)?;
        let sent = parameters(request);
        let fits = |known: &&Known| {
            known.call == call
                && known
                    .parameters
                    .as_ref()
                    .is_none_or(|wanted| Some(wanted) == sent)
        };
        let mut known: Vec<&Known> = self.known.iter().filter(fits).collect();
        // A response that names the parameters is meant for them.
        known.sort_by_key(|known| known.parameters.is_none());
        let response = known.first()?.response.clone();
        Some(adapted(response, request, &call.path))
    }

    /// The key under which [`Self::response`] looks first; names of parameters, not their values.
    pub fn key(&self, request: &Request) -> String {
        let Some(call) = self.call(request) else {
            return request.to_string();
        };
        let mut key = format!("{} {}", call.method, call.path);
        if let Some(query) = &call.query {
            key = format!("{key}?{query}");
        }
        let names: Vec<&str> = parameters(request)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .collect();
        if names.is_empty() {
            return key;
        }
        format!("{key} (with {})", names.join(", "))
    }

    fn call(&self, request: &Request) -> Option<Call> {
        let found = self.mount_of(request.path());
        let (method, path, query) = match request {
            Request::Read { path } => {
                let (path, query) = mount::read_path(path, found, None);
                ("GET", path, query)
            }
            Request::List { path } => ("LIST", mount::list_path(path, found), None),
            Request::Write { path, .. } => ("PUT", mount::write_path(path, found, None).0, None),
            Request::Pki { path, .. } => ("PUT", path.clone(), None),
            Request::File { .. } => return None,
        };
        let path = path.trim_matches('/').to_owned();
        Some(Call {
            method,
            path,
            query,
        })
    }
}

fn parameters(request: &Request) -> Option<&BTreeMap<String, String>> {
    match request {
        Request::Write { parameters, .. } | Request::Pki { parameters, .. } => Some(parameters),
        Request::Read { .. } | Request::List { .. } | Request::File { .. } => None,
    }
}

/// A body says what it is only together with the request.
fn adapted(response: Response, request: &Request, path: &str) -> Response {
    let nothing = || Response::Refused {
        status: 404,
        errors: vec![format!("no secret exists at {path}")],
    };
    match (response, request) {
        (Response::Refused { status: 404, .. }, Request::List { .. }) => {
            Response::Answer(Answer::List(Vec::new()))
        }
        (
            Response::Refused {
                status: 404,
                errors,
            },
            Request::Read { .. },
        ) if errors.is_empty() => nothing(),
        (Response::Answer(Answer::Secret(None)), Request::Read { .. }) => nothing(),
        (Response::Answer(Answer::Secret(Some(secret))), Request::List { .. }) => {
            Response::Answer(Answer::List(keys(&secret)))
        }
        (Response::Answer(Answer::Secret(Some(secret))), Request::Pki { .. }) => {
            match Certificate::issued(&secret) {
                Ok(certificate) => Response::Answer(Answer::Pki(certificate)),
                Err(malformed) => Response::Malformed(malformed),
            }
        }
        (response, _) => response,
    }
}

fn keys(secret: &Secret) -> Vec<String> {
    secret.list_field("keys").unwrap_or_default()
}

#[cfg(test)]
mod tests;
