use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::*;
use crate::{annotations, defaults::Defaults};

#[test]
fn writes_a_native_sidecar_that_gates_the_job() {
    insta::assert_json_snapshot!(injected(guide()));
}

#[test]
fn writes_an_init_container_that_only_populates() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-pre-populate-only"] =
        json!("true");

    insta::assert_json_snapshot!(injected(template));
}

#[test]
fn writes_every_setting_where_it_belongs() {
    let template = json!({
        "metadata": { "annotations": {
            "kubectl.kubernetes.io/default-container": "side",
            "openbao.org/agent-image": "registry.example/agent:1",
            "openbao.org/agent-inject": "true",
            "openbao.org/agent-inject-containers": "main",
            "openbao.org/agent-inject-file-db": "deep/db.env",
            "openbao.org/agent-inject-perms-db": "0440",
            "openbao.org/agent-inject-secret-db": "database/creds/app",
            "openbao.org/agent-inject-secret-kv": "kv/data/app",
            "openbao.org/agent-limits-cpu": "1",
            "openbao.org/agent-requests-mem": "",
            "openbao.org/agent-revoke-on-shutdown": "false",
            "openbao.org/agent-run-as-group": "0",
            "openbao.org/agent-run-as-user": "999",
            "openbao.org/auth-config-audience": "vault",
            "openbao.org/auth-min-backoff": "1s",
            "openbao.org/auth-path": "auth/other",
            "openbao.org/ca-cert": "/vault/tls/ca.crt",
            "openbao.org/error-on-missing-key-kv": "true",
            "openbao.org/namespace": "team",
            "openbao.org/role": "app",
            "openbao.org/secret-volume-path-kv": "/etc/kv",
            "openbao.org/service": "https://other:8200",
            "openbao.org/template-config-exit-on-retry-failure": "false",
            "openbao.org/tls-secret": "vault-ca",
            "openbao.org/tls-server-name": "vault.example",
        } },
        "spec": {
            "initContainers": [{ "name": "prepare" }],
            "containers": [
                { "name": "main", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] },
                { "name": "side" },
            ],
            "volumes": [{ "name": "data", "emptyDir": {} }],
            "aFieldOfTomorrow": { "kept": true },
        },
    });

    insta::assert_json_snapshot!(injected(template));
}

#[test]
fn says_what_vault_agent_does_not_know_only_where_it_is_asked_for() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-inject-template-db"] =
        json!("{{kv \"kv/app\" \"user\"}}");
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-inject-template-engine-db"] =
        json!("handlebars");

    let document = |template| injected(template).to_string();

    assert!(!document(guide()).contains("engine"));
    let handlebars = document(template);
    assert!(
        handlebars.contains("\"engine\":\"handlebars\""),
        "{handlebars}"
    );
    assert!(
        handlebars.contains("\"error_on_missing_key\":true"),
        "{handlebars}"
    );
}

#[test]
fn probes_instead_of_gating_without_pre_population() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-pre-populate"] = json!("false");

    let injected = injected(template);

    assert_eq!(injected.pointer("/spec/initContainers/0/lifecycle"), None);
    let command = "/spec/initContainers/0/readinessProbe/exec/command";
    assert_eq!(
        injected.pointer(command),
        Some(&json!(["/planescape-agent", "wait"]))
    );
}

#[test]
fn both_kinds_of_agent_revoke_unless_told_otherwise() {
    for mode in ["false", "true"] {
        let mut template = guide();
        let annotations = &mut template["metadata"]["annotations"];
        annotations["vault.hashicorp.com/agent-pre-populate-only"] = json!(mode);
        let revokes = |template: &Value| {
            document(&injected(template.clone()))["planescape"]["revoke_on_exit"].clone()
        };

        assert_eq!(revokes(&template), true);
        template["metadata"]["annotations"]["vault.hashicorp.com/agent-revoke-on-shutdown"] =
            json!("false");
        assert_eq!(revokes(&template), false);
    }
}

