//! Configurations that are just accepted, and those that are just refused.

use std::time::Duration;

use super::tests::{accept, refuse};
use crate::{
    Config, Hook, Keep, LogFile, Overrides, Problems, Program, TemplateConfig, Tree, Vault, Wait,
};

const LOGIN: &str = r#"auto_auth { method "kubernetes" { config { role = "r" } } sink "file" { config { path = "/t" } } }"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The template of a block with these lines.
fn template(lines: &str) -> crate::Template {
    let block = format!(r#"template {{ contents = "x" destination = "/x" {lines} }}"#);
    accept(&format!("{LOGIN} {block}")).templates.remove(0)
}

fn with(text: &str, change: impl FnOnce(&mut Overrides)) -> Result<Config, Problems> {
    let mut overrides = Overrides::default();
    change(&mut overrides);
    let text = format!("{LOGIN} {text}");
    Config::new(&[Tree::parse(&text).unwrap()], &overrides)
}

const FILE: &str = r#"template { contents = "x" destination = "/x" }"#;
const PROGRAM: &str = r#"env_template "A" { contents = "x" } exec { command = ["x"] }"#;

fn auto_auth(method: &str, sink: &str) -> String {
    format!("auto_auth {{ {method} {sink} }}")
}

fn kubernetes(lines: &str) -> String {
    format!(r#"method "kubernetes" {{ {lines} config {{ role = "r" }} }}"#)
}

fn sink(lines: &str) -> String {
    format!(r#"sink "file" {{ {lines} config {{ path = "/t" }} }}"#)
}

/// `wrong` has one problem, which says these words; `right` has none.
fn stand_apart(wrong: &str, words: &str, right: &str) {
    let problems = refuse(wrong);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(words), "{problems:?}");
    assert_eq!(accept(right).warnings, [], "{right}");
}

#[test]
fn a_login_that_contradicts_itself_is_refused_and_its_neighbour_is_not() {
    let backoff = |max: &str| {
        let method = kubernetes(&format!(r#"min_backoff = "5s" max_backoff = "{max}""#));
        auto_auth(&method, &sink(""))
    };
    let sealed = |lines: &str| auto_auth(&kubernetes(""), &sink(lines));
    for (wrong, words, right) in [
        (
            backoff("4s"),
            "min_backoff cannot be greater than max_backoff",
            backoff("5s"),
        ),
        (
            sealed(r#"dh_type = "curve25519""#),
            "dh_path: 'dh_type' and 'dh_path' must be specified together",
            sealed(r#"dh_type = "curve25519" dh_path = "/k""#),
        ),
        (
            sealed(r#"aad = "x""#),
            "specifying 'aad' without",
            sealed(r#"dh_type = "curve25519" dh_path = "/k" aad = "x""#),
        ),
        (
            sealed("derive_key = true"),
            "specifying 'derive_key' without",
            sealed("derive_key = false"),
        ),
    ] {
        stand_apart(&wrong, words, &right);
    }
}

#[test]
fn a_text_that_nobody_renders_is_warned_of() {
    let listener = r#"listener "tcp" { tls_disable = true }"#;
    for (texts, key) in [
        (FILE, Some("template")),
        (PROGRAM, Some("env_template")),
        ("", None),
    ] {
        let config = accept(&format!("{listener}\n{texts}"));
        let warned: Vec<&str> = config.warnings.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(warned, Vec::from_iter(key), "{texts}");
    }
    assert_eq!(accept(&format!("{LOGIN} {FILE}")).warnings, []);
}

#[test]
fn a_token_that_is_not_the_agents_own_is_neither_revoked_nor_rendered_with() {
    let foreign = r#"method "token_file" { config { token_file_path = "/t" } }"#;
    let wrapped = kubernetes(r#"wrap_ttl = "5m""#);
    let revokes = "planescape { revoke_on_exit = true }";
    let with = |method: &str, more: &str| format!("{} {more}", auto_auth(method, &sink("")));
    for (method, more, words) in [
        (foreign, revokes, "the token belongs to somebody else"),
        (
            wrapped.as_str(),
            revokes,
            "the token belongs to somebody else",
        ),
        (
            &wrapped,
            FILE,
            "templates cannot be rendered with a wrapped",
        ),
    ] {
        stand_apart(&with(method, more), words, &with(method, ""));
        assert_eq!(accept(&with(&kubernetes(""), more)).warnings, [], "{more}");
    }
}

#[test]
fn settings_of_our_own_and_of_programs_are_refused_where_they_cannot_hold() {
    let ours = |lines: &str| format!("{LOGIN} planescape {{ {lines} }}");
    let program = |more: &str| format!("{} {PROGRAM} {more}", auto_auth(&kubernetes(""), ""));
    let another = |name: &str| program(&format!("env_template \"{name}\" {{ contents = \"y\" }}"));
    for (wrong, words, right) in [
        (
            ours(r#"lease_guard = "59s""#),
            "lease_guard: is less than a minute",
            ours(r#"lease_guard = "60s""#),
        ),
        (
            ours(r#"reuse_sink_token = true ledger = "/l""#),
            "remove revoke_on_exit and ledger",
            ours("reuse_sink_token = true"),
        ),
        (
            program("exit_after_auth = true"),
            "an agent that starts a program does not end before it",
            program("exit_after_auth = false"),
        ),
        (another("A"), "`A` is also env_template[0]", another("B")),
        (
            another("B=C"),
            "an environment variable's name has no `=` in it",
            another("BC"),
        ),
        (
            format!("{LOGIN} log_file = \"/logs/*\""),
            "is a pattern",
            format!("{LOGIN} log_file = \"/logs/a\""),
        ),
    ] {
        stand_apart(&wrong, words, &right);
    }
}

#[test]
fn an_address_has_a_scheme_and_a_host() {
    for (address, is_accepted) in [
        ("http://v", true),
        ("HTTPS://v:8200/", true),
        ("unix:///run/vault", true),
        ("unix://vault", false),
        ("http://", false),
        ("https://:8200", false),
        ("https:///v", false),
        ("ftp://v", false),
    ] {
        let overrides = Overrides {
            address: Some(address.to_owned()),
            ..Overrides::default()
        };

        let vault = Vault::of(&overrides);

        assert_eq!(vault.is_ok(), is_accepted, "{address}");
    }
}

#[test]
fn variables_say_what_no_file_says() {
    let vault = |change: fn(&mut Overrides)| with("", change).map(|config| config.vault);

    let headers = vault(|it| it.headers = vec!["a=b=c".to_owned()]).unwrap();
    let expected = [("a".to_owned(), "b=c".to_owned())];
    assert_eq!(headers.connection.headers, expected);
    assert!(vault(|it| it.headers = vec!["X-VAULT-Token=a".to_owned()]).is_err());
    assert!(vault(|it| it.headers = vec!["a".to_owned()]).is_err());

    assert!(vault(|_| {}).unwrap().connection.follows_redirects);
    for (text, follows) in [("", true), ("false", true), ("1", false)] {
        let vault = with("", |it| it.disable_redirects = Some(text.to_owned()));
        let connection = vault.unwrap().vault.connection;
        assert_eq!(connection.follows_redirects, follows, "{text}");
    }
    assert!(vault(|it| it.disable_redirects = Some("no".to_owned())).is_err());

    let retries = vault(|it| it.max_retries = Some("2".to_owned())).unwrap();
    assert_eq!((retries.retries, retries.proxy_retries), (12, 2));
    assert!(vault(|it| it.max_retries = Some("few".to_owned())).is_err());
    assert!(vault(|it| it.client_timeout = Some("soon".to_owned())).is_err());
}

#[test]
fn certificates_are_verified_unless_somebody_says_otherwise_last() {
    for (written, variable, skips) in [
        ("true", None, true),
        ("true", Some(""), true),
        ("true", Some("false"), false),
        ("false", Some("1"), true),
        ("false", None, false),
    ] {
        let text = format!("vault {{ tls_skip_verify = {written} }}");

        let config = with(&text, |it| {
            it.tls_skip_verify = variable.map(str::to_owned);
        });

        let tls = config.unwrap().vault.connection.tls;
        assert_eq!(tls.skip_verify, skips, "{written} {variable:?}");
    }
    assert!(with("", |it| it.tls_skip_verify = Some("no".to_owned())).is_err());
}

#[test]
fn a_number_that_says_nothing_is_the_usual_one() {
    for (text, retries) in [("0", 12), ("\"\"", 12), ("-1", 0), ("\"3\"", 3), ("3", 3)] {
        let config = accept(&format!(
            "{LOGIN} vault {{ retry {{ num_retries = {text} }} }}"
        ));
        assert_eq!(config.vault.retries, retries, "{text}");
    }
    for (text, connections) in [("0", 10), ("-1", 10), ("3", 3)] {
        let config = accept(&format!(
            "{LOGIN} template_config {{ max_connections_per_host = {text} static_secret_render_interval = 0 }}"
        ));
        let settings = config.template_config;
        assert_eq!(settings.max_connections.get(), connections, "{text}");
        let interval = settings.static_secret_render_interval;
        assert_eq!(interval, TemplateConfig::DEFAULT_INTERVAL);
    }
}

#[test]
fn a_log_file_in_a_folder_has_a_name_and_flags_win() {
    let file = |text: &str, change: fn(&mut Overrides)| {
        let config = with(text, change).unwrap();
        config.log.file.unwrap()
    };
    let usual = LogFile {
        path: "/logs/vault.log".to_owned(),
        rotate_bytes: 0,
        rotate_duration: seconds(24 * 3600),
        keep: Keep::All,
    };
    let said = "log_file = \"/logs/\" log_rotate_bytes = 7 log_rotate_duration = \"5s\" log_rotate_max_files = 2";

    assert_eq!(file("log_file = \"/logs/\"", |_| {}), usual);
    let written = LogFile {
        rotate_bytes: 7,
        rotate_duration: seconds(5),
        keep: Keep::Newest(2),
        ..usual.clone()
    };
    assert_eq!(file(said, |_| {}), written);
    let flags = file(said, |it| {
        it.log.file = Some("/other".to_owned());
        it.log.rotate_bytes = Some(8);
        it.log.rotate_duration = Some(seconds(0));
        it.log.rotate_max_files = Some(-1);
    });
    let expected = LogFile {
        path: "/other".to_owned(),
        rotate_bytes: 8,
        keep: Keep::Newest(0),
        ..usual
    };
    assert_eq!(flags, expected);
}

#[test]
fn what_follows_a_file_is_the_command_of_its_exec_block_or_the_one_beside_it() {
    let run = |words: &[&str], timeout| {
        Some(Hook::Run {
            program: Program::Direct(words.iter().map(|it| (*it).to_owned()).collect()),
            timeout: seconds(timeout),
        })
    };
    for (lines, expected) in [
        ("", None),
        ("command = \"\"", None),
        ("command = \"a\"", run(&["a"], 30)),
        ("command = \"a\" command_timeout = \"5s\"", run(&["a"], 5)),
        ("command = \"a\" command_timeout = 0", run(&["a"], 30)),
        ("command = \"a\" exec { timeout = \"7s\" }", run(&["a"], 7)),
        (
            "command = \"a\" exec { command = [\"b\", \"c\"] }",
            run(&["b", "c"], 30),
        ),
        ("command = \"a\" exec { enabled = false }", None),
    ] {
        assert_eq!(template(lines).hook, expected, "{lines}");
    }
}

#[test]
fn a_wait_has_a_shortest_and_a_longest_time() {
    for (lines, expected) in [
        ("", None),
        ("wait = \"0s\"", None),
        ("wait = \"5s\"", Some((5, 20))),
        ("wait = \"5s:5s\"", Some((5, 5))),
        ("wait = \"5s:0s\"", Some((5, 20))),
        ("wait { min = \"5s\" max = \"9s\" }", Some((5, 9))),
        ("wait { max = \"9s\" }", Some((0, 9))),
        ("wait { min = \"5s\" max = \"4s\" }", Some((5, 4))),
        ("wait { enabled = false min = \"5s\" }", None),
    ] {
        let expected = expected.map(|(min, max)| Wait {
            min: seconds(min),
            max: seconds(max),
        });
        assert_eq!(template(lines).wait, expected, "{lines}");
    }
    let problems = refuse(&format!(
        "{LOGIN} template {{ contents = \"x\" destination = \"/x\" wait = \"5s:4s\" }}"
    ));
    assert!(problems[0].starts_with("template[0].wait: the longest"));
}

#[test]
fn a_template_says_whether_its_errors_end_the_agent_and_what_it_may_not_call() {
    let usual = template("");
    assert!(usual.error_fatal && !usual.backup && usual.mode.is_none());
    let said = template(
        "error_fatal = false backup = 1 perms = \"\" function_denylist = [\"env\"] function_blacklist = \"a,b\"",
    );

    assert!(!said.error_fatal && said.backup && said.mode.is_none());
    assert_eq!(said.denied_functions, ["env", "a", "b"]);
    let fraction = "template { contents = \"x\" destination = \"/x\" backup = 0.5 }";
    assert!(with(fraction, |_| {}).is_err());
}

#[test]
fn a_misspelt_key_is_told_with_the_one_that_was_meant_and_refused_where_that_is_wanted() {
    let text = "exit_after_aut = true zz = 1";

    let warnings = with(text, |_| {}).unwrap().warnings;
    let refused = with(text, |it| it.refuses_unknown_keys = true).unwrap_err();

    assert_eq!(refused.as_slice(), warnings);
    let told: Vec<&str> = warnings.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(
        told,
        [
            "line 1: is not a known key and has no effect; did you mean `exit_after_auth`?",
            "line 1: is not a known key and has no effect",
        ]
    );
}

#[test]
fn sinks_that_are_grouped_are_told_of_where_they_say_what_is_passed_over() {
    let method = r#"method "kubernetes" { config { role = "r" } }"#;
    let sink = r#"sink "file" { wrap_ttl = "5m" config { path = "/t" } }"#;
    let grouped = format!("auto_auth {{ {method} sinks {{ {sink} }} }}");
    let both = format!("auto_auth {{ {method} {sink} sinks {{ {sink} }} }}");

    for (text, field, wrap_ttl) in [
        (grouped, "auto_auth.sinks[0].sink[0].wrap_ttl", None),
        (both, "auto_auth.sinks", Some(seconds(300))),
    ] {
        let config = accept(&text);

        assert_eq!(config.auth.sinks[0].wrap_ttl, wrap_ttl, "{text}");
        let fields: Vec<&str> = config.warnings.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
}

#[test]
fn a_listener_speaks_the_versions_of_tls_that_are_said() {
    let listener = |lines: &str| {
        format!(
            "{LOGIN} listener \"tcp\" {{ tls_cert_file = \"/c\" tls_key_file = \"/k\" {lines} }}"
        )
    };
    for (lines, only_1_3, only_1_2) in [
        ("", false, false),
        ("tls_min_version = \"tls13\"", true, false),
        ("tls_max_version = \"tls12\"", false, true),
        (
            "tls_min_version = \"tls13\" tls_max_version = \"tls13\"",
            true,
            false,
        ),
        (
            "tls_min_version = \"tls12\" tls_max_version = \"tls12\"",
            false,
            true,
        ),
    ] {
        let config = accept(&listener(lines));

        let tls = config.proxy.listeners[0].tls.as_ref().unwrap();
        assert_eq!(
            (tls.only_1_3, tls.only_1_2),
            (only_1_3, only_1_2),
            "{lines}"
        );
    }
    let demands = "tls_require_and_verify_client_cert = true";
    stand_apart(
        &listener(demands),
        "tls_require_and_verify_client_cert needs it",
        &listener(&format!("{demands} tls_client_ca_file = \"/ca\"")),
    );
    stand_apart(
        &listener("tls_auto_reload_interval = \"4999ms\""),
        "must be at least 5s",
        &listener("tls_auto_reload_interval = \"5s\""),
    );
}
