use std::collections::BTreeMap;
use std::time::Duration;

use crate::document::{self, Document};
use crate::{
    Config, Engine, FileMode, Hook, Method, Output, Overrides, Receiver, Signal, TemplateText, Tree,
};

const SMALL: &str = r#"
auto_auth {
  method "kubernetes" {
    mount_path = "auth/k8s/"
    config = { role = "reader" }
  }
}
vault { address = "http://127.0.0.1:8200/" }
template {
  contents    = "{{ with secret \"kv/data/app\" }}{{ .Data.data.user }}{{ end }}"
  destination = "/vault/secrets/app"
  perms       = 0400
}
"#;

#[test]
fn templates_can_be_read_from_a_file_that_is_wrong_elsewhere() {
    let file = r#"
        listener "tcp" {}
        template { contents = "a" left_delimiter = "<<" }
        env_template "KEY" { contents = "b" }
    "#;

    let templates = Tree::parse(file).unwrap().templates();

    let texts: Vec<_> = templates
        .iter()
        .map(|(field, template)| (field.as_str(), &template.text))
        .collect();
    let inline = |text: &str| TemplateText::Inline(text.to_owned());
    assert_eq!(
        texts,
        [
            ("template[0]", &inline("a")),
            ("env_template[0]", &inline("b"))
        ]
    );
    assert_eq!(templates[0].1.left_delimiter, "<<");
}

#[test]
fn reads_a_vault_agent_file() {
    let config = accept(SMALL);

    let Some(Method::Kubernetes(method)) = &config.auth.method else {
        panic!("{:?}", config.auth.method);
    };
    assert_eq!(method.role, "reader");
    assert_eq!(config.auth.mount_path, crate::MountPath::new("auth/k8s"));
    assert_eq!(config.vault.connection.address, "http://127.0.0.1:8200");
    assert_eq!(config.templates[0].mode, FileMode::from_bits(0o400));
    assert_eq!(config.vault.retries, 12);
}

#[test]
fn two_writers_of_one_file_are_refused() {
    let twice =
        format!("{SMALL} template {{ contents = \"x\" destination = \"/vault/secrets/app\" }}");

    let problems = refuse(&twice);

    assert_eq!(
        problems,
        ["template[1].destination: is also template[0].destination: give each its own file"]
    );
}

