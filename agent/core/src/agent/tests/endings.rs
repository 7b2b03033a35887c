//! On the way out.

use planescape_agent_contract::{Phase, Planescape, Reason, Report};
use planescape_vault::Error;
use std::time::Duration;

use super::world::*;
use crate::input::Input;
use crate::verdict::ExitCode;

#[test]
fn both_tokens_are_revoked_at_the_end_the_one_in_use_first() {
    let mut world = World::with_a_replaced_token();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t2", "revoke t1"]);
    world.revoked(Ok(()));
    assert_eq!(world.step(), NOTHING);
    world.revoked(Ok(()));
    assert_eq!(world.step(), ["exit Done Revoked"]);
    assert!(world.has_forgotten);
}

#[test]
fn a_token_that_cannot_be_revoked_now_lets_the_others_pass() {
    let mut world = World::with_a_replaced_token();
    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t2", "revoke t1"]);

    world.revoked(Err(down()));
    world.revoked(Ok(()));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));

    assert_eq!(world.step(), ["revoke t2"]);
}

#[test]
fn a_token_that_an_earlier_life_left_is_revoked_too() {
    let mut world = World::with(|start| {
        start.left_tokens.push(left("t0"));
    });

    world.step();
    world.feed(Input::Terminate);
    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["revoke t0", "revoke t1"]);
    world.revoked(Err(denied("invalid token", 403)));
    world.revoked(Ok(()));
    assert_eq!(world.step(), ["exit Interrupted Terminated"]);
}

#[test]
fn nothing_is_said_to_be_revoked_while_an_earlier_token_may_live() {
    let mut world = World::ready_with(&["static"], |start| {
        start.left_tokens.extend([left("t00"), left("t0")]);
    });

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1", "revoke t00", "revoke t0"]);
    world.revoked(Ok(()));
    world.revoked(Ok(()));
    world.revoked(Err(denied("permission denied", 403)));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(report.reason, Reason::RevokeFailed);
    assert_eq!(report.unrevoked, ["accessor of t0"]);
    assert_eq!(report.ttl_seconds, None, "nobody knows how old it is");
    assert!(!world.has_forgotten);
}

#[test]
fn nothing_is_said_to_be_revoked_while_nobody_knows_what_earlier_lives_have_left() {
    let mut world = World::ready_with(&["static"], |start| start.has_unread_ledger = true);

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(report.reason, Reason::RevokeFailed);
    let message = report.message.unwrap();
    assert!(
        message.contains("the ledger or the persistent cache could not be read or written"),
        "{message}"
    );
    assert_eq!(report.accessor, None, "it is revoked");
    assert!(!world.has_forgotten);
}

#[test]
fn a_refused_revocation_is_reported() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.revoked(Err(denied("permission denied", 403)));

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable);
    assert_eq!(
        report,
        Report {
            message: Some(
                "a token could not be revoked: vault answered 403: permission denied; the token's \
                 policies need: path \"auth/token/revoke-self\" { capabilities = [\"update\"] }; \
                 its leases end with their TTL"
                    .to_owned()
            ),
            role: Some("reader".to_owned()),
            status: Some(403),
            accessor: Some("accessor of 2".to_owned()),
            unrevoked: vec!["accessor of 2".to_owned()],
            // An hour, and what Vault's clock may be behind.
            ttl_seconds: Some(3609),
            ..Report::new(Phase::Done, Reason::RevokeFailed)
        }
    );
}

#[test]
fn a_token_that_vault_does_not_know_is_as_good_as_revoked() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.revoked(Err(denied("invalid token", 403)));

    assert_eq!(world.step(), ["exit Done Revoked"]);
}

#[test]
fn a_token_that_one_node_did_not_know_is_revoked_all_the_same() {
    let mut world = World::ready_with(&["static"], |start| {
        start.config.auth.min_backoff = Duration::from_secs(60);
    });
    world.pass(Duration::from_secs(2530));
    world.step();
    world.fail_token(&denied("invalid token", 403));
    assert_eq!(world.step(), ["log in"]);
    world.fail_login(&down());

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn an_end_before_the_files_says_so() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));

    assert_eq!(world.step(), ["exit Interrupted Terminated"]);
}

#[test]
fn an_end_before_the_files_says_what_kept_them() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.fail_login(&denied("permission denied", 403));

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["exit Denied LoginDenied"]);
}

#[test]
fn an_end_during_the_login_waits_for_its_token_and_revokes_it() {
    let mut world = World::new(&[DATABASE]);
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(19));
    assert_eq!(world.step(), NOTHING);
    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn a_login_that_never_ends_is_not_waited_for_after_the_grace() {
    let mut world = World::new(&[DATABASE]);
    world.step();

    world.feed(Input::Terminate);
    world.pass(Duration::from_secs(20));

    assert_eq!(world.step(), ["exit Unavailable RevokeFailed"]);
}

#[test]
fn who_revokes_nothing_waits_for_nothing() {
    let mut world = World::with(|start| start.config.planescape = Planescape::default());
    world.step();

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["exit Interrupted Terminated"]);
}

