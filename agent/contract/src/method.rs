//! How the agent proves who it is.

/// An auth method and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// The pod's ServiceAccount token.
    Kubernetes(Kubernetes),
}

impl Method {
    /// The names of the methods we have.
    pub(crate) const KNOWN: [&str; 1] = ["kubernetes"];
}

/// Settings of the `kubernetes` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The role to log in to.
    pub role: String,
    /// The file with the ServiceAccount token, read afresh at every login.
    pub token_path: String,
}

impl Kubernetes {
    /// Where the kubelet puts the token unless the pod says otherwise.
    pub const DEFAULT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
}
