//! Configurations that `vault agent` takes, their meaning there, and those that it refuses.

use crate::{
    Config, FileMode, ListenAddress, LogLevel, Overrides, Owner, Problems, ProxyToken, Tree,
};

const LOGIN: &str = r#"
    auto_auth {
      method "token_file" { config = { token_file_path = "/t" } }
      sink "file" { config = { path = "/o" } }
    }
"#;

/// The configuration of several files together.
fn read(files: &[&str]) -> Result<Config, Problems> {
    let trees: Vec<Tree> = files.iter().map(|it| Tree::parse(it).unwrap()).collect();
    Config::new(&trees, &Overrides::default())
}

/// The configuration of a file and of another one that logs in.
fn accept(text: &str) -> Config {
    read(&[LOGIN, text]).unwrap_or_else(|problems| panic!("{text}: {problems}"))
}

fn is_refused(text: &str) -> bool {
    read(&[LOGIN, text]).is_err()
}

#[test]
fn keys_and_what_a_listener_is_count_in_any_case() {
    let usual = r#"
        vault { address = "http://v:1" tls_skip_verify = true retry { num_retries = 3 } }
        auto_auth { method { type = "kubernetes" config = { role = "r" } } }
        template { contents = "x" destination = "/x" perms = "0600" exec { command = ["a"] } }
        listener { type = "tcp" role = "metrics_only" tls_disable = true require_request_header = true }
        exit_after_auth = true
    "#;
    let odd = r#"
        Vault { Address = "HTTP://v:1" TLS_Skip_Verify = true RETRY { Num_Retries = 3 } }
        Auto_Auth { Method { Type = "kubernetes" Config = { role = "r" } } }
        TEMPLATE { Contents = "x" Destination = "/x" Perms = "0600" Exec { Command = ["a"] } }
        Listener { Type = "TCP" Role = "Metrics_Only" TLS_Disable = true Require_Request_Header = true }
        EXIT_AFTER_AUTH = true
    "#;
    let json = r#"{
        "Vault": {"Address": "Http://v:1", "tls_Skip_verify": true, "retry": {"NUM_RETRIES": 3}},
        "AUTO_AUTH": {"Method": {"kubernetes": {"Config": {"role": "r"}}}},
        "Template": {"Contents": "x", "DESTINATION": "/x", "Perms": "0600", "exec": {"COMMAND": ["a"]}},
        "Listener": {"TCP": {"ROLE": "METRICS_ONLY", "tls_disable": true, "Require_request_header": true}},
        "Exit_After_Auth": true
    }"#;

    let usual = read(&[usual]).unwrap();

    assert_eq!(read(&[odd]).unwrap(), usual);
    assert_eq!(read(&[json]).unwrap(), usual);
    assert_eq!(usual.warnings, []);
}

#[test]
fn a_later_block_replaces_an_earlier_one_in_any_case() {
    let files = [
        LOGIN,
        r#"vault { address = "http://a:1" }"#,
        r#"Vault { address = "http://b:1" }"#,
    ];

    assert_eq!(read(&files).unwrap().vault.connection.address, "http://b:1");
}

#[test]
fn keys_of_a_method_and_of_a_sink_count_as_they_stand() {
    for (key, of_what) in [("Role", "method"), ("Path", "sink")] {
        let [role, path] = ["Role", "Path"].map(|it| match it == key {
            true => it.to_owned(),
            false => it.to_lowercase(),
        });
        let text = format!(
            r#"auto_auth {{
              method "kubernetes" {{ config = {{ {role} = "r" }} }}
              sink "file" {{ config = {{ {path} = "/o" }} }}
            }}"#
        );

        let problems = read(&[&text]).unwrap_err();

        let [problem] = problems.as_slice() else {
            panic!("{problems}");
        };
        assert!(problem.field.contains(of_what), "{problem}");
    }
}

