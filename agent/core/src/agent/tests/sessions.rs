//! Doubts about a token, waits between logins, and what is told of it.

use std::time::Duration;

use planescape_agent_contract::{FileMode, Owner, Sink};
use planescape_vault::{Grant, SecretText, Text};

use super::world::*;
use crate::agent::Start;
use crate::command::{Destination, Notice};
use crate::input::Input;
use crate::token::TokenId;

/// An agent that is killed on the way out leaves its last message.
#[test]
fn a_renewal_that_is_answered_on_the_way_out_takes_nothing_back_of_who_the_agent_is() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    assert_eq!(world.step(), ["renew token t1"]);
    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1"]);

    world.renew_token(3600);
    assert_eq!(world.step(), NOTHING);

    let told = world.report.as_ref().unwrap();
    assert_eq!(told.unrevoked, ["accessor of 2"]);
}

#[test]
fn a_token_that_vault_knows_is_doubted_by_listeners_again_after_ten_seconds() {
    let mut world = World::ready(&["static"]);
    let refuse = |world: &mut World, token| {
        let token = TokenId(token);
        world.feed(Input::TokenRefused { token });
        world.step()
    };

    assert_eq!(refuse(&mut world, 2), NOTHING, "it is not the one in use");
    assert_eq!(refuse(&mut world, 1), ["look up t1"]);
    world.look_up(Ok(()));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_millis(9_999));
    assert_eq!(refuse(&mut world, 1), NOTHING);
    world.pass(Duration::from_millis(1));

    assert_eq!(refuse(&mut world, 1), ["look up t1"]);
}

#[test]
fn a_login_that_fails_holds_up_no_renewal_that_is_due_before_the_next_one() {
    let mut world = World::ready_with(&["static"], |start| {
        start.config.auth.follows_new_credentials = true;
        start.config.auth.min_backoff = Duration::from_secs(300);
    });
    let (renewal, _) = world.agent.poll_timeout().unwrap();
    let before = Duration::from_secs(1);
    world.pass(renewal.since(world.now.moment) - before);
    world.feed(Input::NewCredentials);
    assert_eq!(world.step(), ["log in"]);

    world.fail_login(&down());

    assert_eq!(world.step(), NOTHING);
    world.pass(before);
    assert_eq!(world.step(), ["renew token t1"]);
}

#[test]
fn credentials_that_come_during_a_login_for_others_are_not_forgotten_when_it_fails() {
    let mut world = World::ready_with(&["static"], |start| {
        start.config.auth.follows_new_credentials = true;
    });
    world.feed(Input::NewCredentials);
    assert_eq!(world.step(), ["log in"]);
    world.feed(Input::NewCredentials);

    world.fail_login(&down());

    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["log in"]);
}

/// The pod may be killed before the token is revoked.
#[test]
fn a_login_that_ends_on_the_way_out_stands_in_the_ledger() {
    let mut world = World::with(|start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
    });
    world.step();
    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);

    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["remember t1", "revoke t1"]);
}

/// A file may hold a token again that somebody else has extended.
#[test]
fn a_token_that_a_login_brings_again_is_not_left_out_of_the_ledger() {
    let mut world = World::build(&["static"], |start| {
        start.config.planescape.give_up_after = None;
    });
    world.step();
    let mut steps = Vec::new();
    for number in (0..10).chain([0, 11]) {
        world.log_in_with(|login| {
            login.token = SecretText::new(format!("t{number}"));
            login.grant = Grant::new(Duration::from_secs(60), false);
        });
        steps.extend(world.step());
        world.pass(Duration::from_secs(58));
        steps.extend(world.step());
    }

    let forgotten = steps.iter().filter(|step| step.starts_with("forget"));
    assert!(forgotten.eq(["forget t1"]), "{steps:?}");
}

/// It may be somebody else's, from a file.
#[test]
fn an_init_run_that_is_to_revoke_nothing_leaves_the_token_that_it_has_replaced() {
    for revokes in [false, true] {
        let mut world = World::with(|start| {
            start.config.exit_after_auth = true;
            start.config.planescape.revoke_on_exit = revokes;
            start.config.auth.follows_new_credentials = true;
        });
        world.step();
        world.log_in("t1", 3600);
        world.feed(Input::NewCredentials);
        world.step();
        world.log_in("t2", 3600);
        world.written();

        let steps = world.step();

        let is_revoked = steps.contains(&"revoke t1".to_owned());
        assert_eq!(is_revoked, revokes, "{steps:?}");
    }
}

