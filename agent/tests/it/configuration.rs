//! Configurations that are wrong, and the command line.

use std::process::{Command, Output};

use planescape_tests::scripted_vault::{Answer, ScriptedVault};

use crate::agent::Place;

#[tokio::test]
async fn every_problem_is_named_at_once() {
    let place = Place::offline("vault:8200")
        .template("a", "{{ if }}")
        .setting("listener \"tcp\" {}");

    let output = place.run().await;

    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        log.contains("vault.address: `vault:8200` is not an address"),
        "{log}"
    );
    assert!(
        log.contains("listener[0].tls_cert_file: is missing"),
        "{log}"
    );
}

#[tokio::test]
async fn a_template_that_does_not_parse_is_named_with_its_line() {
    let place = Place::offline("http://127.0.0.1:9")
        .template("a", "fine")
        .template("b", "one\n{{ nosuch 1 }}");

    let output = place.run().await;

    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64));
    assert!(log.contains("template[1]"), "{log}");
    assert!(log.contains("function \"nosuch\" not defined"), "{log}");
    assert!(log.contains(":2"), "{log}");
}

#[test]
fn without_a_configuration_it_says_how_to_give_one() {
    let output = run(&[], None);

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("config path using -config"));
}

#[test]
fn a_configuration_in_the_environment_that_is_not_base64_is_refused() {
    let output = run(&[], Some("{}"));

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("VAULT_CONFIG is not base64"));
}

#[test]
fn help_and_version_end_well() {
    for option in ["-h", "--help", "-help", "--version"] {
        assert_eq!(run(&[option], None).status.code(), Some(0), "{option}");
    }
}

#[test]
fn it_says_that_it_has_started_as_vault_agent_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.hcl");
    let sink = folder.path().join("token").display().to_string();
    let ends_soon = format!(
        r#"vault {{ address = "http://127.0.0.1:9" }}
        auto_auth {{
          method "token_file" {{
            exit_on_err = true
            config = {{ token_file_path = "/nowhere" }}
          }}
          sink "file" {{ config = {{ path = "{sink}" }} }}
        }}"#
    );
    for (more, option, is_said) in [
        ("", "-log-level=info", true),
        ("", "-combine-logs", false),
        ("planescape {}", "-log-level=info", false),
    ] {
        std::fs::write(&path, format!("{ends_soon}\n{more}\n")).unwrap();

        let output = run(&[option, &format!("-config={}", path.display())], None);

        let printed = String::from_utf8_lossy(&output.stdout);
        let says = printed.contains("==> Vault Agent started! Log data will stream in below:\n\n");
        assert_eq!(says, is_said, "{more} {option}: {output:?}");
    }
}

#[tokio::test]
async fn the_token_of_bao_is_the_one_that_is_revoked() {
    let vault = ScriptedVault::start().await.unwrap();
    vault.on("PUT", "/v1/auth/token/revoke-self", Answer::empty());
    for (of_bao, revoked) in [("b", "b"), ("", "v")] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_planescape-agent"))
            .args(["token", "revoke", "-self"])
            .env_clear()
            .env("VAULT_ADDR", vault.url())
            .env("BAO_TOKEN", of_bao)
            .env("VAULT_TOKEN", "v")
            .output()
            .await
            .unwrap();

        assert!(output.status.success(), "{output:?}");
        let last = vault.requests().pop().unwrap();
        assert_eq!(last.token.as_deref(), Some(revoked));
    }
}

#[test]
fn a_check_names_every_problem_of_the_configuration_and_of_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.hcl");
    let text = r#"vault { address = "vault:8200" }
        auto_auth { method "kubernetes" { config = { rol = "r" } } }
        template { contents = "{{ if }}" destination = "/a" }
        template { source = "/no/such/file" destination = "/b" }
        template { contents = "{{ nosuch }}" destination = "/c" }"#;
    std::fs::write(&path, text).unwrap();

    let output = run(&["-check", &format!("-config={}", path.display())], None);

    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = [
        "auto_auth.method.config.role: missing 'role' value",
        "vault.address: `vault:8200` is not an address",
        "template[0]: ",
        "template[2]: ",
        "failed to read template: /no/such/file: ",
        "warning: auto_auth.method.config.rol: ",
    ];
    for line in said {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains("template[1]"), "{printed}");
}

fn run(arguments: &[&str], config: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_planescape-agent"));
    command.args(arguments).env_clear();
    if let Some(config) = config {
        command.env("VAULT_CONFIG", config);
    }
    command.output().unwrap()
}

#[tokio::test]
async fn a_variable_that_is_set_to_nothing_says_nothing() {
    let place = Place::offline("http://127.0.0.1:9")
        .template("static", "text")
        .variable("VAULT_LOG_LEVEL", "")
        .variable("VAULT_LOG_FORMAT", "")
        .setting("planescape { give_up_after = \"100ms\" }");

    let output = place.run().await;

    assert_eq!(output.status.code(), Some(74), "{output:?}");
}

#[test]
fn the_variable_of_bao_names_files() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one.hcl", "two.hcl"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "vault { address = \"http://127.0.0.1:9\" }").unwrap();
    let two = "auto_auth { method \"token_file\" { config { token_file_path = \"/t\" } } } template { contents = \"x\" destination = \"/x\" }";
    std::fs::write(&paths[1], two).unwrap();
    let both = paths.map(|path| path.display().to_string()).join(",");

    let output = Command::new(env!("CARGO_BIN_EXE_planescape-agent"))
        .arg("-check")
        .env_clear()
        .env("BAO_AGENT_CONFIG_PATH", both)
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
}
