use std::time::Duration;

use planescape_agent_contract::{Overrides, Tree};
use planescape_vault::Refusal;

use super::*;

#[test]
fn every_end_has_its_code_and_the_one_of_vault_agent() {
    let codes = [
        (ExitCode::Done, 0, 0),
        (ExitCode::Config, 64, 1),
        (ExitCode::Template, 65, 1),
        (ExitCode::Unavailable, 69, 1),
        (ExitCode::Hook, 70, 1),
        (ExitCode::File, 74, 1),
        (ExitCode::Denied, 77, 1),
        (ExitCode::Interrupted, 143, 0),
        (ExitCode::Program(3), 3, 3),
    ];
    for (code, own, theirs) in codes {
        assert_eq!(
            (code.number(), code.of_vault_agent()),
            (own, theirs),
            "{code:?}"
        );
    }
}

#[test]
fn an_end_says_what_failed_where_and_as_whom() {
    let mut verdict = verdict();
    let failure = Failure::File {
        path: "/out/0".to_owned(),
        message: "no room".to_owned(),
    };
    let accessor = || Some("a1".to_owned());

    let written = verdict
        .write_failed(Destination::Template(0), &failure)
        .unwrap();
    assert_eq!(
        (written.code, written.report.reason),
        (ExitCode::File, Reason::FileNotWritten)
    );
    assert!(
        verdict
            .write_failed(Destination::Sink(0), &failure)
            .is_none(),
        "a sink is tried again"
    );
    let rendered = verdict
        .render_failed((4, "template[2]".to_owned()), "no such key")
        .unwrap();
    let told = (
        rendered.report.message.as_deref(),
        rendered.report.path.as_deref(),
    );
    assert_eq!(told, (Some("no such key"), Some("template[2]")));
    let followed = verdict.hook_failed(&failed_run(1), "exit code 7").unwrap();
    let told = (
        followed.report.message.as_deref(),
        followed.report.path.as_deref(),
    );
    assert_eq!(told, (Some("exit code 7"), Some("template[1].command")));
    for end in [
        verdict.lateness(accessor()),
        verdict.interruption(accessor()),
    ] {
        let Report {
            role,
            accessor,
            message,
            ..
        } = end.report;
        assert_eq!(
            (role.as_deref(), accessor.as_deref()),
            (Some("reader"), Some("a1"))
        );
        assert!(message.is_some());
    }
}

#[test]
fn a_request_that_fails_ends_the_agent_after_its_attempts_and_says_as_whom() {
    let mut verdict = verdict();
    let mut fail = |failures| {
        let silent = Error::Silent {
            address: "vault:8200".to_owned(),
        };
        let trouble = trouble(silent.into(), failures);
        verdict.request_failed(&trouble, Remedy::Retry, Some("a1".to_owned()))
    };

    assert!(fail(12).is_none());
    let Report {
        role,
        accessor,
        path,
        ..
    } = fail(13).unwrap().report;

    let told = (role.as_deref(), accessor.as_deref(), path.as_deref());
    assert_eq!(told, (Some("reader"), Some("a1"), Some("kv/a")));
    assert!(fail(14).is_some());
}

#[test]
fn a_login_that_is_refused_three_times_is_believed_also_where_vault_calls_a_token_invalid() {
    for (status, message, is_believed) in [
        (403, "permission denied", true),
        (403, "invalid token", true),
        (503, "Vault is sealed", false),
    ] {
        let refusal = Refusal::new(status, message.to_owned(), None);
        let failure = Failure::from(Error::Refused(refusal));
        let mut verdict = verdict();
        verdict.exit_on_refusal = true;

        let ends = [(); 3].map(|()| verdict.login_failed(&failure).is_some());

        assert_eq!(ends, [false, false, is_believed], "{message}");
    }
}

#[test]
fn the_latest_trouble_is_told_until_it_is_mended() {
    let mut verdict = verdict();
    let failure = Failure::File {
        path: "/out/0".to_owned(),
        message: "no room".to_owned(),
    };
    assert_eq!(verdict.trouble(), None);

    verdict.write_failed(Destination::Template(0), &failure);
    verdict.render_failed((1, "template[1]".to_owned()), "no such key");
    assert_eq!(verdict.trouble().unwrap(), "TemplateFailed: no such key");
    verdict.mend(&Concern::Template(1));
    assert!(verdict.trouble().unwrap().contains("no room"));
    verdict.ready();
    assert_eq!(verdict.trouble(), None);
}

