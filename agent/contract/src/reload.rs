//! The differences between a new configuration and the one that the agent was started with.

use std::path::Path;

use crate::{Auth, Cert, Config, Method, Problem, Target};

/// The keys whose new values only another start takes over. A running agent takes over certificates, the log's level,
/// templates, and the settings of their reads in `template_config`.
#[must_use]
pub fn needs_start(started: &Config, new: &Config) -> Vec<&'static str> {
    let (vault, new_vault) = (&started.vault.connection, &new.vault.connection);
    let (auth, new_auth) = (&started.auth, &new.auth);
    let (proxy, new_proxy) = (&started.proxy, &new.proxy);
    let rest = |auth: &Auth| {
        let backoff = (auth.min_backoff, auth.max_backoff);
        let ends = (auth.exit_on_error, auth.follows_new_credentials);
        (auth.namespace.clone(), auth.wrap_ttl, backoff, ends)
    };
    let exits = |config: &Config| config.template_config.exit_on_retry_failure;
    let others = |config: &Config| {
        let connection = &config.vault.connection;
        let limits = (connection.timeout, connection.pace);
        let redirects = connection.follows_redirects;
        let headers = connection.headers.clone();
        let retries = (config.vault.retries, config.vault.proxy_retries);
        (limits, redirects, headers, retries)
    };
    let stays = |config: &Config| {
        let vault = &config.vault;
        (vault.connection.keeps_idle, vault.proxy_keeps_idle)
    };
    let differing = [
        ("disable_keep_alives", stays(started) != stays(new)),
        ("vault.address", vault.address != new_vault.address),
        ("vault.namespace", vault.namespace != new_vault.namespace),
        ("vault", others(started) != others(new)),
        (
            "auto_auth.method",
            method(started) != method(new) || auth.mount_path != new_auth.mount_path,
        ),
        ("auto_auth.sink", auth.sinks != new_auth.sinks),
        ("auto_auth", rest(auth) != rest(new_auth)),
        ("exec", started.exec != new.exec),
        (
            "template_config.exit_on_retry_failure",
            exits(started) != exits(new),
        ),
        ("listener", proxy.listeners != new_proxy.listeners),
        ("api_proxy", proxy.token != new_proxy.token),
        (
            "cache",
            (proxy.caches, &proxy.persist) != (new_proxy.caches, &new_proxy.persist),
        ),
        (
            "exit_after_auth",
            started.exit_after_auth != new.exit_after_auth,
        ),
        ("pid_file", started.pid_file != new.pid_file),
        ("log_format", started.log.format != new.log.format),
        ("log_file", started.log.file != new.log.file),
        ("telemetry", started.telemetry != new.telemetry),
        (
            "planescape",
            started.planescape != new.planescape
                || started.has_own_exit_codes != new.has_own_exit_codes,
        ),
    ];
    let differing = differing.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

/// The method without the certificates of its connection.
fn method(config: &Config) -> Option<Method> {
    let mut method = config.auth.method.clone();
    if let Some(Method::Cert(Cert { tls: Some(tls), .. })) = &mut method {
        tls.ca_cert = None;
        tls.client = None;
    }
    method
}

/// Why the templates of a new configuration cannot be taken over before another start.
#[must_use]
pub fn hindrances(started: &Config, new: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if started.exec.is_some() != new.exec.is_some() {
        problems.push(Problem {
            field: "exec".to_owned(),
            reason: "comes and goes with a start alone: start the agent again".to_owned(),
        });
    }
    if started.auth.method.is_none() && !new.templates.is_empty() {
        problems.push(Problem {
            field: "auto_auth".to_owned(),
            reason: "comes with a start alone: start the agent again".to_owned(),
        });
    }
    let sinks = &started.auth.sinks;
    for (place, template) in new.templates.iter().enumerate() {
        let Target::File(path) = &template.target else {
            continue;
        };
        let reason = if sinks.iter().any(|sink| sink.path == *path) {
            "is a sink until the agent is started again"
        } else if is_shared(path, new) && !is_shared(path, started) {
            "is in a folder that the agent takes for shared only once it is started again"
        } else {
            continue;
        };
        problems.push(Problem {
            field: format!("template[{place}].destination"),
            reason: reason.to_owned(),
        });
    }
    problems
}

