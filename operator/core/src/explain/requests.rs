//! Requests to Vault, of an agent or for the Secrets of a run.

use std::collections::BTreeSet;

use planescape_templates::{Answers, Environment, Pass, Request, Template};
use planescape_vault::mount;
use serde::Serialize;

use super::policy::Policy;
use crate::annotations::{Injection, Mode, Secret};
use crate::credentials::Order;

/// The requests of one program to one Vault, and the policy that allows no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// `the agent` or `planescape credentials`.
    pub who: &'static str,
    /// The address of Vault.
    pub address: String,
    /// The Vault namespace of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The role to log in as.
    pub role: String,
    /// In the order in which they are made.
    pub requests: Vec<VaultRequest>,
    /// Whether templates may ask for more once Vault has answered.
    pub reads_more: bool,
    /// In HCL.
    pub policy: String,
}

/// One request to Vault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct VaultRequest {
    /// `GET`, `LIST` or `PUT`.
    pub method: &'static str,
    /// Without `/v1/`.
    pub path: String,
    /// Its time or its purpose.
    pub why: String,
}

/// The requests of an agent that is written into the pods.
pub(super) fn of_agent(injection: &Injection, warnings: &mut Vec<String>) -> Access {
    let is_sidecar = matches!(injection.mode, Mode::Sidecar { .. });
    let mut asked = Asked::new(&injection.auth.path);
    let reads: BTreeSet<Request> = injection
        .secrets
        .iter()
        .flat_map(|secret| reads(secret, warnings))
        .collect();
    for request in &reads {
        asked.ask(request, warnings);
    }
    if is_sidecar {
        asked.own("auth/token/renew-self", "while the run goes on");
        asked.own("sys/leases/renew", "for each lease that can be renewed");
    }
    if injection.revokes_on_exit {
        let leases = "at the end, for each lease, where the policy lets it";
        asked.put("sys/leases/revoke", leases);
        asked.own("auth/token/revoke-self", "at the end, with every lease");
    }
    let role = injection.auth.config.get("role");
    Access {
        who: "the agent",
        address: injection.server.address.clone(),
        namespace: injection.auth.namespace.clone(),
        role: role.cloned().unwrap_or_default(),
        policy: asked.policy.to_string(),
        requests: asked.requests,
        reads_more: true,
    }
}

/// The requests of `planescape credentials` for the Secrets of a run.
pub(super) fn of_order(order: &Order, warnings: &mut Vec<String>) -> Access {
    let mut asked = Asked::new(&order.auth_path);
    for ordered in &order.secrets {
        let path = ordered.path.clone();
        let parameters = ordered.params.clone();
        let request = if parameters.is_empty() {
            Request::Read { path }
        } else {
            Request::Write { path, parameters }
        };
        asked.ask(&request, warnings);
    }
    asked.own("auth/token/renew-self", "while the run goes on");
    asked.own("sys/leases/renew", "for each lease that can be renewed");
    asked.put("sys/leases/revoke", "at the end, for each lease");
    asked.policy.allow("sys/leases/revoke", &["update"]);
    asked.own("auth/token/revoke-self", "at the end");
    Access {
        who: "planescape credentials",
        address: order.address.clone(),
        namespace: order.namespace.clone(),
        role: order.role.clone(),
        policy: asked.policy.to_string(),
        requests: asked.requests,
        reads_more: false,
    }
}

/// The requests of a template before anything is answered.
fn reads(secret: &Secret, warnings: &mut Vec<String>) -> BTreeSet<Request> {
    let name = &secret.name;
    let parsed = Template::parse(secret.template.as_bytes(), &secret.options());
    let pass = parsed.and_then(|it| it.render(&Answers::new(), &Environment::default()));
    match pass {
        Ok(Pass::Complete(rendered)) => {
            if rendered.used.is_empty() {
                warnings.push(format!("template of {name}: asks Vault for nothing"));
            }
            rendered.used
        }
        Ok(Pass::Waiting { used, .. }) => used,
        Err(error) => {
            warnings.push(format!(
                "template of {name}: its requests depend on what only the pod knows: {error}"
            ));
            BTreeSet::new()
        }
    }
}

#[derive(Default)]
struct Asked {
    requests: Vec<VaultRequest>,
    policy: Policy,
    mounts: BTreeSet<String>,
}

impl Asked {
    fn new(auth_path: &str) -> Self {
        let mut asked = Self::default();
        let path = format!("{}/login", auth_path.trim_end_matches('/'));
        asked.put(&path, "with the token of the pod's ServiceAccount");
        asked
    }

    fn ask(&mut self, request: &Request, warnings: &mut Vec<String>) {
        let written = request.path();
        if !matches!(request, Request::File { .. } | Request::Pki { .. }) {
            self.look_up(written, warnings);
        }
        match request {
            Request::Read { path } => {
                let (path, query) = mount::read_path(path, None, None);
                let why = query.map_or_else(String::new, |query| format!("with ?{query}"));
                self.policy.allow(&path, &["read"]);
                self.push("GET", &path, &why);
            }
            Request::List { path } => {
                let path = mount::list_path(path, None);
                self.policy.allow(&format!("{path}/"), &["list"]);
                self.push("LIST", &path, "");
            }
            Request::Write { path, parameters } => {
                let (path, _) = mount::write_path(path, None, None);
                self.policy.allow(&path, &["create", "update"]);
                let names: Vec<&str> = parameters.keys().map(String::as_str).collect();
                self.put(&path, &format!("with {}", names.join(", ")));
            }
            Request::Pki { path, .. } => {
                self.policy.allow(path, &["create", "update"]);
                self.put(path, "for a certificate, and again before it ends");
            }
            Request::File { path } => {
                warnings.push(format!("{path}: is read from the agent's own container"));
            }
        }
    }

    /// Vault is asked once for each mount which kind it is.
    fn look_up(&mut self, path: &str, warnings: &mut Vec<String>) {
        let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
        if self.mounts.insert(mount.to_owned()) {
            let asked = format!("sys/internal/ui/mounts/{path}");
            self.push("GET", &asked, "once for each mount");
        }
        let first = rest.split('/').next().unwrap_or_default();
        let is_known = [
            "data",
            "metadata",
            "creds",
            "static-creds",
            "issue",
            "sign",
            "sts",
            "token",
        ]
        .contains(&first);
        if !is_known {
            warnings.push(format!(
                "{path}: where {mount}/ is a key-value store of version 2, Vault is asked for {mount}/data/{rest}, and the policy needs that path"
            ));
        }
    }

    /// A request that Vault's policy `default` allows every token.
    fn own(&mut self, path: &str, why: &str) {
        self.policy.default_allows(path);
        self.put(path, why);
    }

    fn put(&mut self, path: &str, why: &str) {
        self.push("PUT", path, why);
    }

    fn push(&mut self, method: &'static str, path: &str, why: &str) {
        self.requests.push(VaultRequest {
            method,
            path: path.to_owned(),
            why: why.to_owned(),
        });
    }
}
