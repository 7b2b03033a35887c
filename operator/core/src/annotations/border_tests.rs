//! Annotations that are just accepted, and ones that are just refused.

use serde_json::json;

use super::*;

#[test]
fn an_address_names_its_host_and_port_whatever_stands_around_them() {
    for (address, host) in [
        ("https://vault:8200", "vault:8200"),
        ("https://vault:8200/v1?a=b#c", "vault:8200"),
        ("http://user:word@vault", "vault"),
        ("https://vault?a=b@c", "vault"),
        ("vault:8200", "vault:8200"),
        ("", ""),
    ] {
        let server = Server {
            address: address.to_owned(),
            ..Server::default()
        };

        assert_eq!(server.host(), host, "{address}");
    }
}

#[test]
fn the_agent_is_the_user_of_the_first_container_unless_that_is_root() {
    let same = |pod: Value, container: Value| {
        let template = template(
            &[("agent-run-as-same-user", "true")],
            json!({
                "securityContext": pod,
                "containers": [{ "name": "main", "securityContext": container }],
            }),
        );
        read_template(&template).map(|injection| injection.identity.user)
    };

    assert_eq!(same(json!({ "runAsUser": 1 }), json!({})), Ok(1));
    let user = same(json!({ "runAsUser": 1 }), json!({ "runAsUser": 2 }));
    assert_eq!(user, Ok(2));
    let root = same(json!({}), json!({ "runAsUser": 0 })).unwrap_err();
    assert!(root[0].contains("must not"), "{root:?}");
}

#[test]
fn handlebars_takes_its_own_delimiters_and_no_others() {
    for (delimiter, is_accepted) in [("{{", true), ("", true), ("[[", false)] {
        let template = template(
            &[
                ("agent-inject-template-a", "{{concat 1}}"),
                ("agent-inject-template-engine-a", "handlebars"),
                ("agent-template-left-delim-a", delimiter),
            ],
            json!({ "containers": [] }),
        );

        assert_eq!(read_template(&template).is_ok(), is_accepted, "{delimiter}");
    }
}

#[test]
fn ids_and_modes_end_where_linux_ends_them() {
    for (key, value, is_accepted) in [
        ("agent-run-as-group", "0", true),
        ("agent-run-as-group", "2147483647", true),
        ("agent-run-as-group", "2147483648", false),
        ("agent-inject-perms-a", "0777", true),
        ("agent-inject-perms-a", "1000", false),
        ("lease-guard", "60s", true),
        ("lease-guard", "59s", false),
        ("lease-guard", "off", true),
    ] {
        let annotations = [("agent-inject-secret-a", "kv/a"), (key, value)];
        let template = template(&annotations, json!({ "containers": [] }));

        let read = read_template(&template);

        assert_eq!(read.is_ok(), is_accepted, "{key} {value}");
    }
}

/// Reads the annotations, or names those that are refused.
fn read_template(template: &Value) -> Result<Injection, Vec<String>> {
    let defaults = Defaults {
        vault_address: Some("https://vault:8200".into()),
        ..Defaults::default()
    };
    match read(template, None, &defaults) {
        Ok(injection) => Ok(injection.expect("it is asked for")),
        Err(problems) => Err(problems.iter().map(Problem::to_string).collect()),
    }
}

fn template(annotations: &[(&str, &str)], spec: Value) -> Value {
    let mut all = json!({});
    let usual = [("agent-inject", "true"), ("role", "reader")];
    for (name, value) in usual.iter().chain(annotations) {
        all[format!("vault.hashicorp.com/{name}")] = json!(value);
    }
    json!({ "metadata": { "annotations": all }, "spec": spec })
}
