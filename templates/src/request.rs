//! The requests of a template to the world, and the answers of the world.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use planescape_vault::Secret;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::certificate::Certificate;

/// One thing a template needs. Two equal requests are one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// `secret "path"`.
    Read {
        /// Without surrounding blanks and slashes, with its query.
        path: String,
    },
    /// `secret "path" "key=value"`.
    Write {
        /// Without surrounding blanks and slashes.
        path: String,
        /// All values are texts.
        parameters: BTreeMap<String, String>,
    },
    /// `secrets "path"`.
    List {
        /// Without surrounding blanks and slashes.
        path: String,
    },
    /// `pkiCert "path" "key=value"`.
    Pki {
        /// Without surrounding blanks and slashes.
        path: String,
        /// All values are texts.
        parameters: BTreeMap<String, String>,
        /// The template's own file, which keeps the certificate between runs.
        destination: Option<String>,
    },
    /// `file "path"`.
    File {
        /// As written.
        path: String,
    },
}

impl Request {
    /// The path it is about, without any query.
    pub fn path(&self) -> &str {
        match self {
            Self::Read { path } => path.split_once('?').map_or(path, |(path, _)| path),
            Self::Write { path, .. }
            | Self::List { path }
            | Self::Pki { path, .. }
            | Self::File { path } => path,
        }
    }

    /// The query of a read.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Read { path } => path.split_once('?').map(|(_, query)| query),
            Self::Write { .. } | Self::List { .. } | Self::Pki { .. } | Self::File { .. } => None,
        }
    }
}

/// Four bytes that tell parameter sets apart in logs without showing them.
fn fingerprint(parameters: &BTreeMap<String, String>) -> String {
    let mut hash = Sha1::new();
    for (key, value) in parameters {
        let value = Zeroizing::new(crate::quote::quoted(value.as_bytes()));
        hash.update(key.as_bytes());
        hash.update(b"=");
        hash.update(value.as_bytes());
    }
    let mut out = String::new();
    for byte in &hash.finalize()[..4] {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path } => {
                let version = self.query().and_then(|query| {
                    query
                        .split('&')
                        .find_map(|pair| pair.strip_prefix("version="))
                });
                match version {
                    Some(version) => write!(f, "vault.read({}.v{version})", self.path()),
                    None => write!(f, "vault.read({path})"),
                }
            }
            Self::Write { path, parameters } => {
                write!(f, "vault.write({path} -> {})", fingerprint(parameters))
            }
            Self::List { path } => write!(f, "vault.list({path})"),
            Self::Pki {
                path, destination, ..
            } => {
                let destination = destination.as_deref().unwrap_or_default();
                write!(f, "vault.pki({path}->{destination})")
            }
            Self::File { path } => write!(f, "file({path})"),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// For a read or a write; a write may be answered by nothing.
    Secret(Option<Secret>),
    /// For a list, in any order.
    List(Vec<String>),
    /// For a certificate.
    Pki(Certificate),
    /// The content of a file.
    File(planescape_vault::Text),
}

/// Everything answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    known: BTreeMap<Request, Answer>,
}

impl Answers {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps an answer; an older one to the same request is handed back.
    pub fn insert(&mut self, request: Request, answer: Answer) -> Option<Answer> {
        self.known.insert(request, answer)
    }

    /// Forgets an answer.
    pub fn remove(&mut self, request: &Request) -> Option<Answer> {
        self.known.remove(request)
    }

    /// The answer to this request.
    pub fn get(&self, request: &Request) -> Option<&Answer> {
        self.known.get(request)
    }

    /// The answer to this request, to be renewed in place.
    pub fn get_mut(&mut self, request: &Request) -> Option<&mut Answer> {
        self.known.get_mut(request)
    }

    /// Whether this request was answered.
    pub fn contains(&self, request: &Request) -> bool {
        self.known.contains_key(request)
    }

    /// Forgets the answers for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&Request) -> bool) {
        self.known.retain(|request, _| keep(request));
    }

    /// All that is known.
    pub fn iter(&self) -> impl Iterator<Item = (&Request, &Answer)> {
        self.known.iter()
    }
}
