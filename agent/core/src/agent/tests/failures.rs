//! Failures that end the agent, and its report then.

use planescape_agent_contract::{Phase, Planescape, Reason, Report};
use planescape_templates::{Answer, Request};
use planescape_vault::Text;
use std::time::Duration;

use super::world::*;
use crate::agent::Wake;
use crate::command::{Destination, Notice};
use crate::failure::Failure;
use crate::input::Input;
use crate::token::TokenId;
use crate::verdict::ExitCode;

#[test]
fn a_refused_login_is_believed_at_the_third_time_and_reported() {
    let mut world = World::new(&["static"]);

    for _ in 0..2 {
        assert_eq!(world.step(), ["log in"]);
        world.fail_login(&denied("permission denied", 403));
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(3));
    }
    world.step();
    world.fail_login(&denied("permission denied", 403));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Denied);
    assert_eq!(
        report,
        Report {
            message: Some("vault answered 403: permission denied".to_owned()),
            role: Some("reader".to_owned()),
            path: Some("auth/kubernetes/login".to_owned()),
            status: Some(403),
            ..Report::new(Phase::Login, Reason::LoginDenied)
        }
    );
}

#[test]
fn a_denied_path_is_reported_and_the_token_revoked() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    for wait in [250, 500, 0] {
        world.step();
        world.find_mount("database/creds/ro", "database");
        world.step();
        world.fail("database/creds/ro", &denied("permission denied", 403));
        world.pass(Duration::from_millis(wait));
    }

    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Denied);
    assert_eq!(report.reason, Reason::PermissionDenied);
    assert_eq!(report.path.as_deref(), Some("database/creds/ro"));
    assert_eq!(report.status, Some(403));
}

#[test]
fn a_vault_that_is_down_is_waited_for_until_the_limit() {
    let mut world = World::new(&["static"]);
    world.step();
    world.fail_login(&down());

    world.pass(Duration::from_secs(20));
    assert_eq!(world.step(), ["log in"]);
    world.fail_login(&down());
    world.pass(Duration::from_secs(10));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(report.reason, Reason::Unreachable);
}

#[test]
fn without_a_limit_an_outage_is_waited_out_and_a_refusal_still_reported() {
    let mut world = World::build(&[DATABASE], |start| {
        start.config.planescape.give_up_after = None;
    });
    for _ in 0..50 {
        assert_eq!(world.step(), ["log in"]);
        world.fail_login(&down());
        world.pass(Duration::from_secs(300));
    }
    world.step();
    world.log_in("t1", 1_000_000);
    world.step();
    world.find_mount("database/creds/ro", "database");
    for _ in 0..50 {
        assert_eq!(world.step(), ["get database/creds/ro as t1"]);
        world.fail("database/creds/ro", &down());
        world.pass(Duration::from_secs(60));
    }

    for _ in 0..3 {
        assert!(!world.step().is_empty());
        world.find_mount("database/creds/ro", "database");
        world.step();
        world.fail("database/creds/ro", &denied("permission denied", 403));
        world.pass(Duration::from_secs(60));
    }

    assert_eq!(world.step(), ["revoke t1", "exit Denied PermissionDenied"]);
}

#[test]
fn what_works_does_not_hide_what_does_not() {
    let both =
        r#"{{ file "/x" }}{{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}"#;
    let mut world = World::new(&[both]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.fail("database/creds/ro", &down());

    world.feed(Input::FileRead {
        request: Request::File {
            path: "/x".to_owned(),
        },
        result: Ok(Answer::File(Text::from("text"))),
    });
    world.pass_until_ended(Duration::from_secs(30));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(report.reason, Reason::Unreachable);
    assert_eq!(report.path.as_deref(), Some("database/creds/ro"));
}

#[test]
fn what_was_refused_to_a_token_is_read_at_once_with_the_next_one_and_no_more_often_than_before() {
    const TEXT: &str = r#"{{ with secret "kv/a" }}{{ .Data.n }}{{ end }}"#;
    let mut world = World::build(&[TEXT], |start| {
        start.config.template_config.exit_on_retry_failure = false;
        start.config.planescape = Planescape::default();
    });
    // How often it is asked for within this time.
    let asked = |world: &mut World, seconds| {
        let mut asked = 0;
        for _ in 0..seconds {
            for _ in 0..3 {
                for step in world.step() {
                    if step.starts_with("find mount") {
                        world.find_mount("kv/a", "kv");
                    } else if step.starts_with("get") {
                        asked += 1;
                        world.fail("kv/a", &denied("permission denied", 403));
                    }
                }
            }
            world.pass(Duration::from_secs(1));
        }
        asked
    };
    let replace = |world: &mut World, token| {
        world.fail_token(&denied("invalid token", 403));
        assert_eq!(world.step(), ["log in"]);
        world.log_in(token, 3600);
    };
    world.step();
    world.log_in("t1", 3600);
    // The next attempt is half a minute away, at least.
    asked(&mut world, 100);
    while asked(&mut world, 1) == 0 {}

    replace(&mut world, "t2");
    assert_eq!(asked(&mut world, 20), 1);
    replace(&mut world, "t3");
    assert_eq!(asked(&mut world, 10), 0);
}

#[test]
fn a_token_that_vault_does_not_take_is_reported() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.fail("database/creds/ro", &denied("invalid token", 403));
    assert_eq!(world.step(), ["look up t1"]);

    world.pass_until_ended(Duration::from_secs(30));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Denied);
    assert_eq!(report.path.as_deref(), Some("database/creds/ro"));
}

