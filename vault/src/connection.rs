//! How to reach Vault. Files are named here and read by the client.

use std::time::Duration;

use crate::SecretText;

/// One Vault, and how to talk to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `http://…`, `https://…` or `unix:///path/of/a/socket`, without a slash at the end.
    pub address: String,
    /// How to trust the server and be trusted.
    pub tls: Tls,
    /// The namespace of every request, with a slash at the end.
    pub namespace: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Names and values of headers that every request carries.
    pub headers: Vec<(String, String)>,
    /// Whether one redirect, such as a standby sends, is followed.
    pub follows_redirects: bool,
    /// How often Vault is asked at most; as often as there is something to ask without it.
    pub pace: Option<Pace>,
    /// Whether a connection stays for the next request.
    pub keeps_idle: bool,
}

/// How often somebody is asked at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one request to the next, on average.
    pub interval: Duration,
    /// How many may come at once; at least one.
    pub burst: u32,
}

/// How to trust the server and be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of certificate authorities; wins over the text and the folder.
    pub ca_cert: Option<String>,
    /// PEM text of certificate authorities; wins over the folder.
    pub ca_cert_bytes: Option<String>,
    /// A folder of PEM files.
    pub ca_path: Option<String>,
    /// Certificate and key files of the client, both or neither; win over the texts.
    pub client: Option<(String, String)>,
    /// The same as PEM texts.
    pub client_bytes: Option<(String, SecretText)>,
    /// The name that is asked for and that the certificate must carry, instead of the address's host.
    pub server_name: Option<String>,
    /// Whether any server certificate is accepted.
    pub skip_verify: bool,
}
