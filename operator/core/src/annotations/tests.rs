use planescape_agent_contract::{Engine, Output};
use serde_json::json;

use super::*;

#[test]
fn reads_what_the_guide_writes() {
    let injection = read_annotations(&[
        ("agent-inject", "true"),
        ("role", "database-reader"),
        ("agent-inject-secret-db", "database/creds/readonly"),
        (
            "agent-inject-template-db",
            "{{ with secret \"x\" }}{{ end }}",
        ),
    ])
    .unwrap()
    .unwrap();

    assert_eq!(injection.mode, Mode::Sidecar { gates: true });
    assert_eq!(injection.auth.config["role"], "database-reader");
    assert_eq!(injection.mounts, ["/vault/secrets"]);
    assert_eq!(injection.secrets.len(), 1);
    assert_eq!(injection.secrets[0].destination, "/vault/secrets/db");
    assert_eq!(
        injection.secrets[0].template,
        "{{ with secret \"x\" }}{{ end }}"
    );
}

#[test]
fn injects_nothing_unless_asked() {
    for annotations in [
        vec![],
        vec![("role", "x")],
        vec![("agent-inject", "false"), ("no-such-key", "")],
        vec![("agent-inject", "")],
        vec![
            ("agent-inject", "true"),
            ("agent-inject-status", "injected"),
        ],
    ] {
        assert_eq!(read_annotations(&annotations), Ok(None));
    }
}

#[test]
fn takes_either_prefix() {
    let template = json!({ "metadata": { "annotations": {
        "openbao.org/agent-inject": "true",
        "vault.hashicorp.com/role": "reader",
    } } });

    assert!(read_template(&template, None).unwrap().is_some());
}

#[test]
fn refuses_two_prefixes_that_contradict() {
    let template = json!({ "metadata": { "annotations": {
        "vault.hashicorp.com/agent-inject": "true",
        "openbao.org/role": "writer",
        "vault.hashicorp.com/role": "reader",
    } } });

    assert_eq!(
        texts(read_template(&template, None)),
        [format!(
            "{FIELD}[vault.hashicorp.com/role]: contradicts {FIELD}[openbao.org/role]"
        )]
    );
}

#[test]
fn names_every_problem_at_once_with_its_path() {
    let refused = problems(&[
        ("agent-inject", "true"),
        ("rol", "reader"),
        ("agent-inject-secret-db", "database/creds/readonly"),
        ("agent-inject-perms-bd", "0400"),
        ("agent-inject-perms-db", "rw"),
        ("agent-pre-populate-only", "yes"),
        ("auth-min-backoff", "5"),
        ("agent-cache-enable", "true"),
        ("agent-limits-mem", "lots"),
    ]);

    assert_eq!(
        refused,
        [
            "agent-cache-enable: is not supported yet",
            "agent-inject-perms-bd: no secret is named `bd`; did you mean `db`?",
            "agent-inject-perms-db: `rw` is not a file mode: write it in octal, for example 0400",
            "agent-limits-mem: `lots` is not a quantity: write for example 100m or 64Mi",
            "agent-pre-populate-only: `yes` is not a boolean: write true or false",
            "auth-min-backoff: `5` is not a duration: write for example 90s or 1h30m",
            "rol: is unknown; did you mean role?",
            "role: is missing: the Vault role to log in as",
        ]
    );
}

#[test]
fn refuses_each_bad_value() {
    for (key, value, expected) in [
        ("agent-inject", "yes", "`yes` is not a boolean"),
        ("auth-type", "approle", "`approle` is not supported yet"),
        ("auth-path", "", "is empty"),
        ("service", "vault:8200", "`vault:8200` is not an address"),
        (
            "service",
            "https://:8200",
            "`https://:8200` is not an address",
        ),
        ("agent-run-as-user", "root", "`root` is not a whole number"),
        (
            "agent-run-as-same-user",
            "true",
            "no securityContext.runAsUser",
        ),
        (
            "agent-inject-containers",
            "app",
            "`app` is not a container of this pod, which has: main",
        ),
        (
            "agent-inject-default-template",
            "yaml",
            "`yaml` is not a default template",
        ),
        ("secret-volume-path", "secrets", "is not an absolute path"),
        (
            "secret-volume-path-db",
            "/a/../b",
            "is not an absolute path",
        ),
        (
            "agent-inject-file-db",
            "../../etc/passwd",
            "leaves the secrets volume",
        ),
        ("agent-inject-file-db", "./", "names no file"),
        ("error-on-missing-key-db", "on", "`on` is not a boolean"),
        (
            "agent-service-account-token-volume-name",
            "token",
            "`token` is not a volume of this pod",
        ),
        ("template-lease-renewal-threshold", "", "`` is not a number"),
        (
            "template-lease-renewal-threshold",
            "1e999",
            "is not a number",
        ),
    ] {
        let refused = problems(&[
            (key, value),
            ("agent-inject", "true"),
            ("role", "reader"),
            ("agent-inject-secret-db", "kv/db"),
        ]);

        assert!(
            matches!(&refused[..], [only] if only.starts_with(key) && only.contains(expected)),
            "{key}={value}: {refused:?}"
        );
    }
}