#[test]
fn words_about_nodes_that_disagree_are_known_or_refused() {
    let with = |words: &str| {
        let text = format!(
            "{SMALL} api_proxy {{ {words} }} listener \"unix\" {{ address = \"/s\" tls_disable = true }}"
        );
        Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default())
    };

    for (enforced, otherwise) in [("always", "retry"), ("never", "forward"), ("never", "fail")] {
        let words =
            format!("enforce_consistency = \"{enforced}\" when_inconsistent = \"{otherwise}\"");
        assert!(with(&words).is_ok(), "{words}");
    }
    assert!(with(r#"enforce_consistency = "sometimes""#).is_err());
    assert!(with(r#"when_inconsistent = "give up""#).is_err());
}

#[test]
fn no_file_takes_the_place_of_a_device() {
    for (path, is_refused) in [
        ("/dev/null", true),
        ("/dev//stdout", true),
        ("/dev/shm/app", false),
        ("/srv/dev/null", false),
    ] {
        let text = format!("{SMALL} template {{ contents = \"x\" destination = \"{path}\" }}");
        let tree = Tree::parse(&text).unwrap();

        let config = Config::new(&[tree], &Overrides::default());

        assert_eq!(config.is_err(), is_refused, "{path}");
    }
}

#[test]
fn the_same_in_json_means_the_same() {
    let json = r#"{
      "auto_auth": {"method": {"kubernetes": {"mount_path": "auth/k8s/", "config": {"role": "reader"}}}},
      "vault": {"address": "http://127.0.0.1:8200/"},
      "template": [{
        "contents": "{{ with secret \"kv/data/app\" }}{{ .Data.data.user }}{{ end }}",
        "destination": "/vault/secrets/app", "perms": "0400"}]
    }"#;

    assert_eq!(accept(json), accept(SMALL));
}

#[test]
fn what_the_operator_writes_is_what_the_agent_reads() {
    let document = Document {
        auto_auth: document::AutoAuth {
            method: document::Method {
                kind: "kubernetes".to_owned(),
                mount_path: Some("auth/kubernetes".to_owned()),
                namespace: Some("team".to_owned()),
                config: BTreeMap::from([
                    ("role".to_owned(), "reader".to_owned()),
                    ("token_path".to_owned(), "/token".to_owned()),
                ]),
                ..document::Method::default()
            },
            sink: vec![document::Sink {
                kind: "file".to_owned(),
                config: document::SinkConfig {
                    path: "/home/vault/.vault-token".to_owned(),
                    mode: 0o600,
                },
            }],
        },
        vault: document::Vault {
            address: "https://vault:8200".to_owned(),
            ca_cert: Some("/vault/tls/ca.crt".to_owned()),
            ..document::Vault::default()
        },
        template: vec![document::Template {
            destination: "/vault/secrets/db".to_owned(),
            contents: Some("text".to_owned()),
            left_delimiter: "<<".to_owned(),
            right_delimiter: ">>".to_owned(),
            perms: Some("0400".to_owned()),
            error_on_missing_key: Some(true),
            ..document::Template::default()
        }],
        template_config: document::TemplateConfig {
            exit_on_retry_failure: true,
            ..document::TemplateConfig::default()
        },
        planescape: Some(document::Planescape {
            revoke_on_exit: true,
            ledger: Some("/home/vault/ledger".to_owned()),
            shared_folders: vec!["/vault/secrets".to_owned()],
            termination_log: Some("/dev/termination-log".to_owned()),
            ready_socket: Some("/home/vault/ready.sock".to_owned()),
            give_up_after: Some("30s".to_owned()),
            exit_on_refusal: true,
            lease_guard: Some("1800s".to_owned()),
        }),
        ..Document::default()
    };

    let config = accept(&serde_json::to_string(&document).unwrap());

    assert_eq!(config.auth.namespace.as_deref(), Some("team/"));
    assert_eq!(config.vault.connection.namespace.as_deref(), Some("team/"));
    assert_eq!(config.auth.sinks[0].path, "/home/vault/.vault-token");
    assert_eq!(config.auth.sinks[0].mode.bits(), 0o600);
    assert_eq!(
        config.vault.connection.tls.ca_cert.as_deref(),
        Some("/vault/tls/ca.crt")
    );
    assert_eq!(
        config.templates[0].text,
        TemplateText::Inline("text".to_owned())
    );
    assert_eq!(config.templates[0].left_delimiter, "<<");
    assert!(config.template_config.exit_on_retry_failure);
    assert!(config.planescape.revoke_on_exit);
    assert!(config.planescape.exit_on_refusal);
    assert_eq!(
        config.planescape.ledger.as_deref(),
        Some("/home/vault/ledger")
    );
    assert_eq!(config.planescape.shared_folders, ["/vault/secrets"]);
    assert_eq!(
        config.planescape.give_up_after,
        Some(Duration::from_secs(30))
    );
    let guard = Some(Duration::from_secs(1800));
    assert_eq!(config.planescape.lease_guard, guard);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_handlebars_template_comes_through_in_every_form() {
    let block = "template { contents = \"x\" destination = \"/x\" engine = \"handlebars\" output = \"base64-decoded\" }";
    let written = document::Template {
        destination: "/x".to_owned(),
        contents: Some("x".to_owned()),
        engine: Some(Engine::Handlebars.name().to_owned()),
        output: Some(Output::Base64Decoded.name().to_owned()),
        error_on_missing_key: Some(false),
        ..document::Template::default()
    };
    let json = format!(
        "{{\"template\": [{}]}}",
        serde_json::to_string(&written).unwrap()
    );

    let read = |text: &str| {
        let trees = [Tree::parse(SMALL).unwrap(), Tree::parse(text).unwrap()];
        let config = Config::new(&trees, &Overrides::default()).unwrap();
        let template = config.templates[1].clone();
        (
            template.engine,
            template.output,
            template.error_on_missing_key,
        )
    };

    assert_eq!(
        read(block),
        (Engine::Handlebars, Output::Base64Decoded, true)
    );
    assert_eq!(
        read(&json),
        (Engine::Handlebars, Output::Base64Decoded, false)
    );
    assert_eq!(accept(SMALL).templates[0].engine, Engine::Go);
}

#[test]
fn all_problems_are_reported_at_once_with_their_fields() {
    let problems = refuse(
        r#"
        auto_auth {
          method "kubernetes" { min_backoff = "soon" }
          sink "pigeon" { config { mode = "rw" } }
        }
        vault { address = "vault:8200" client_cert = "/c.pem" }
        template { contents = "x" source = "/y" perms = "0999" colour = "red" }
        template { contents = "x" destination = "/z" command = "reload" }
        template { contents = "x" destination = "/a" engine = "handlebars" left_delimiter = "<<" }
        template { contents = "x" destination = "/b" engine = "jinja" output = "hex" }
        template { contents = "x" destination = "/c" signal = "HUP" process = "nginx" }
        template { contents = "x" destination = "/d" signal = "SIGHUP" }
        template { contents = "x" destination = "/e" process = "nginx" }
        template { contents = "x" destination = "/f" command = "reload" signal = "SIGHUP" process = "nginx" }
        template_config { lease_renewal_threshold = 1.5 }
        listener "tcp" { address = "127.0.0.1:8100" }
        exit_after_auth = "maybe"
        "#,
    );

    assert_eq!(
        problems,
        [
            "auto_auth.method.config.role: missing 'role' value",
            "auto_auth.method.min_backoff: `soon` is not a duration: write for example 30s, 5m or 1h30m",
            "auto_auth.sink[0].config.mode: is not a file mode: write for example \"0400\"",
            "auto_auth.sink[0].config.path: 'path' not specified for file sink",
            "auto_auth.sink[0].type: unknown sink type \"pigeon\": only file works",
            "exit_after_auth: `maybe` is not a boolean: write true or false",
            "listener[0].tls_cert_file: is missing: name tls_cert_file and tls_key_file, or set tls_disable = true",
            "template[0].colour: line 7: has invalid keys: colour",
            "template[0].contents: must specify exactly one of source or contents",
            "template[0].destination: is missing: name the file to write",
            "template[0].perms: is not a file mode: write for example \"0400\"",
            "template[2].left_delimiter: must be {{ in handlebars: remove it",
            "template[3].engine: unknown engine \"jinja\": choose one of go, handlebars",
            "template[3].output: unknown output \"hex\": choose one of text, base64-decoded",
            "template[4].signal: invalid signal \"HUP\": write for example SIGTERM",
            "template[5].process: is missing: name the program that gets the signal, for example process = \"nginx\"",
            "template[6].signal: is missing: say what the process gets, for example signal = \"SIGHUP\"",
            "template[7].signal: cannot stand beside a command: remove one of them",
            "template_config.lease_renewal_threshold: is not between 0 and 1",
            "vault.address: `vault:8200` is not an address: write for example https://vault.example:8200",
            "vault.client_key: is missing: client_cert needs it",
        ]
    );
}

#[test]
fn a_file_may_be_followed_by_a_signal() {
    let hcl =
        r#"template { contents = "x" destination = "/x" signal = "SIGHUP" process = "nginx" }"#;
    let json = r#"{"template": {"contents": "x", "destination": "/x", "signal": "SIGHUP", "process": "nginx"}}"#;

    for text in [hcl, json] {
        let trees = [Tree::parse(SMALL).unwrap(), Tree::parse(text).unwrap()];
        let config = Config::new(&trees, &Overrides::default()).unwrap();

        let hook = Hook::Signal {
            signal: Signal::named("SIGHUP").unwrap(),
            process: "nginx".to_owned(),
        };
        assert_eq!(config.templates[1].hook, Some(hook));
    }
    assert_eq!(Signal::named("SIGHUP").map(Signal::name), Some("SIGHUP"));
}

#[test]
fn a_credential_may_live_on_beside_the_next_one() {
    let overlap = |value: &str| {
        let block =
            format!(r#"template {{ contents = "x" destination = "/x" overlap = "{value}" }}"#);
        accept(&format!("{SMALL}\n{block}")).templates[1].overlap
    };

    assert_eq!(overlap("10m"), Some(Duration::from_secs(600)));
    assert_eq!(overlap("0s"), None);
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_eq!(
        refuse(""),
        ["auto_auth: no auto_auth, cache, or listener block found in config"]
    );
}

#[test]
fn an_unknown_key_outside_templates_is_a_warning() {
    let config = accept(&format!("{SMALL}\nexit_after_aut = true"));

    assert_eq!(config.warnings[0].field, "exit_after_aut");
}

#[test]
fn telemetry_without_effect_is_warned_of_unless_it_has_none_in_vault_agent() {
    let text = format!(
        "{SMALL}\ntelemetry {{ stackdriver_project_id = \"p\" disable_hostname = true prefix_filter = [\"-a\"] pigeon = 1 }}"
    );

    let config = accept(&text);

    let fields: Vec<_> = config.warnings.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "telemetry.stackdriver_project_id",
            "telemetry.prefix_filter",
            "telemetry.pigeon"
        ]
    );
}

#[test]
fn telemetry_says_how_metrics_are_called_and_whether_prometheus_gets_them() {
    let read = |text: &str| accept(&format!("{SMALL}\ntelemetry {{ {text} }}")).telemetry;

    assert_eq!(accept(SMALL).telemetry, read(""));
    assert_eq!(read("metrics_prefix = \"team\"").prefix, "team");
    for (time, has_prometheus) in [("\"0\"", false), ("0", false), ("\"24h\"", true)] {
        let telemetry = read(&format!("prometheus_retention_time = {time}"));
        assert_eq!(telemetry.has_prometheus, has_prometheus, "{time}");
    }
}

#[test]
fn telemetry_says_who_gets_metrics_and_whether_gauges_carry_the_machines_name() {
    let read = |text: &str| accept(&format!("{SMALL}\ntelemetry {{ {text} }}")).telemetry;
    let [a, b, c] = ["a:1", "b:2", "unix:///c"].map(str::to_owned);

    let all = read(
        "statsite_address = \"a:1\" statsd_address = \"b:2\" dogstatsd_addr = \"unix:///c\" dogstatsd_tags = [\"t:u\"]",
    );

    let tags = vec!["t:u".to_owned()];
    let dogstatsd = Receiver::Dogstatsd { address: c, tags };
    assert_eq!(
        all.receivers,
        [Receiver::Statsite(a), Receiver::Statsd(b), dogstatsd]
    );
    let addresses: Vec<&str> = all.receivers.iter().map(Receiver::address).collect();
    assert_eq!(addresses, ["a:1", "b:2", "unix:///c"]);
    for (text, names_host) in [
        ("statsd_address = \"b:2\"", true),
        ("statsd_address = \"b:2\" disable_hostname = true", false),
        (
            "statsd_address = \"b:2\" prometheus_retention_time = 0",
            false,
        ),
        ("", false),
    ] {
        assert_eq!(read(text).names_host, names_host, "{text}");
    }
}

#[test]
fn certificates_are_looked_at_as_often_as_said_and_not_more_than_each_five_seconds() {
    let text = |more: &str| {
        format!(
            "{SMALL}\nlistener \"tcp\" {{ tls_cert_file = \"/c\" tls_key_file = \"/k\" {more} }}"
        )
    };
    for (more, seconds) in [
        ("", None),
        ("tls_auto_reload_interval = \"9s\"", None),
        ("tls_auto_reload = true", Some(60)),
        (
            "tls_auto_reload = true tls_auto_reload_interval = \"9s\"",
            Some(9),
        ),
    ] {
        let config = accept(&text(more));

        let tls = config.proxy.listeners[0].tls.as_ref().unwrap();
        assert_eq!(
            tls.reload_interval,
            seconds.map(Duration::from_secs),
            "{more}"
        );
    }
    assert_eq!(
        refuse(&text("tls_auto_reload_interval = \"4s\"")),
        ["listener[0].tls_auto_reload_interval: must be at least 5s"]
    );
}

#[test]
fn a_look_up_of_service_records_is_warned_of_where_the_address_has_no_port() {
    let with = |text: &str, address: &str| {
        let overrides = Overrides {
            address: Some(address.to_owned()),
            srv_lookup: Some(text.to_owned()),
            ..Overrides::default()
        };
        Config::new(&[Tree::parse(SMALL).unwrap()], &overrides)
    };
    let warned = |text, address| !with(text, address).unwrap().warnings.is_empty();

    assert!(warned("true", "https://vault.example"));
    assert!(!warned("true", "https://vault.example:8200"));
    assert!(!warned("false", "https://vault.example"));
    assert!(with("perhaps", "https://vault.example").is_err());
}

#[test]
fn half_a_client_certificate_of_the_environment_is_refused() {
    let overrides = Overrides {
        client_cert_bytes: Some("pem".to_owned()),
        ..Overrides::default()
    };

    let problems = Config::new(&[Tree::parse(SMALL).unwrap()], &overrides).unwrap_err();

    assert_eq!(
        problems.as_slice()[0].to_string(),
        "vault.VAULT_CLIENT_KEY_BYTES: is missing: VAULT_CLIENT_CERT_BYTES needs it"
    );
}

#[test]
fn a_later_file_replaces_blocks_and_adds_templates() {
    let later = r#"
        vault { address = "https://other:8200" }
        template { contents = "y" destination = "/y" }
    "#;
    let trees = [Tree::parse(SMALL).unwrap(), Tree::parse(later).unwrap()];

    let config = Config::new(&trees, &Overrides::default()).unwrap();

    assert_eq!(config.vault.connection.address, "https://other:8200");
    assert_eq!(config.templates.len(), 2);
}

#[test]
fn the_environment_wins_over_the_file() {
    let overrides = Overrides {
        address: Some("https://elsewhere:8200".to_owned()),
        tls_skip_verify: Some("false".to_owned()),
        client_timeout: Some("5s".to_owned()),
        ..Overrides::default()
    };

    let config = Config::new(&[Tree::parse(SMALL).unwrap()], &overrides).unwrap();

    assert_eq!(config.vault.connection.address, "https://elsewhere:8200");
    assert!(!config.vault.connection.tls.skip_verify);
    assert_eq!(config.vault.connection.timeout, Duration::from_secs(5));
}

#[test]
fn a_rate_of_requests_has_a_burst_or_that_of_a_second() {
    let pace = |text: &str| {
        let overrides = Overrides {
            rate_limit: Some(text.to_owned()),
            ..Overrides::default()
        };
        let config = Config::new(&[Tree::parse(SMALL).unwrap()], &overrides);
        let pace = config.map(|config| config.vault.connection.pace);
        pace.map(|pace| pace.map(|pace| (pace.interval.as_millis(), pace.burst)))
    };

    assert_eq!(pace("50"), Ok(Some((20, 50))));
    assert_eq!(pace("0.5"), Ok(Some((2000, 1))));
    assert_eq!(pace("2:7"), Ok(Some((500, 7))));
    for wrong in ["fast", "0", "-1", "NaN", "2:", "2:x", "2:3:4"] {
        let problems = pace(wrong).unwrap_err();
        assert_eq!(
            problems.as_slice()[0].field,
            "vault.VAULT_RATE_LIMIT",
            "{wrong}"
        );
    }
}

pub(super) fn accept(text: &str) -> Config {
    Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap()
}

pub(super) fn refuse(text: &str) -> Vec<String> {
    let problems = Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap_err();
    problems
        .as_slice()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_token_is_used_again_only_where_a_sink_keeps_one_that_lives() {
    let text = r#"
        auto_auth { method "kubernetes" { config { role = "r" } } sink "file" { wrap_ttl = "5m" config { path = "/t" } } }
        planescape { reuse_sink_token = true revoke_on_exit = true }"#;

    let problems = Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap_err();

    let told = problems.to_string();
    assert!(told.contains("remove revoke_on_exit and ledger"), "{told}");
    assert!(told.contains("no sink holds a token"), "{told}");
}