#[test]
fn a_login_that_fails_on_the_way_out_is_waited_for_no_more() {
    let mut world = World::new(&["static"]);
    world.step();
    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);

    world.fail_login(&down());

    assert_eq!(world.step(), ["exit Interrupted Terminated"]);
}

#[test]
fn a_token_that_no_guard_can_shorten_is_told_of_at_the_login() {
    for (seconds, is_renewable, has_limited_uses, told) in [
        (0, true, false, Some(None)),
        (3600, false, false, Some(Some(3600))),
        (61, false, false, Some(Some(61))),
        (60, false, false, None),
        (3600, true, true, Some(Some(3600))),
        (3600, true, false, None),
    ] {
        let mut world = World::with(guarded);
        world.step();

        world.log_in_with(|login| {
            login.grant = Grant::new(Duration::from_secs(seconds), is_renewable);
            login.has_limited_uses = has_limited_uses;
        });
        world.step();

        let told = told.map(|ttl| ttl.map(Duration::from_secs));
        assert_eq!(unguarded(&mut world), told, "{seconds} {is_renewable}");
    }
}

#[test]
fn a_renewal_that_changes_nothing_is_told_to_nobody_else() {
    let changes: [fn(&mut Start); 2] = [|_| {}, guarded];
    for change in changes {
        let mut world = World::with(change);
        world.step();
        world.log_in("t1", 3600);
        world.step();
        world.written();
        world.renew_token(60);
        world.step();
        world.notices.clear();
        world.report = None;

        world.renew_token(60);
        world.step();
        world.fail_token(&down());
        world.step();

        assert_eq!(unguarded(&mut world), None);
        assert!(world.report.is_none());
    }
}

#[test]
fn the_login_and_what_was_read_stand_in_the_report() {
    let mut world = World::new(&[DATABASE]);
    world.step();
    world.log_in_with(|login| login.request = "r-1".to_owned());
    world.read_for_the_login();
    world.written();
    world.step();

    let report = world.report.take().unwrap();
    assert_eq!(report.login_request.as_deref(), Some("r-1"));
    let paths: Vec<&str> = report.reads.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["database/creds/ro"]);
}

#[test]
fn nothing_is_told_of_leases_while_none_comes_or_goes() {
    let mut world = World::ready(&[DATABASE]);
    world.report = None;

    world.pass(Duration::from_secs(65));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    world.renew_lease(90);
    world.step();
    assert!(world.report.is_none(), "it is renewed");

    world.pass(Duration::from_secs(65));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    world.step();
    let more = world.report.take().map(|report| report.more_leases);
    assert_eq!(more, Some(1), "one may be on its way");
    world.feed(Input::Timeout);
    world.step();
    assert!(world.report.is_none(), "once");

    world.fail("database/creds/ro", &denied("permission denied", 403));
    world.step();
    let report = world.report.take().unwrap();
    assert_eq!((report.leases.len(), report.more_leases), (1, 0));
}

#[test]
fn the_shortest_life_after_which_vault_extends_nothing_is_reported() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    world.step();
    world.renew_token(600);
    assert_eq!(max_seconds(&mut world), Some(3130), "of the token");
    world.pass(Duration::from_secs(421));
    world.step();
    world.log_in("t2", 3600);
    assert_eq!(
        max_seconds(&mut world),
        Some(3130),
        "of one that is replaced"
    );

    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.renew_lease(30);
    world.pass(Duration::from_secs(22));
    assert_eq!(max_seconds(&mut world), Some(95), "of a lease");
    let second = CREDENTIALS.replace("ro/1", "ro/2");
    world.answer("database/creds/ro", &second);
    assert_eq!(max_seconds(&mut world), Some(95), "of one that is replaced");

    let mut world = World::new(&[DATABASE]);
    world.get_ready(&CREDENTIALS.replace("true", "false"));
    let report = world.report.unwrap();
    assert_eq!(
        report.max_seconds,
        Some(90),
        "of one that cannot be renewed"
    );
}