#[test]
fn an_end_during_a_read_waits_for_its_lease() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.answer("database/creds/ro", CREDENTIALS);

    assert_eq!(world.step(), [format!("revoke {LEASE}")]);
}

#[test]
fn revocation_is_tried_until_the_grace_ends() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.revoked(Err(down()));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(250));
    assert_eq!(world.step(), ["revoke t1"]);
    world.pass(Duration::from_secs(20));

    assert_eq!(world.step(), ["exit Unavailable RevokeFailed"]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Terminate);
    world.step();

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["exit Interrupted Interrupted"]);
    world.revoked(Ok(()));
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn asking_to_quit_twice_and_a_signal_after_it_revoke() {
    let mut world = World::ready(&["static"]);

    world.feed(Input::Quit);
    assert_eq!(world.step(), ["revoke t1"]);
    world.feed(Input::Quit);
    world.feed(Input::Terminate);
    world.feed(Input::Quit);
    assert_eq!(world.step(), NOTHING);
    world.revoked(Ok(()));

    assert_eq!(world.step(), ["exit Done Revoked"]);
}

#[test]
fn a_second_signal_ends_at_once_what_a_request_has_begun() {
    let mut world = World::ready(&["static"]);
    world.feed(Input::Quit);
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["exit Interrupted Interrupted"]);
}

#[test]
fn an_agent_that_would_end_after_rendering_revokes_when_it_fails_before() {
    let mut world = World::build(&[DATABASE], |start| start.config.exit_after_auth = true);
    world.step();
    world.log_in("t1", 3600);
    world.step();

    world.pass(Duration::from_secs(30));

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn without_our_own_settings_nothing_is_revoked() {
    let mut world = World::with(|start| {
        start.config.planescape = Planescape::default();
        start.left_tokens.push(left("t0"));
    });
    world.step();
    world.log_in("t1", 3600);

    world.feed(Input::Terminate);

    assert!(world.step().iter().all(|step| !step.contains("revoke")));
}

#[test]
fn a_first_signal_during_a_failing_end_waits_for_the_revocation_and_keeps_the_cause() {
    let mut world = World::new(&[r#"{{ with secret "kv/a" }}{{ .Data.x.y }}{{ end }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("kv/a", "kv");
    world.step();
    world.answer("kv/a", r#"{"data":{"password":"s3cr3t"}}"#);
    assert_eq!(world.step(), ["revoke t1"]);

    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.revoked(Ok(()));

    assert_eq!(world.step(), ["exit Template TemplateFailed"]);
}

#[test]
fn a_second_signal_during_a_failing_end_keeps_the_cause() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.step(), ["revoke t1"]);

    world.feed(Input::Terminate);
    world.feed(Input::Terminate);

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Interrupted);
    assert_eq!(report.reason, Reason::NoAnswer);
    assert_eq!(report.unrevoked, ["accessor of 2"]);
}

#[test]
fn a_token_that_is_not_to_be_revoked_is_left_to_the_cache_and_not_to_the_ledger() {
    for revokes in [false, true] {
        let mut world = World::with(|start| start.config.planescape.revoke_on_exit = revokes);
        world.step();
        world.log_in("t1", 3600);
        world.step();
        world.written();
        world.step();

        world.feed(Input::Terminate);
        world.step();
        if revokes {
            world.revoked(Ok(()));
            world.step();
        }

        assert!(world.has_forgotten);
        assert_eq!(world.keeps_cache, !revokes);
    }
}

#[test]
fn an_agent_that_keeps_its_token_still_revokes_those_of_earlier_lives() {
    let mut world = World::rendered_beside("t0");

    assert_eq!(world.step(), ["announce ready", "revoke t0"]);
    world.revoked(Ok(()));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Done);
    assert_eq!(report.reason, Reason::Rendered);
    assert_eq!(report.unrevoked, ["accessor of 2"]);
    assert_eq!(report.ttl_seconds, Some(3600), "of the one that is kept");
    assert!(!world.has_forgotten);
}

#[test]
fn a_second_signal_names_the_token_that_is_kept_too() {
    let mut world = World::rendered_beside("t0");
    assert_eq!(world.step(), ["announce ready", "revoke t0"]);

    world.feed(Input::Terminate);
    world.feed(Input::Terminate);

    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Interrupted);
    assert_eq!(report.unrevoked, ["accessor of 2", "accessor of t0"]);
}

#[test]
fn what_is_rendered_does_not_fail_for_a_token_of_an_earlier_life() {
    let mut world = World::rendered_beside("t0");
    assert_eq!(world.step(), ["announce ready", "revoke t0"]);

    world.revoked(Err(denied("permission denied", 403)));

    let (code, report) = world.exit();
    assert_eq!(
        (code, report.reason),
        (ExitCode::Done, Reason::RevokeFailed)
    );
    assert_eq!(report.unrevoked, ["accessor of 2", "accessor of t0"]);
    assert!(!world.has_forgotten);
}