#[test]
fn a_number_does_where_a_text_is_wanted_unless_vault_agent_refuses_it() {
    let config = accept("pid_file = 5 vault { namespace = 010 tls_server_name = 0x1F }");

    assert_eq!(config.pid_file.as_deref(), Some("5"));
    assert_eq!(config.vault.connection.namespace.as_deref(), Some("010/"));
    let name = config.vault.connection.tls.server_name;
    assert_eq!(name.as_deref(), Some("0x1F"));
    let json = accept(r#"{"vault": {"namespace":  5 }}"#);
    assert_eq!(json.vault.connection.namespace.as_deref(), Some("5/"));
    for text in [
        "pid_file = 5.5",
        "pid_file = true",
        "template { contents = 5 destination = \"/x\" }",
        "template { contents = \"x\" destination = 5 }",
        "auto_auth { method \"kubernetes\" { config { role = 5 } } sink \"file\" { config { path = \"/o\" } } }",
    ] {
        assert!(is_refused(text), "{text}");
    }
}

#[test]
fn what_is_a_boolean_may_be_any_number_or_nothing_where_vault_agent_is_not_strict() {
    for (text, is_so) in [
        ("2", true),
        ("-1", true),
        ("0.5", true),
        ("0", false),
        ("0.0", false),
        ("\"\"", false),
        ("\"T\"", true),
    ] {
        let config = accept(&format!(
            "vault {{ tls_skip_verify = {text} }}
            listener \"tcp\" {{ tls_disable = true require_request_header = {text} }}
            api_proxy {{ use_auto_auth_token = {text} }}"
        ));

        assert_eq!(config.vault.connection.tls.skip_verify, is_so, "{text}");
        assert_eq!(config.proxy.listeners[0].requires_header, is_so, "{text}");
        assert_eq!(config.proxy.token != ProxyToken::Request, is_so, "{text}");
    }
    for text in [
        "vault { tls_skip_verify = \"yes\" }",
        "template { contents = \"x\" destination = \"/x\" backup = 2 }",
        "template { contents = \"x\" destination = \"/x\" backup = \"\" }",
    ] {
        assert!(is_refused(text), "{text}");
    }
}

#[test]
fn the_digits_of_a_sockets_mode_are_octal_however_they_are_written() {
    let mode = |text: &str| {
        let config = accept(&format!(
            "listener \"unix\" {{ address = \"/s\" tls_disable = true socket_mode = {text} socket_user = 0 socket_group = \"0\" }}"
        ));
        match config.proxy.listeners[0].address.clone() {
            ListenAddress::Unix { access, .. } => access.map(|(mode, _)| mode),
            ListenAddress::Tcp(address) => panic!("{address}"),
        }
    };

    for text in ["660", "0660", "\"660\"", "\"0660\""] {
        assert_eq!(mode(text), FileMode::from_bits(0o660), "{text}");
    }
    for text in ["680", "0x1B0", "6.60"] {
        assert!(
            is_refused(&format!(
                "listener \"unix\" {{ address = \"/s\" tls_disable = true socket_mode = {text} }}"
            )),
            "{text}"
        );
    }
}

#[test]
fn a_variable_may_be_called_as_a_block_is() {
    for name in ["config", "telemetry", "agent_api"] {
        let json = format!(
            r#"{{"exec": {{"command": ["env"]}}, "env_template": {{"{name}": {{"contents": "x"}}}},
            "auto_auth": {{"method": {{"token_file": {{"config": {{"token_file_path": "/t"}}}}}}}}}}"#
        );

        let config = read(&[&json]).unwrap_or_else(|problems| panic!("{name}: {problems}"));

        assert_eq!(config.templates.len(), 1);
    }
}

#[test]
fn more_than_one_label_says_nothing_of_what_a_block_is() {
    for text in [
        "listener \"tcp\" \"a\" { tls_disable = true }",
        "auto_auth { method \"token_file\" \"a\" { config { token_file_path = \"/t\" } } sink \"file\" { config { path = \"/o\" } } }",
        "auto_auth { method \"token_file\" { config { token_file_path = \"/t\" } } sink \"file\" \"a\" { config { path = \"/o\" } } }",
    ] {
        let problems = read(&[LOGIN, text]).unwrap_err().to_string();

        assert!(problems.contains("type must be specified"), "{problems}");
    }
}

#[test]
fn a_signal_has_its_name_in_any_case() {
    let config = accept(
        "template { contents = \"x\" destination = \"/x\" signal = \"sigusr1\" process = \"p\" }",
    );

    assert_eq!(
        config.templates[0].hook,
        accept("template { contents = \"x\" destination = \"/x\" signal = \"SIGUSR1\" process = \"p\" }")
            .templates[0]
            .hook
    );
    assert!(config.templates[0].hook.is_some());
}

#[test]
fn an_api_proxy_that_is_there_says_alone_who_gets_the_agents_token() {
    const LISTENER: &str = "listener \"tcp\" { tls_disable = true }";
    let said = |of_proxy: &str, of_cache: &str| {
        let files = format!("{LISTENER} {of_proxy} {of_cache}");
        read(&[LOGIN, &files]).ok().map(|config| config.proxy.token)
    };
    let [nobody, some, all] = [
        ProxyToken::Request,
        ProxyToken::AgentUnlessGiven,
        ProxyToken::Agent,
    ]
    .map(Some);

    for (of_proxy, silent, is_true, is_forced) in [
        ("", nobody, some, all),
        ("api_proxy {}", nobody, nobody, nobody),
        ("api_proxy { use_auto_auth_token = true }", some, None, None),
    ] {
        for (of_cache, expected) in [
            ("cache {}", silent),
            ("cache { use_auto_auth_token = true }", is_true),
            ("cache { use_auto_auth_token = \"force\" }", is_forced),
        ] {
            assert_eq!(said(of_proxy, of_cache), expected, "{of_proxy} {of_cache}");
        }
    }
}