#[test]
fn places_each_file_below_its_mount() {
    let injection = wanted(&[
        ("agent-inject-secret-Mixed", "kv/a"),
        ("agent-inject-secret-Kept", "kv/b"),
        ("preserve-secret-case-Kept", "true"),
        ("agent-inject-secret-named", "kv/c"),
        ("agent-inject-file-named", "sub/../deep/app.env"),
        ("agent-inject-secret-own", "kv/d"),
        ("secret-volume-path-own", "/etc/app/"),
        ("secret-volume-path", "/secrets"),
    ]);

    let destinations: Vec<&str> = injection
        .secrets
        .iter()
        .map(|secret| secret.destination.as_str())
        .collect();
    assert_eq!(
        destinations,
        [
            "/secrets/Kept",
            "/secrets/mixed",
            "/secrets/deep/app.env",
            "/etc/app/own"
        ]
    );
    assert_eq!(injection.mounts, ["/secrets", "/etc/app"]);
}

#[test]
fn refuses_two_secrets_in_one_file() {
    let refused = problems(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-inject-secret-DB", "kv/a"),
        ("agent-inject-secret-db", "kv/b"),
    ]);

    assert_eq!(
        refused,
        ["agent-inject-secret-db: another secret is written to /vault/secrets/db"]
    );
}

#[test]
fn writes_the_injectors_default_templates() {
    let map = wanted(&[("agent-inject-secret-db", "kv/db")]);
    let said = ("agent-inject-default-template", "Map");
    assert_eq!(map, wanted(&[("agent-inject-secret-db", "kv/db"), said]));
    let json = wanted(&[
        ("agent-inject-secret-db", "kv/db"),
        ("agent-inject-default-template", "JSON"),
    ]);

    assert_eq!(
        map.secrets[0].template,
        "{{ with secret \"kv/db\" }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}"
    );
    assert_eq!(
        json.secrets[0].template,
        "{{ with secret \"kv/db\" }}{{ .Data | toJSON }}\n{{ end }}"
    );
}

#[test]
fn a_template_is_read_with_the_delimiters_and_the_strictness_of_its_secret() {
    let injection = wanted(&[
        (
            "agent-inject-template-db",
            "<< with `{{` >>{{ << . >><< end >>",
        ),
        ("agent-template-left-delim-db", "<<"),
        ("agent-template-right-delim-db", ">>"),
        ("error-on-missing-key-db", "true"),
    ]);

    let options = injection.secrets[0].options();

    assert_eq!(
        (
            options.left_delimiter.as_str(),
            options.right_delimiter.as_str()
        ),
        ("<<", ">>")
    );
    assert!(options.error_on_missing_key);
}

#[test]
fn refuses_a_template_that_does_not_parse_with_its_place() {
    let refused = problems(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-inject-secret-a", "kv/\"a"),
        ("agent-inject-template-b", "fine\n{{ nosuch }}"),
        ("agent-inject-template-c", "{{ with secret \"x\" }}"),
        ("agent-inject-template-d", "{{ fine }} [[ end ]]"),
        ("agent-template-left-delim-d", "[["),
        ("agent-template-right-delim-d", "]]"),
    ]);

    let starts: Vec<&str> = refused
        .iter()
        .map(|text| text.split_inclusive("line ").next().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            "agent-inject-secret-a: line ",
            "agent-inject-template-b: line ",
            "agent-inject-template-c: line ",
            "agent-inject-template-d: line ",
        ],
    );
    assert_eq!(
        refused[1],
        "agent-inject-template-b: line 2, column 4: function \"nosuch\" not defined"
    );
}

#[test]
fn a_template_is_handlebars_where_it_or_the_default_says_so() {
    let injection = wanted(&[
        ("agent-inject-default-template-engine", "handlebars"),
        ("agent-inject-template-a", "{{kv \"kv/a\" \"x\"}}"),
        ("error-on-missing-key-a", "false"),
        ("agent-inject-template-b", "{{ print 1 }}"),
        ("agent-inject-template-engine-b", "go"),
        ("agent-inject-template-output-b", "base64-decoded"),
        ("agent-inject-secret-c", "kv/c"),
        ("agent-inject-template-d", "{{concat 1}}"),
    ]);

    let read: Vec<_> = injection
        .secrets
        .iter()
        .map(|secret| (secret.engine, secret.output, secret.error_on_missing_key))
        .collect();
    assert_eq!(
        read,
        [
            (Engine::Handlebars, Output::Text, false),
            (Engine::Go, Output::Base64Decoded, false),
            (Engine::Go, Output::Text, false),
            (Engine::Handlebars, Output::Text, true),
        ]
    );
}