/// Whether others can write the file's folder, too: a running agent minds links only below the folders that it knows.
fn is_shared(path: &str, config: &Config) -> bool {
    let mut folders = config.planescape.shared_folders.iter();
    folders.any(|folder| Path::new(path).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Overrides, Tree};

    const STARTED: &str = r#"
        log_level = "info"
        vault { address = "https://127.0.0.1:8200" ca_cert = "/ca" }
        auto_auth {
          method "cert" { config { name = "reader" ca_cert = "/ca" } }
          sink "file" { config { path = "/token" } }
        }
        template { contents = "x" destination = "/a" }
        template_config { static_secret_render_interval = "5m" }
        listener "tcp" { address = "127.0.0.1:8100" tls_disable = true }
        planescape { ledger = "/ledger" shared_folders = ["/shared"] }
    "#;

    #[test]
    fn what_only_a_start_takes_over_is_named() {
        for (old, new, named) in [
            ("8200", "8201", &["vault.address"][..]),
            ("\"info\"", "\"debug\"", &[]),
            ("\"/ca\"", "\"/other\"", &[]),
            (
                "vault {",
                "disable_idle_connections = [\"caching\"]\nvault {",
                &["disable_keep_alives"],
            ),
            ("\"/a\"", "\"/b\"", &[]),
            ("\"5m\"", "\"1m\"", &[]),
            ("vault {", "vault { retry { num_retries = 3 } ", &["vault"]),
            ("reader", "writer", &["auto_auth.method"]),
            ("\"/token\"", "\"/elsewhere\"", &["auto_auth.sink"]),
            ("8100", "8101", &["listener"]),
            ("\"/ledger\"", "\"/other\"", &["planescape"]),
            ("\"/shared\"", "\"/shared\", \"/a-b\"", &["planescape"]),
            (
                "template_config {",
                "cache {}\ntemplate_config { exit_on_retry_failure = true ",
                &["template_config.exit_on_retry_failure", "cache"],
            ),
        ] {
            let changed = config(&STARTED.replace(old, new));

            assert_eq!(needs_start(&config(STARTED), &changed), named, "{new}");
            assert!(hindrances(&config(STARTED), &changed).is_empty(), "{new}");
        }
    }

    #[test]
    fn templates_that_need_another_start_are_not_taken() {
        let started = config(STARTED);
        let onto_a_sink = STARTED
            .replace("\"/token\"", "\"/elsewhere\"")
            .replace("\"/a\"", "\"/token\"");
        let onto_a_shared_folder = STARTED
            .replace("\"/shared\"", "\"/shared\", \"/more\"")
            .replace("\"/a\"", "\"/more/a\"");
        let with_a_program = STARTED
            .replace("template {", "env_template \"A\" {")
            .replace("destination = \"/a\"", "")
            + "exec { command = [\"app\"] }";

        for (new, field) in [
            (onto_a_sink, "template[0].destination"),
            (onto_a_shared_folder, "template[0].destination"),
            (with_a_program, "exec"),
        ] {
            let problems = hindrances(&started, &config(&new));
            let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
            assert_eq!(fields, [field]);
        }
    }

    #[test]
    fn an_agent_that_does_not_log_in_takes_no_templates() {
        let proxy = "listener \"tcp\" { address = \"127.0.0.1:8100\" tls_disable = true }";
        let problems = hindrances(&config(proxy), &config(STARTED));

        let fields: Vec<&str> = problems.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["auto_auth"]);
        assert!(hindrances(&config(proxy), &config(proxy)).is_empty());
    }

    fn config(text: &str) -> Config {
        Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap()
    }
}