#[test]
fn the_last_file_that_speaks_of_it_says_who_gets_the_agents_token() {
    const LISTENER: &str = "listener \"tcp\" { tls_disable = true }";
    for (first, second, expected) in [
        ("cache { use_auto_auth_token = true }", "cache {}", true),
        (
            "cache { use_auto_auth_token = true }",
            "cache { use_auto_auth_token = false }",
            true,
        ),
        (
            "cache { use_auto_auth_token = true }",
            "api_proxy {}",
            false,
        ),
        (
            "api_proxy { use_auto_auth_token = true }",
            "cache { use_auto_auth_token = true }",
            true,
        ),
        ("api_proxy {}", "cache { use_auto_auth_token = true }", true),
        (
            "api_proxy { use_auto_auth_token = true }",
            "api_proxy {}",
            false,
        ),
    ] {
        let config = read(&[LOGIN, LISTENER, first, second]).unwrap();

        let is_lent = config.proxy.token != ProxyToken::Request;
        assert_eq!(is_lent, expected, "{first}, then {second}");
    }
}

#[test]
fn a_cache_that_lends_the_token_needs_what_an_api_proxy_needs() {
    let variables = r#"
        auto_auth { method "token_file" { config = { token_file_path = "/t" } } }
        exec { command = ["env"] }
        env_template "A" { contents = "x" }
    "#;
    let listener = "listener \"tcp\" { tls_disable = true }";

    for (text, is_accepted) in [
        ("cache {}", true),
        ("cache { use_auto_auth_token = false }", true),
        ("cache { use_auto_auth_token = true }", false),
        ("api_proxy {}", false),
    ] {
        let template = format!("template {{ contents = \"x\" destination = \"/x\" }} {text}");
        assert_eq!(!is_refused(&template), is_accepted, "no listener: {text}");
        let config = read(&[variables, listener, text]);
        assert_eq!(config.is_ok(), is_accepted, "variables: {text}");
    }
}

#[test]
fn what_a_later_file_leaves_empty_stays_as_an_earlier_one_says() {
    let first = r#"
        exit_after_auth = true
        log_level = "debug"
        pid_file = "/pid"
        template_config { exit_on_retry_failure = true }
    "#;
    let usual = read(&[LOGIN, first]).unwrap();

    for second in [
        "exit_after_auth = false",
        "Exit_After_Auth = \"false\"",
        "exit_after_auth = 0",
        "log_level = \"\" pid_file = \"\"",
        "template_config {}",
        "template_config { exit_on_retry_failure = false static_secret_render_interval = \"\" }",
    ] {
        assert_eq!(read(&[LOGIN, first, second]).unwrap(), usual, "{second}");
    }
    let interval = "template_config { static_secret_render_interval = \"5m\" }";
    let replaced = read(&[LOGIN, first, interval]).unwrap();
    assert!(!replaced.template_config.exit_on_retry_failure);
}

#[test]
fn one_file_alone_may_say_that_it_does_not_end() {
    for text in ["false", "\"false\"", "0", "\"\""] {
        assert!(!accept(&format!("exit_after_auth = {text}")).exit_after_auth);
    }
}

#[test]
fn versions_of_tls_that_are_not_spoken_are_told_and_none_beyond_the_newest_is_spoken() {
    for (versions, expected) in [
        ("", Ok(0)),
        ("tls_min_version = \"tls10\"", Ok(1)),
        (
            "tls_min_version = \"tls11\" tls_max_version = \"tls12\"",
            Ok(1),
        ),
        (
            "tls_min_version = \"tls10\" tls_max_version = \"tls11\"",
            Err("tls_max_version: is not spoken"),
        ),
        (
            "tls_max_version = \"tls11\"",
            Err("tls_max_version: is not spoken"),
        ),
        (
            "tls_min_version = \"tls13\" tls_max_version = \"tls12\"",
            Err("is older than tls_min_version"),
        ),
    ] {
        let text = format!(
            "listener \"tcp\" {{ tls_cert_file = \"/c\" tls_key_file = \"/k\" {versions} }}"
        );

        let config = read(&[LOGIN, &text]);

        match expected {
            Ok(count) => assert_eq!(config.unwrap().warnings.len(), count, "{versions}"),
            Err(reason) => {
                let problems = config.unwrap_err().to_string();
                assert!(problems.contains(reason), "{problems}");
            }
        }
    }
}