#[test]
fn each_failure_has_a_reason_and_a_code_and_at_a_login_its_own() {
    let file = || Failure::File {
        path: "/x".to_owned(),
        message: "no such file".to_owned(),
    };
    let refused = |status, message: &str| {
        let refusal = Refusal::new(status, message.to_owned(), None);
        Failure::from(Error::Refused(refusal))
    };
    let unsendable = || Failure::from(Error::Unsendable { what: "token" });
    for (failure, at_login, at_read, code) in [
        (
            file(),
            Reason::TokenFileUnreadable,
            Reason::FileUnreadable,
            ExitCode::File,
        ),
        (
            refused(403, "invalid token"),
            Reason::LoginDenied,
            Reason::PermissionDenied,
            ExitCode::Denied,
        ),
        (
            refused(503, "sealed"),
            Reason::Sealed,
            Reason::Sealed,
            ExitCode::Unavailable,
        ),
        (
            unsendable(),
            Reason::RequestRefused,
            Reason::RequestRefused,
            ExitCode::Unavailable,
        ),
    ] {
        let latest = |verdict: &Verdict| verdict.troubles.latest().cloned().unwrap();
        let mut verdict = verdict();

        verdict.login_failed(&failure);
        let login = latest(&verdict);
        let trouble = trouble(failure, 1);
        verdict.request_failed(&trouble, Remedy::Retry, None);
        let read = latest(&verdict);

        let reasons = (login.report.reason, read.report.reason);
        assert_eq!(reasons, (at_login, at_read), "{trouble:?}");
        assert_eq!((login.code, read.code), (code, code), "{trouble:?}");
    }
}

#[test]
fn an_end_before_the_files_says_what_failed_only_where_the_exit_codes_are_our_own() {
    for (has_own_exit_codes, code) in [(true, ExitCode::File), (false, ExitCode::Interrupted)] {
        let mut verdict = verdict();
        verdict.has_own_exit_codes = has_own_exit_codes;
        assert_eq!(verdict.interrupted(None).code, ExitCode::Interrupted);
        let failure = Failure::File {
            path: "/x".to_owned(),
            message: "no room".to_owned(),
        };
        verdict.write_failed(Destination::Sink(0), &failure);

        assert_eq!(verdict.interrupted(None).code, code);
    }
    let phase = |accessor: Option<&str>| {
        let end = verdict().lateness(accessor.map(str::to_owned));
        end.report.phase
    };
    assert_eq!((phase(None), phase(Some("a"))), (Phase::Login, Phase::Read));
}

fn trouble(failure: Failure, failures: u32) -> Trouble {
    Trouble {
        request: Request::Read {
            path: "kv/a".to_owned(),
        },
        failure,
        failures,
        backoff: Duration::ZERO,
    }
}

fn verdict() -> Verdict {
    let text = r#"
        auto_auth { method "kubernetes" { config { role = "reader" } } }
        template_config { exit_on_retry_failure = true }
        template { contents = "x" destination = "/x" }"#;
    let config = Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap();
    Verdict::new(&config, Moment::since_boot(Duration::from_secs(1)))
}

#[test]
fn what_a_command_says_ends_no_init_run() {
    for (block, ends_at_first) in [
        ("", true),
        ("exit_after_auth = true", false),
        ("planescape {}", false),
    ] {
        let text = format!(
            r#"
            auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
            template {{ contents = "x" destination = "/a" command = "false" }}
            template_config {{ exit_on_retry_failure = true }}
            {block}"#
        );
        let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default());
        let now = Moment::since_boot(Duration::ZERO);
        let mut verdict = Verdict::new(&config.unwrap(), now);

        let first = verdict.hook_failed(&failed_run(0), "exit code 1");
        verdict.ready();
        let later = verdict.hook_failed(&failed_run(0), "exit code 1");

        assert_eq!(first.is_some(), ends_at_first, "{block}");
        assert!(later.is_some(), "{block}");
    }
}

fn failed_run(file: usize) -> FailedRun {
    FailedRun {
        file,
        key: "command",
        again: None,
    }
}