#[test]
fn refuses_what_is_no_handlebars_template_with_its_place() {
    let refused = problems(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-inject-default-template-engine", "handelbars"),
        ("agent-inject-template-a", "fine\n{{#if x}}"),
        ("agent-inject-template-engine-a", "handlebars"),
        ("agent-inject-template-b", "x"),
        ("agent-inject-template-engine-b", "handlebars"),
        ("agent-template-left-delim-b", "[["),
        ("agent-inject-template-c", "{{#if x}}{{/if}}"),
        ("agent-inject-template-engine-c", "jinja"),
        ("agent-inject-secret-d", "kv/d"),
        ("agent-inject-template-engine-d", "handlebars"),
        ("agent-inject-template-output-d", "hex"),
        ("agent-inject-template-engine-e", "handlebars"),
    ]);

    assert_eq!(
        refused,
        [
            "agent-inject-default-template-engine: `handelbars` is not a template engine: write go or handlebars",
            "agent-inject-template-a: line 2, column 1: {{#if}} is not closed",
            "agent-inject-template-c: line 1, column 3: unexpected \"#\" in command; did you mean engine \"handlebars\"?",
            "agent-inject-template-engine-c: `jinja` is not a template engine: write go or handlebars",
            "agent-inject-template-engine-d: the default template is not written in it: write agent-inject-template-d",
            "agent-inject-template-engine-e: no secret is named `e`; did you mean `a`?",
            "agent-inject-template-output-d: `hex` is not an output: write text or base64-decoded",
            "agent-template-left-delim-b: must be {{ in handlebars",
        ]
    );
}

#[test]
fn reads_the_shorthand_as_one_secret_of_key_value_lines() {
    let injection = read_template(&template(&[]), Some(&shorthand()))
        .unwrap()
        .unwrap();

    assert_eq!(injection.auth.config["role"], "demo-role");
    assert_eq!(injection.auth.path, "auth/cluster");
    assert_eq!(injection.secrets[0].destination, "/vault/secrets/creds");
    assert_eq!(
        injection.secrets[0].template,
        "{{- with secret \"database/creds/demo\" -}}\nusername={{ .Data.username }}\n\
         password={{ .Data.password }}\n{{ end -}}\n"
    );
}

#[test]
fn reads_no_shorthand_that_is_off() {
    let off = VaultBlock {
        enabled: false,
        ..shorthand()
    };

    assert_eq!(read_template(&template(&[]), Some(&off)), Ok(None));
}

#[test]
fn reads_no_shorthand_that_has_secrets_alone() {
    let secret = json!({ "name": "db", "path": "database/creds/demo", "secretName": "creds" });
    let secrets = vec![serde_json::from_value(secret).unwrap()];
    let both = VaultBlock {
        secrets,
        ..shorthand()
    };
    let alone = VaultBlock {
        path: None,
        ..both.clone()
    };

    assert_eq!(read_template(&template(&[]), Some(&alone)), Ok(None));
    let injection = read_template(&template(&[]), Some(&both)).unwrap();
    assert_eq!(injection.unwrap().secrets.len(), 1);
}

#[test]
fn adds_the_shorthand_to_the_annotations() {
    let annotations = [
        ("agent-inject", "true"),
        ("agent-inject-secret-db", "kv/db"),
    ];

    let injection = read_template(&template(&annotations), Some(&shorthand()))
        .unwrap()
        .unwrap();

    let names: Vec<&str> = injection
        .secrets
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["creds", "db"]);
}

#[test]
fn blames_the_shorthand_for_what_it_says() {
    let shorthand = VaultBlock {
        ttl: Some("1 hour".into()),
        ..shorthand()
    };
    let annotations = [("agent-inject", "true"), ("role", "other")];

    let problems = texts(read_template(&template(&annotations), Some(&shorthand)));

    assert_eq!(
        problems,
        [
            format!("spec.vault.role: contradicts {FIELD}[vault.hashicorp.com/role]"),
            "spec.vault.ttl: `1 hour` is not a duration: write for example 90s or 1h30m".into(),
        ]
    );
}

#[test]
fn asks_for_an_address_when_the_operator_has_none() {
    let template = template(&[("agent-inject", "true"), ("role", "reader")]);

    let problems = texts(read(&template, None, &Defaults::default()));

    assert!(
        matches!(&problems[..], [only] if only.contains("[vault.hashicorp.com/service]: is missing")),
        "{problems:?}"
    );
}