#[test]
fn a_token_that_dies_a_moment_after_vault_knew_it_is_noticed_by_the_next_one_that_is_refused() {
    let mut world = World::build(&[DATABASE], |_| {});
    world.get_ready(&CREDENTIALS.replace("90", "30"));
    world.feed(Input::TokenRefused { token: TokenId(1) });
    assert_eq!(world.step(), ["look up t1"]);
    world.look_up(Ok(()));
    world.feed(Input::TokenRefused { token: TokenId(1) });
    assert_eq!(world.step(), NOTHING);

    world.pass(Duration::from_secs(22));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    world.fail_lease(&denied("invalid token", 403));

    assert_eq!(world.step(), ["look up t1"]);
    world.look_up(Err(denied("invalid token", 403)));
    assert_eq!(world.step(), ["log in"]);
}

#[test]
fn without_our_own_settings_a_refused_login_is_tried_for_ever() {
    let mut world = World::with(|start| start.config.planescape = Planescape::default());

    for _ in 0..50 {
        assert_eq!(world.step(), ["log in"]);
        world.fail_login(&denied("permission denied", 403));
        world.pass(Duration::from_secs(300));
    }
}

#[test]
fn failures_after_everything_was_rendered_do_not_end_the_agent() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    for _ in 0..30 {
        world.fail("database/creds/ro", &denied("permission denied", 403));
        world.pass(Duration::from_secs(60));
        let mut asked = world.step();
        // The mount may have changed since Vault was asked a minute ago.
        if asked == ["find mount of database/creds/ro as t1"] {
            world.find_mount("database/creds/ro", "database");
            asked = world.step();
        }
        assert_eq!(asked, ["get database/creds/ro as t1"]);
    }
}

#[test]
fn a_template_that_does_not_fit_its_secret_is_reported() {
    let mut world = World::new(&[r#"{{ with secret "kv/a" }}{{ .Data.x.y }}{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("kv/a", "kv");
    world.step();
    world.answer("kv/a", r#"{"data":{"password":"s3cr3t"}}"#);

    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Template);
    assert_eq!(report.reason, Reason::TemplateFailed);
    assert!(!format!("{report:?}").contains("s3cr3t"));
}

#[test]
fn a_line_that_says_when_the_next_attempt_comes_is_only_written_where_one_comes() {
    let mut world = World::with(|start| start.config.auth.exit_on_error = true);
    world.step();

    world.fail_login(&denied("permission denied", 403));
    world.step();

    let backoff = world.notices.iter().find_map(|notice| match notice {
        Notice::LoginFailed { backoff, .. } => Some(*backoff),
        _ => None,
    });
    assert_eq!(backoff, Some(None));
}

#[test]
fn what_a_standby_says_is_no_refusal() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    for (code, text) in [
        (472, ""),
        (473, ""),
        (408, ""),
        (400, "cannot write to readonly storage"),
    ] {
        assert_eq!(world.step(), ["get database/creds/ro as t1"]);
        world.fail("database/creds/ro", &denied(text, code));
        world.pass(Duration::from_secs(3));
    }

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_file_that_cannot_be_written_is_tried_ever_more_rarely_and_told_once_for_each_cause() {
    let mut world = World::build(&["static"], |start| {
        start.config.template_config.exit_on_retry_failure = false;
        start.config.planescape.give_up_after = None;
    });
    world.step();
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["write template 0: static"]);
    let fail = |world: &mut World, message: &str| {
        world.notices.clear();
        world.feed(Input::Written {
            destination: Destination::Template(0),
            result: Err(Failure::File {
                path: "/0".to_owned(),
                message: message.to_owned(),
            }),
        });
        assert_eq!(world.step(), NOTHING);
        world.notices.len()
    };

    let mut waits = Vec::new();
    let mut told = Vec::new();
    for message in ["No space left on device"; 9].iter().chain(&["EROFS"]) {
        told.push(fail(&mut world, message));
        let (at, _) = world.agent.poll_timeout().unwrap();
        waits.push(at.since(world.now.moment).as_millis());
        world.pass(at.since(world.now.moment));
        assert_eq!(world.step(), ["write template 0: static"]);
    }
    world.written();
    world.step();

    assert_eq!(told, [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert!(waits[0] <= 250 && waits[8] >= 40_000, "{waits:?}");
    assert!(waits[9] <= 60_000, "{waits:?}");
    assert!(world.agent.is_ready());
}

#[test]
fn a_text_that_does_not_fit_its_answers_ends_the_agent_only_where_it_is_to() {
    let text = r#"{{ with secret "database/creds/ro" }}{{ index .Data.username 1000 }}{{ end }}"#;
    for is_fatal in [true, false] {
        let mut world = World::build(&[text], |start| {
            start.config.templates[0].error_fatal = is_fatal;
        });
        world.read_credentials();

        let ends = world.agent.poll_timeout().map(|(_, why)| why) == Some(Wake::Shutdown);
        assert_eq!(ends, is_fatal);
    }
}

#[test]
fn a_file_that_cannot_be_written_ends_the_agent_only_where_it_is_to() {
    for is_fatal in [true, false] {
        let mut world = World::build(&["static"], |start| {
            start.config.templates[0].error_fatal = is_fatal;
        });
        world.step();
        world.log_in("t1", 3600);
        assert_eq!(world.step(), ["write template 0: static"]);

        world.feed(Input::Written {
            destination: Destination::Template(0),
            result: Err(Failure::File {
                path: "/0".to_owned(),
                message: "is a directory".to_owned(),
            }),
        });
        world.step();

        let ends = world.agent.poll_timeout().map(|(_, why)| why) == Some(Wake::Shutdown);
        assert_eq!(ends, is_fatal);
    }
}