#[test]
fn a_sinks_block_may_be_a_sink_or_a_list_of_them() {
    let method = "method \"token_file\" { config { token_file_path = \"/t\" } }";
    for sinks in [
        "sinks = [{ type = \"file\" config = { path = \"/o\" } }]",
        "sinks { type = \"file\" config = { path = \"/o\" } }",
        "sinks { sink \"file\" { config = { path = \"/o\" } } }",
    ] {
        let config = read(&[&format!("auto_auth {{ {method} {sinks} }}")]);

        let sinks = config
            .unwrap_or_else(|problems| panic!("{sinks}: {problems}"))
            .auth
            .sinks;
        let paths: Vec<&str> = sinks.iter().map(|sink| sink.path.as_str()).collect();
        assert_eq!(paths, ["/o"]);
    }
}

#[test]
fn an_owner_below_nobody_leaves_a_file_as_it_is() {
    for number in ["-1", "4294967295"] {
        let config = read(&[&format!(
            r#"auto_auth {{
              method "token_file" {{ config = {{ token_file_path = "/t" }} }}
              sink "file" {{ config = {{ path = "/o" owner = {number} group = {number} }} }}
            }}
            template {{ contents = "x" destination = "/x" uid = {number} gid = {number} }}"#
        )]);

        let config = config.unwrap_or_else(|problems| panic!("{number}: {problems}"));
        assert_eq!(config.auth.sinks[0].owner, Owner::default(), "{number}");
        assert_eq!(config.templates[0].owner, Owner::default(), "{number}");
    }
    for number in ["-2", "4294967296"] {
        assert!(
            is_refused(&format!(
                "template {{ contents = \"x\" destination = \"/x\" uid = {number} }}"
            )),
            "{number}"
        );
    }
}

#[test]
fn what_has_no_effect_is_refused_where_it_says_what_it_cannot() {
    let of_listener = [
        ("http_read_timeout", "\"abc\"", "5"),
        ("max_request_duration", "true", "\"9s\""),
        ("max_request_size", "\"abc\"", "-1"),
        ("x_forwarded_for_hop_skips", "-1", "\"1\""),
        ("x_forwarded_for_hop_skips", "\"-1\"", "0"),
        ("x_forwarded_for_reject_not_present", "\"x\"", "\"false\""),
        ("redact_version", "\"yes\"", "1"),
        ("proxy_protocol_behavior", "\"abc\"", "\"use_always\""),
    ];
    let of_listener = of_listener.map(|(key, wrong, right)| {
        let block =
            |value: &str| format!("listener \"tcp\" {{ tls_disable = true {key} = {value} }}");
        (block(wrong), block(right))
    });
    let others = [
        ("disable_mlock = \"maybe\"", "disable_mlock = 1"),
        (
            "default_max_request_duration = \"abc\"",
            "default_max_request_duration = 90",
        ),
        (
            "telemetry { usage_gauge_period = \"abc\" }",
            "telemetry { usage_gauge_period = \"none\" lease_metrics_epsilon = \"5m\" }",
        ),
        (
            "listener \"tcp\" { tls_disable = true } api_proxy { enforce_consistency = \"always\" } cache { enforce_consistency = \"always\" }",
            "listener \"tcp\" { tls_disable = true } api_proxy { enforce_consistency = \"always\" } cache { enforce_consistency = \"never\" }",
        ),
    ];
    let others = others.map(|(wrong, right)| (wrong.to_owned(), right.to_owned()));
    for (wrong, right) in of_listener.into_iter().chain(others) {
        assert!(is_refused(&wrong), "{wrong}");
        assert_eq!(accept(&right).warnings, [], "{right}");
    }
}

#[test]
fn variables_about_connections_are_checked_like_keys() {
    let with = |text: &str| {
        let overrides = Overrides {
            disable_idle_connections: Some("Auto-Auth, caching".to_owned()),
            disable_keep_alives: Some(text.to_owned()),
            ..Overrides::default()
        };
        Config::new(&[Tree::parse(LOGIN).unwrap()], &overrides)
    };

    // One part of the first variable is about listeners, the others about everything else.
    let vault = with("templating,").unwrap().vault;
    assert!(!vault.connection.keeps_idle && !vault.proxy_keeps_idle);
    let problems = with("foo").unwrap_err().to_string();
    assert_eq!(
        problems,
        "disable_keep_alives: unknown disable_keep_alives value: foo"
    );
}

#[test]
fn of_arguments_that_may_be_said_twice_the_last_counts_and_is_told() {
    const TWICE: &str = "log_level = \"info\"\nvault { address = \"http://a:1\"\naddress = \"http://b:1\" }\nlog_level = \"warn\"";
    assert!(Tree::parse(TWICE).is_err());
    let trees = [LOGIN, TWICE].map(|text| Tree::parse_with_doubles(text).unwrap().named("f"));

    let config = Config::new(&trees, &Overrides::default()).unwrap();

    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.vault.connection.address, "http://b:1");
    let told: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "address: f:3: is said before: the last one counts",
            "log_level: f:4: is said before: the last one counts",
        ]
    );
}