#[test]
fn takes_the_operators_settings_unless_told_otherwise() {
    let injection = wanted(&[
        ("agent-limits-mem", ""),
        ("agent-limits-cpu", "1"),
        ("agent-run-as-user", "999"),
    ]);

    assert_eq!(injection.server.address, "https://vault.vault.svc:8200");
    assert_eq!(injection.auth.path, "auth/kubernetes");
    assert_eq!(
        (injection.identity.user, injection.identity.group),
        (999, 1000)
    );
    assert_eq!(
        injection.resources.limits,
        BTreeMap::from([("cpu", "1".into()), ("ephemeral-storage", "128Mi".into())])
    );
    assert_eq!(injection.resources.requests["memory"], "16Mi");
}

#[test]
fn runs_as_the_first_container_does() {
    let mut template = template(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-run-as-same-user", "true"),
    ]);
    template["spec"]["securityContext"] = json!({ "runAsUser": 999 });

    let injection = read_template(&template, None).unwrap().unwrap();

    assert_eq!(injection.identity.user, 999);
}

#[test]
fn finds_the_token_in_a_volume_of_the_pod() {
    let mut template = template(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("agent-service-account-token-volume-name", "mine"),
    ]);
    template["spec"]["volumes"] = json!([{ "name": "mine", "projected": { "sources": [
        { "configMap": { "name": "x" } },
        { "serviceAccountToken": { "path": "vault", "audience": "other" } },
    ] } }]);

    let injection = read_template(&template, None).unwrap().unwrap();

    let volume = injection.token_volume.unwrap();
    assert_eq!(
        (volume.name.as_str(), volume.path.as_str()),
        ("mine", "vault")
    );
}

#[test]
fn a_token_of_the_pods_own_volume_has_the_audience_that_the_volume_says() {
    let volume = "agent-service-account-token-volume-name";

    let unnamed = wanted(&[("auth-audience", "vault"), (volume, "")]);
    let both = problems(&[
        ("agent-inject", "true"),
        ("role", "reader"),
        ("auth-audience", "vault"),
        (volume, "mine"),
    ]);

    assert_eq!(unnamed.audience.as_deref(), Some("vault"));
    let refusal = both.iter().find(|it| it.starts_with("auth-audience"));
    let says = "says it; write it there";
    assert!(refusal.is_some_and(|it| it.ends_with(says)), "{both:?}");
}

#[test]
fn tells_quantities_from_other_texts() {
    let are: Vec<_> = ["64Mi", "0.5", "1e3", "64 Mi", "much", ""]
        .into_iter()
        .filter(|text| amount(text).is_some())
        .collect();

    assert_eq!(are, ["64Mi", "0.5", "1e3"]);
}

const FIELD: &str = "spec.jobTemplate.spec.template.metadata.annotations";

fn read_template(
    template: &Value,
    shorthand: Option<&VaultBlock>,
) -> Result<Option<Injection>, Vec<Problem>> {
    let defaults = Defaults {
        vault_address: Some("https://vault.vault.svc:8200".into()),
        ..Defaults::default()
    };
    read(template, shorthand, &defaults)
}

fn shorthand() -> VaultBlock {
    VaultBlock {
        enabled: true,
        role: Some("demo-role".into()),
        path: Some("database/creds/demo".into()),
        ttl: Some("1h".into()),
        auth_path: Some("cluster".into()),
        namespace: None,
        address: None,
        secrets: Vec::new(),
    }
}

fn wanted(annotations: &[(&str, &str)]) -> Injection {
    let mut all = vec![("agent-inject", "true"), ("role", "reader")];
    all.extend(annotations);
    read_annotations(&all).unwrap().unwrap()
}

/// The problems with these annotations, without the prefix that all paths share.
fn problems(annotations: &[(&str, &str)]) -> Vec<String> {
    texts(read_annotations(annotations))
        .iter()
        .map(|text| {
            text.strip_prefix(FIELD)
                .unwrap()
                .replace("[vault.hashicorp.com/", "")
                .replacen(']', "", 1)
        })
        .collect()
}

fn texts(result: Result<Option<Injection>, Vec<Problem>>) -> Vec<String> {
    let problems = result.err().unwrap_or_default();
    problems.iter().map(Problem::to_string).collect()
}

fn read_annotations(annotations: &[(&str, &str)]) -> Result<Option<Injection>, Vec<Problem>> {
    read_template(&template(annotations), None)
}

fn template(annotations: &[(&str, &str)]) -> Value {
    let annotations: BTreeMap<String, &str> = annotations
        .iter()
        .rev()
        .map(|(name, value)| (format!("vault.hashicorp.com/{name}"), *value))
        .collect();
    json!({
        "metadata": { "annotations": annotations },
        "spec": { "containers": [{ "name": "main" }] },
    })
}