#[test]
fn an_agent_that_keeps_its_token_keeps_its_leases_too() {
    let mut world = World::build(&[DATABASE], |start| {
        start.config.exit_after_auth = true;
        start.left_tokens.push(left("t0"));
    });
    world.read_credentials();
    world.written();

    assert_eq!(world.step(), ["announce ready", "revoke t0"]);
    world.revoked(Ok(()));
    let (_, report) = world.exit();
    assert_eq!(report.leases, [""; 0], "they are held");
}

#[test]
fn a_token_that_http_cannot_carry_does_not_hold_up_the_end() {
    let mut world = World::ready_with(&["static"], |start| {
        start.left_tokens.push(left("t\0"));
    });
    world.feed(Input::Terminate);
    world.step();

    world.revoked(Ok(()));
    world.revoked(Err(Error::Unsendable { what: "token" }.into()));

    assert_eq!(world.step(), ["forget t1", "exit Unavailable RevokeFailed"]);
}

#[test]
fn places_without_a_value_are_reported() {
    let mut world = World::ready_with(
        &[r#"{{ with secret "database/creds/ro" }}{{ .Data.user }}{{ end }}"#],
        |_| {},
    );

    world.feed(Input::Terminate);
    world.step();
    world.lease_revoked(LEASE, Ok(()));
    world.step();
    world.revoked(Ok(()));

    let (_, report) = world.exit();
    assert_eq!(
        report.warnings,
        ["template[0] 1:41: {{.Data.user}} has no value; `<no value>` is written"]
    );
}

const LEASE: &str = "database/creds/ro/1";

#[test]
fn a_lease_is_revoked_by_its_id_before_its_token() {
    let mut world = World::ready(&[DATABASE]);

    world.feed(Input::Terminate);
    assert_eq!(world.step(), [format!("revoke {LEASE}")]);
    world.lease_revoked(LEASE, Ok(()));
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));

    let (code, report) = world.exit();
    assert_eq!((code, report.reason), (ExitCode::Done, Reason::Revoked));
    assert_eq!((report.leases, report.more_leases), (Vec::new(), 0));
}

#[test]
fn a_lease_that_vault_does_not_let_us_revoke_is_named_and_no_trouble() {
    let mut world = World::ready(&[DATABASE]);

    world.feed(Input::Terminate);
    world.step();
    world.lease_revoked(LEASE, Err(denied("permission denied", 403)));
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));

    let (code, report) = world.exit();
    assert_eq!((code, report.reason), (ExitCode::Done, Reason::Revoked));
    assert_eq!(report.leases, [LEASE]);
    assert_eq!(report.message, None);
}

#[test]
fn a_lease_that_vault_could_not_revoke_is_told_with_a_digest() {
    let mut world = World::ready(&[DATABASE]);

    world.feed(Input::Terminate);
    world.step();
    world.lease_revoked(LEASE, Err(denied("the database is down", 400)));
    world.step();
    world.revoked(Ok(()));

    let (code, report) = world.exit();
    assert_eq!((code, report.reason), (ExitCode::Done, Reason::Revoked));
    assert_eq!(report.leases, [LEASE]);
    let message = report.message.unwrap();
    assert!(message.contains("the database is down"), "{message}");
    assert!(!message.contains(LEASE), "{message}");
}

#[test]
fn a_database_that_does_not_answer_holds_up_no_token() {
    let mut world = World::ready(&[DATABASE]);
    world.feed(Input::Terminate);
    world.step();

    world.pass(Duration::from_secs(3));

    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));
    let (_, report) = world.exit();
    assert_eq!(
        (report.reason, &report.leases[..]),
        (Reason::Revoked, &[LEASE.to_owned()][..])
    );
}

#[test]
fn nobody_claims_to_know_the_leases_of_an_earlier_life() {
    let mut world = World::ready_with(&["static"], |start| start.left_tokens.push(left("t0")));

    world.feed(Input::Terminate);
    world.step();
    world.revoked(Ok(()));
    world.revoked(Ok(()));

    let (_, report) = world.exit();
    assert_eq!((report.reason, report.more_leases), (Reason::Revoked, 1));
}

#[test]
fn no_lease_is_named_whose_token_may_live() {
    let mut world = World::ready(&[DATABASE]);
    world.feed(Input::Terminate);
    world.step();
    world.lease_revoked(LEASE, Err(denied("permission denied", 403)));
    world.step();

    world.revoked(Err(denied("permission denied", 403)));

    let (_, report) = world.exit();
    assert_eq!(report.reason, Reason::RevokeFailed);
    assert_eq!(report.leases, [""; 0]);
}

#[test]
fn what_a_listener_hands_out_is_counted_also_on_the_way_out() {
    for is_early in [true, false] {
        let mut world = World::ready(&["static"]);
        if is_early {
            world.feed(Input::Granted);
        }
        world.feed(Input::Terminate);
        assert_eq!(world.step(), ["revoke t1"]);

        if !is_early {
            world.feed(Input::Granted);
        }
        world.revoked(Ok(()));

        assert_eq!(world.exit().1.more_leases, 1);
    }
}