#[test]
fn a_killed_sidecar_leaves_its_token_where_only_the_agent_looks() {
    let mut template = guide();
    template["spec"]["initContainers"] = json!([{ "name": "prepare" }]);

    let injected = injected(template);

    assert_eq!(
        document(&injected)["planescape"]["ledger"],
        "/home/vault/ledger"
    );
    let volumes = injected["spec"]["volumes"].as_array().unwrap();
    let home = json!({ "name": "home-sidecar", "emptyDir": { "medium": "Memory" } });
    assert!(volumes.contains(&home));
    let lists = ["containers", "initContainers"].map(|list| injected["spec"][list].as_array());
    let containers = lists.into_iter().flatten().flatten();
    let seers: Vec<&Value> = containers
        .filter(|container| {
            container["volumeMounts"]
                .to_string()
                .contains("home-sidecar")
        })
        .map(|container| &container["name"])
        .collect();
    assert_eq!(seers, ["vault-agent"]);
}

#[test]
fn an_agent_that_revokes_nothing_leaves_no_token() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-revoke-on-shutdown"] =
        json!("false");

    let injected = injected(template);

    assert!(document(&injected)["planescape"]["ledger"].is_null());
}

#[test]
fn the_agent_knows_which_folders_others_can_write() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/secret-volume-path-db"] =
        json!("/etc/db");

    let injected = injected(template);

    assert_eq!(
        document(&injected)["planescape"]["shared_folders"],
        json!(["/vault/secrets", "/etc/db"])
    );
}

#[test]
fn only_an_agent_that_is_started_again_ends_because_vault_is_down() {
    let cases = [
        ("true", None, json!(null)),
        ("true", Some("Never"), json!(null)),
        ("true", Some("OnFailure"), json!("30s")),
        ("false", Some("Never"), json!("30s")),
        ("false", Some("OnFailure"), json!("30s")),
    ];
    for (populates_only, policy, limit) in cases {
        let mut template = guide();
        let annotations = &mut template["metadata"]["annotations"];
        annotations["vault.hashicorp.com/agent-pre-populate-only"] = json!(populates_only);
        template["spec"]["restartPolicy"] = json!(policy);

        let injected = injected(template);

        let ours = &document(&injected)["planescape"];
        assert_eq!(ours["give_up_after"], limit, "{populates_only} {policy:?}");
        assert_eq!(ours["exit_on_refusal"], true);
    }
}

/// The pod template of the guide's `database-job`.
#[test]
fn a_user_of_group_zero_is_still_no_root() {
    let mut template = guide();
    template["metadata"]["annotations"]["vault.hashicorp.com/agent-run-as-group"] = json!("0");

    let pod = injected(template);

    let context = &pod["spec"]["initContainers"][0]["securityContext"];
    assert_eq!(context["runAsGroup"], 0);
    assert_eq!(context["runAsNonRoot"], true);
}

fn guide() -> Value {
    json!({
        "metadata": { "annotations": {
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/role": "database-reader",
            "vault.hashicorp.com/agent-inject-secret-db": "database/creds/readonly",
            "vault.hashicorp.com/agent-inject-template-db": "{{- with secret \"database/creds/readonly\" -}}\nexport PGUSER=\"{{ .Data.username }}\"\nexport PGPASSWORD=\"{{ .Data.password }}\"\n{{- end -}}\n",
        } },
        "spec": { "containers": [{
            "name": "db-query",
            "image": "postgres:15-alpine",
            "command": ["/bin/sh"],
        }] },
    })
}

/// The injected template, with the agent's configuration readable.
fn injected(template: Value) -> Value {
    let defaults = Defaults {
        vault_address: Some("https://vault.vault.svc:8200".into()),
        vault_ca_cert: Some("-----BEGIN CERTIFICATE-----".into()),
        ..Defaults::default()
    };
    let injection = annotations::read(&template, None, &defaults)
        .unwrap()
        .unwrap();
    let mut injected = inject(template, &injection);
    let config = injected
        .pointer_mut("/spec/initContainers/0/env/0/value")
        .unwrap();
    let document = BASE64_STANDARD.decode(config.as_str().unwrap()).unwrap();
    *config = serde_json::from_slice(&document).unwrap();
    injected
}

/// The agent's configuration in an injected template.
fn document(injected: &Value) -> &Value {
    &injected["spec"]["initContainers"][0]["env"][0]["value"]
}