/// The former lease ends with the token under which it was read.
#[test]
fn a_lease_that_was_renewed_for_long_is_revoked_although_another_one_has_come() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(65));
    world.step();
    world.renew_lease(36_000);
    world.pass(Duration::from_secs(2465));
    assert_eq!(world.step(), ["renew token t1"]);
    world.renew_token(600);
    world.pass(Duration::from_secs(421));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 36_000);
    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
    let second = CREDENTIALS.replace("ro/1", "ro/2").replace("90", "0");
    world.answer("database/creds/ro", &second);
    world.step();
    world.written();

    // The first token has ten seconds left.
    world.pass(Duration::from_secs(169));
    world.step();
    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
}

/// Leases that end with a token are told of at once, however long they would last.
#[test]
fn the_end_of_a_token_is_the_end_of_what_it_has_leased() {
    let mut world = World::ready(&[DATABASE, "static"]);

    world.fail_token(&denied("invalid token", 403));
    world.step();

    let mut notices = std::mem::take(&mut world.notices).into_iter();
    let expired = notices.find_map(|notice| match notice {
        Notice::Expired { templates, .. } => Some(templates),
        _ => None,
    });
    assert_eq!(expired, Some(vec![0]));
}

#[test]
fn an_agent_with_a_sink_is_ready_when_both_are_written() {
    for first in [Destination::Sink(0), Destination::Template(0)] {
        let mut world = World::with(|start| start.config.auth.sinks.push(sink()));
        world.step();
        world.log_in("t1", 3600);
        let mut both = world.step();
        both.sort();
        assert_eq!(both, ["write sink 0: t1", "write template 0: static"]);
        let second = match first {
            Destination::Sink(_) => Destination::Template(0),
            Destination::Template(_) => Destination::Sink(0),
        };

        written(&mut world, first);
        assert_eq!(world.step(), NOTHING, "{first:?} alone");
        written(&mut world, second);

        assert_eq!(world.step(), ["announce ready"]);
    }
}

#[test]
fn a_wrapped_token_goes_into_its_sink_and_is_neither_used_nor_renewed() {
    let mut world = World::build(&["x"], |start| {
        start.config.templates.clear();
        start.texts.clear();
        start.config.planescape.revoke_on_exit = false;
        start.config.auth.sinks.push(sink());
    });
    world.step();

    world.feed(Input::LoggedInWrapped {
        ticket: world.ticket("login"),
        result: Ok(Text::from("wrapped")),
    });

    assert_eq!(world.step(), ["write sink 0: wrapped"]);
    world.written();
    assert_eq!(world.step(), ["announce ready"]);
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(world.step(), NOTHING);
}

fn guarded(start: &mut Start) {
    start.config.planescape.lease_guard = Some(Duration::from_secs(60));
    start.config.planescape.give_up_after = None;
}

#[test]
fn a_login_for_the_end_of_a_token_is_told_and_no_other() {
    let mut world = World::new(&["static"]);
    let told = |world: &World| {
        let ends = world.notices.iter().filter(|it| **it == Notice::TokenEnds);
        ends.count()
    };
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.written();
    assert_eq!(told(&world), 0);

    world.come_near_the_maximum();
    assert_eq!(told(&world), 1);

    world.fail_login(&down());
    world.pass(Duration::from_secs(120));
    assert!(world.step().contains(&"log in".to_owned()));
    assert_eq!(told(&world), 1, "once");
}

pub(super) fn sink() -> Sink {
    Sink {
        path: "/token".to_owned(),
        mode: FileMode::SINK,
        owner: Owner::default(),
        wrap_ttl: None,
        encryption: None,
    }
}

fn written(world: &mut World, destination: Destination) {
    world.feed(Input::Written {
        destination,
        result: Ok(true),
    });
}

/// The notice of a guard without effect since the last look.
fn unguarded(world: &mut World) -> Option<Option<Duration>> {
    let mut notices = std::mem::take(&mut world.notices).into_iter();
    notices.find_map(|notice| match notice {
        Notice::Unguarded { ttl } => Some(ttl),
        _ => None,
    })
}

/// The maximum that would be reported if the agent ended now.
fn max_seconds(world: &mut World) -> Option<u64> {
    world.step();
    world
        .agent
        .rendered_end(world.now.moment)
        .report
        .max_seconds
}
