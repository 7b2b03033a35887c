//! The agent's configuration, as the agent reads it.

use planescape_agent_contract::document::{
    AutoAuth, Document, Method, Planescape, Template, Vault,
};
use planescape_agent_contract::{Engine, Output};

use super::volumes;
use crate::annotations::{Injection, Mode, Secret};

pub(super) fn of(injection: &Injection) -> Document {
    Document {
        auto_auth: AutoAuth {
            method: method(injection),
            sink: Vec::new(),
        },
        exit_after_auth: matches!(injection.mode, Mode::Init { .. }),
        pid_file: None,
        vault: vault(injection),
        template: injection.secrets.iter().map(template).collect(),
        template_config: injection.template_config.clone(),
        planescape: Some(planescape(injection)),
    }
}

fn method(injection: &Injection) -> Method {
    let auth = &injection.auth;
    let mut config = auth.config.clone();
    config
        .entry("token_path".to_owned())
        .or_insert_with(|| volumes::token_path(injection));
    Method {
        kind: "kubernetes".to_owned(),
        mount_path: Some(auth.path.clone()),
        min_backoff: auth.min_backoff.clone(),
        max_backoff: auth.max_backoff.clone(),
        namespace: auth.namespace.clone(),
        config,
        exit_on_err: auth.exits_on_error,
    }
}

fn vault(injection: &Injection) -> Vault {
    let server = injection.server.clone();
    Vault {
        address: server.address,
        ca_cert: server.ca_cert,
        ca_path: server.ca_path,
        tls_skip_verify: server.tls_skip_verify,
        client_cert: server.client_cert,
        client_key: server.client_key,
        tls_server_name: server.tls_server_name,
    }
}

fn template(secret: &Secret) -> Template {
    Template {
        destination: secret.destination.clone(),
        contents: Some(secret.template.clone()),
        left_delimiter: secret.left_delimiter.clone(),
        right_delimiter: secret.right_delimiter.clone(),
        command: secret.command.clone(),
        source: None,
        perms: secret.perms.clone(),
        error_on_missing_key: match secret.engine {
            Engine::Go => secret.error_on_missing_key.then_some(true),
            Engine::Handlebars => Some(secret.error_on_missing_key),
        },
        engine: (secret.engine != Engine::default()).then(|| secret.engine.name().to_owned()),
        output: (secret.output != Output::default()).then(|| secret.output.name().to_owned()),
    }
}

fn planescape(injection: &Injection) -> Planescape {
    let is_sidecar = matches!(injection.mode, Mode::Sidecar { .. });
    // An end is a report only where another start follows; else it would fail the pod.
    let is_restarted = match injection.mode {
        Mode::Sidecar { .. } => true,
        Mode::Init { restarts } => restarts,
    };
    Planescape {
        revoke_on_exit: injection.revokes_on_exit,
        // Only the agent mounts this volume, and it outlives an agent that is killed.
        ledger: injection
            .revokes_on_exit
            .then(|| format!("{}/ledger", volumes::HOME)),
        shared_folders: injection.mounts.clone(),
        termination_log: Some("/dev/termination-log".to_owned()),
        ready_socket: is_sidecar.then(|| format!("{}/ready.sock", volumes::HOME)),
        give_up_after: is_restarted.then(|| "30s".to_owned()),
        exit_on_refusal: true,
        // The token of an init container is not renewed once the container has ended.
        lease_guard: injection
            .lease_guard
            .filter(|_| is_sidecar && injection.revokes_on_exit)
            .map(|guard| format!("{}s", guard.as_secs())),
    }
}
