//! The life of a token: ledger, report, look-up, revocation.

use std::time::Duration;

use planescape_agent_contract::{ListenAddress, Listener, Phase, Reason};

use super::world::*;
use crate::agent::Start;
use crate::command::{Command, Notice};
use crate::failure::Failure;
use crate::input::Input;
use crate::living::LeftLeases;
use crate::token::TokenId;
use crate::verdict::ExitCode;

#[test]
fn a_token_stands_in_the_ledger_before_it_is_used() {
    let mut world = with_a_ledger();
    world.step();
    world.log_in("t1", 3600);

    assert_eq!(world.step(), ["remember t1"]);
    world.feed(Input::Remembered {
        token: TokenId(1),
        result: Ok(()),
    });
    assert_eq!(world.step(), ["find mount of database/creds/ro as t1"]);
}

#[test]
fn a_ledger_that_cannot_be_written_is_told_and_keeps_nobody_from_the_secrets() {
    let mut world = with_a_ledger();
    world.step();
    world.log_in("t1", 3600);
    world.step();

    world.feed(Input::Remembered {
        token: TokenId(1),
        result: Err(Failure::File {
            path: "/ledger".to_owned(),
            message: "No space left on device".to_owned(),
        }),
    });

    assert_eq!(world.step(), ["find mount of database/creds/ro as t1"]);
    let is_told = |notice: &Notice| matches!(notice, Notice::NotRemembered { .. });
    assert!(world.notices.iter().any(is_told), "{:?}", world.notices);
}

#[test]
fn the_termination_message_names_every_living_token_from_the_login_on() {
    let mut world = World::with(|start| start.left_tokens.push(left("t0")));
    world.step();
    world.log_in("t1", 3600);
    world.step();

    let report = world.report.unwrap();
    assert_eq!(report.phase, Phase::Running);
    assert_eq!(report.reason, Reason::LoggedIn);
    assert_eq!(report.accessor.as_deref(), Some("accessor of 2"));
    assert_eq!(report.unrevoked, ["accessor of 2", "accessor of t0"]);
}

#[test]
fn the_termination_message_names_every_lease_and_says_that_another_may_be_on_its_way() {
    let told = |world: &World| {
        let report = world.report.as_ref().unwrap();
        assert!(report.names_leases);
        (report.leases.len(), report.more_leases)
    };
    let mut world = World::build(&[DATABASE], |_| {});
    world.step();
    world.log_in("t1", 3600);
    world.step();
    assert_eq!(told(&world), (0, 1), "something is about to be read");
    world.find_mount("database/creds/ro", "database");
    world.step();
    world.answer("database/creds/ro", CREDENTIALS);
    world.step();
    world.written();
    world.step();
    assert_eq!(told(&world), (1, 0));

    world.pass(Duration::from_secs(64));
    world.step();
    world.fail_lease(&denied("lease not found", 400));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    assert_eq!(told(&world), (1, 1));
    let another = CREDENTIALS.replace("ro/1", "ro/2");
    world.answer("database/creds/ro", &another);
    world.step();
    assert_eq!(told(&world), (2, 0));

    let mut world = World::ready_with(&["static"], |start| start.left_tokens.push(left("t0")));
    world.step();
    assert_eq!(told(&world), (0, 1), "of an earlier life nobody knows");
}

#[test]
fn an_init_run_names_its_leases_for_the_life_that_goes_on_with_its_token() {
    let mut world = World::build(&[DATABASE], |start| start.config.exit_after_auth = true);
    world.read_credentials();
    world.written();
    assert_eq!(world.step(), ["announce ready", "exit Done Rendered"]);

    let report = world.report.unwrap();
    assert_eq!(report.leases, ["database/creds/ro/1"]);
    assert_eq!((report.names_leases, report.more_leases), (true, 0));
}

#[test]
fn the_leases_that_an_earlier_life_has_named_are_revoked_one_by_one() {
    let named = |start: &mut Start| {
        start.left_tokens.push(left("t0"));
        start.left_leases = Some(LeftLeases {
            ids: vec!["database/creds/ro/0".to_owned()],
            more: 0,
        });
    };
    let mut world = World::ready_with(&["static"], named);
    world.step();
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.leases, ["database/creds/ro/0"], "for the next life");
    assert_eq!(report.more_leases, 0);

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke database/creds/ro/0"]);
    world.lease_revoked("database/creds/ro/0", Ok(()));
    assert_eq!(world.step(), ["revoke t1", "revoke t0"]);
    world.revoked(Ok(()));
    world.revoked(Ok(()));

    let (_, report) = world.exit();
    assert_eq!(report.reason, Reason::Revoked);
    assert_eq!((report.leases.len(), report.more_leases), (0, 0));
}

#[test]
fn a_token_that_the_ledger_and_the_cache_have_is_one() {
    let mut world = World::rendered_beside("t1");

    assert_eq!(world.step(), ["announce ready", "exit Done Rendered"]);
}

/// The cache is removed where it is not kept, and a ledger may name a token twice.
#[test]
fn what_earlier_lives_have_left_stands_in_the_ledger_and_is_revoked_once() {
    let mut world = World::build(&["static"], |start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
        let mut unwritten = left("t2");
        unwritten.is_written = false;
        let mut nameless = left("t0");
        nameless.accessor = String::new();
        start.left_tokens.extend([nameless, left("t0"), unwritten]);
    });
    let steps = world.step();
    let remembered = steps.iter().filter(|step| step.starts_with("remember"));
    assert!(remembered.eq(["remember t2"]), "{steps:?}");
    world.log_in("t1", 3600);
    world.step();
    let told = &world.report.as_ref().unwrap().unrevoked;
    assert_eq!(told[1..], ["accessor of t0", "accessor of t2"]);

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke t1", "revoke t0", "revoke t2"]);
}

#[test]
fn a_token_of_so_many_requests_is_told() {
    for has_limited_uses in [true, false] {
        let mut world = World::new(&["static"]);
        world.step();
        world.log_in_with(|login| login.has_limited_uses = has_limited_uses);
        world.step();

        let is_told = |notice: &Notice| matches!(notice, Notice::LimitedUses);
        assert_eq!(world.notices.iter().any(is_told), has_limited_uses);
    }
}

#[test]
fn credentials_that_end_with_a_replaced_token_are_told_although_their_lease_is_longer() {
    let long = CREDENTIALS.replace("90", "36000");
    let mut world = World::build(&[DATABASE], |_| {});
    world.get_ready(&long);
    world.come_near_the_maximum();
    // The old one has 179 s left.
    world.log_in("t2", 3600);
    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
    world.fail("database/creds/ro", &down());
    let is_told = |world: &mut World| {
        world.step();
        let mut notices = std::mem::take(&mut world.notices).into_iter();
        notices.any(|notice| matches!(notice, Notice::Expired { .. }))
    };

    world.pass(Duration::from_secs(175));
    assert!(!is_told(&mut world));
    world.pass(Duration::from_secs(15));
    assert!(is_told(&mut world));
}

#[test]
fn a_refusal_that_speaks_of_an_invalid_token_loses_no_token_that_vault_knows() {
    let mut world = reading();
    world.fail("database/creds/ro", &denied("invalid token", 403));
    assert_eq!(world.step(), ["look up t1"]);

    world.look_up(Ok(()));
    assert_eq!(world.step(), NOTHING);
    for _ in 0..20 {
        world.pass(Duration::from_secs(1));
        for step in world.step() {
            assert!(!step.contains("look up") && step != "log in", "{step}");
            if step.starts_with("find mount") {
                world.find_mount("database/creds/ro", "database");
            } else if step.starts_with("get") {
                world.fail("database/creds/ro", &denied("invalid token", 403));
            }
        }
    }
}

#[test]
fn a_token_that_may_not_look_itself_up_is_alive() {
    let mut world = reading();
    world.fail("database/creds/ro", &denied("invalid token", 403));
    world.step();

    world.look_up(Err(denied("permission denied", 403)));
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_token_whose_renewals_were_not_answered_is_revoked_at_the_end_although_its_time_is_over() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    assert_eq!(world.step(), ["renew token t1"]);
    world.fail_token(&down());
    for _ in 0..40 {
        world.pass(Duration::from_secs(60));
        match world.step().first().map(String::as_str) {
            Some("renew token t1") => world.fail_token(&down()),
            Some("log in") => world.fail_login(&down()),
            Some(other) => panic!("{other}"),
            None => {}
        }
    }

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn a_token_renewal_that_grants_nothing_is_followed_by_a_login_and_a_revocation() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    world.step();

    world.renew_token(0);

    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);
    world.step();
    world.pass(Duration::from_secs(1200));
    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t2", "revoke t1"]);
}

#[test]
fn a_login_that_fails_is_tried_as_often_as_the_configuration_says() {
    let mut world = World::build(&["static"], |start| {
        start.config.auth.min_backoff = Duration::from_millis(200);
        start.config.auth.max_backoff = Duration::from_millis(500);
        start.config.auth.backoff_is_explicit = true;
        start.config.planescape.exit_on_refusal = false;
        start.config.planescape.give_up_after = None;
    });

    for _ in 0..20 {
        assert_eq!(world.step(), ["log in"]);
        world.fail_login(&denied("permission denied", 403));
        world.pass(Duration::from_millis(500));
    }
}

#[test]
fn an_outage_that_outlasts_a_token_holds_up_no_login() {
    let mut world = World::ready(&["static"]);
    world.pass(Duration::from_secs(2530));
    let mut steps = world.step();
    let mut renewals = 0;
    while !steps.contains(&"log in".to_owned()) {
        if steps.contains(&"renew token t1".to_owned()) {
            renewals += 1;
            world.fail_token(&down());
        }
        world.pass(Duration::from_secs(1));
        steps = world.step();
    }
    assert!(renewals > 3, "{renewals}");

    world.fail_login(&down());
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["log in"]);
}

#[test]
fn no_more_than_six_logins_begin_in_a_minute() {
    let mut world = World::ready(&["static"]);
    let mut logins = 0;
    for _ in 0..60 {
        world.fail_token(&denied("invalid token", 403));
        if world.step().contains(&"log in".to_owned()) {
            logins += 1;
            world.log_in("t2", 3600);
            world.step();
        }
        world.pass(Duration::from_secs(1));
    }

    assert_eq!(logins, 5, "beside the first");
}

fn with_a_ledger() -> World {
    World::build(&[DATABASE], |start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
    })
}

/// An agent that waits for its first answer.
fn reading() -> World {
    let mut world = World::build(&[DATABASE], |start| {
        start.config.planescape.exit_on_refusal = false;
        start.config.planescape.give_up_after = None;
        start.config.template_config.exit_on_retry_failure = false;
    });
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();
    world
}

#[test]
fn a_guard_is_asked_for_at_once_and_its_half_is_told() {
    let mut world = guarded();
    world.step();
    world.log_in("t1", 3600);
    assert!(
        world.step().contains(&"renew token t1 for 60s".to_owned()),
        "beside the first requests"
    );
    world.renew_token(60);
    world.step();
    let report = world.report.as_ref().unwrap();
    assert_eq!(
        (report.phase, report.ttl_seconds),
        (Phase::Running, Some(60))
    );

    world.pass(Duration::from_secs(21));
    assert!(world.step().contains(&"renew token t1 for 60s".to_owned()));
    world.fail_token(&down());
    world.pass(Duration::from_secs(10));
    world.step();
    let told = |notice: &&Notice| matches!(notice, Notice::Endangered { .. });
    assert_eq!(world.notices.iter().filter(told).count(), 1);
    world.pass(Duration::from_secs(5));
    world.step();
    assert_eq!(world.notices.iter().filter(told).count(), 1, "once");
    let (wake, _) = world.agent.poll_timeout().unwrap();
    assert!(wake > world.now.moment, "nobody is woken for it again");
}

#[test]
fn says_that_a_guard_cannot_shorten_a_token() {
    let mut world = guarded();
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.renew_token(3600);
    world.step();

    let ttl = Some(Duration::from_secs(3600));
    let told = |notice: &Notice| matches!(notice, Notice::Unguarded { ttl: it } if *it == ttl);
    assert!(world.notices.iter().any(told), "{:?}", world.notices);
}

/// A role with `token_no_default_policy` gives such tokens.
#[test]
fn a_guard_that_vault_denies_is_told_and_leads_to_no_other_login() {
    let mut world = guarded();
    world.step();
    world.log_in("t1", 3600);
    world.step();

    world.fail_token(&denied("permission denied", 403));
    world.step();

    let ttl = Some(Duration::from_secs(3600));
    let told = |notice: &Notice| matches!(notice, Notice::Unguarded { ttl: it } if *it == ttl);
    assert!(world.notices.iter().any(told), "{:?}", world.notices);
    assert_eq!(world.report.as_ref().unwrap().ttl_seconds, Some(3600));
    world.pass(Duration::from_secs(120));
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn no_guard_is_told_that_vault_has_not_granted() {
    let mut world = guarded();
    world.step();
    world.log_in("t1", 3600);
    world.step();

    world.fail_token(&down());
    world.step();

    assert_eq!(world.report.as_ref().unwrap().ttl_seconds, Some(3600));
}

fn guarded() -> World {
    World::with(|start| {
        start.config.planescape.lease_guard = Some(Duration::from_secs(60));
        start.config.planescape.give_up_after = None;
    })
}

#[test]
fn a_file_that_comes_late_is_looked_for_as_often_as_before() {
    let mut world = World::with(|start| {
        start.config.auth.max_backoff = Duration::from_millis(400);
        start.config.planescape.give_up_after = None;
    });
    let missing = Failure::File {
        path: "/secret-id".to_owned(),
        message: "No such file or directory".to_owned(),
    };
    for _ in 0..30 {
        assert_eq!(world.step(), ["log in"]);
        world.fail_login(&missing);
        world.pass(Duration::from_millis(400));
    }

    assert_eq!(world.step(), ["log in"]);
}

#[test]
fn a_token_is_offered_once_to_requests_that_are_passed_on() {
    let offered = |world: &mut World| {
        let mut offered = world.step();
        offered.retain(|it| it.starts_with("offer"));
        offered
    };
    let listener = Listener {
        address: ListenAddress::Tcp("127.0.0.1:8100".to_owned()),
        is_for_metrics_only: false,
        requires_header: false,
        can_quit: false,
        tls: None,
    };
    let mut world = World::with(|start| start.config.proxy.listeners.push(listener));
    world.step();

    world.log_in("t1", 3600);
    assert_eq!(offered(&mut world), ["offer t1"]);
    world.written();
    assert_eq!(offered(&mut world), NOTHING);
    let report = world.report.unwrap();
    assert_eq!(report.more_leases, 1, "of what they hand out nobody knows");
}

#[test]
fn a_login_for_new_credentials_is_tried_until_it_succeeds_and_holds_up_no_renewal() {
    let mut world = World::ready_with(&["static"], |start| {
        start.config.auth.follows_new_credentials = true;
    });
    world.feed(Input::NewCredentials);
    assert_eq!(world.step(), ["log in"]);
    for _ in 0..7 {
        world.fail_login(&down());
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(300));
        assert_eq!(world.step(), ["log in"]);
    }

    world.fail_login(&down());
    world.pass(Duration::from_secs(430));
    assert_eq!(world.step(), ["renew token t1"]);
    world.renew_token(3600);
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);
    world.step();

    world.pass(Duration::from_secs(600));
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn a_token_whose_time_is_over_is_tried_all_the_same() {
    for answer in [Ok(()), Err(denied("invalid token", 403))] {
        let mut world = World::with_a_replaced_token();
        world.pass(Duration::from_secs(190));

        world.feed(Input::Terminate);
        assert_eq!(world.step(), ["revoke t2", "revoke t1"]);
        world.revoked(Ok(()));
        world.revoked(answer);

        assert_eq!(world.step(), ["exit Done Revoked"]);
    }
}

#[test]
fn nothing_is_said_to_be_revoked_while_a_token_whose_time_is_over_could_not_be_tried() {
    let mut world = World::with_a_replaced_token();
    world.pass(Duration::from_secs(190));

    world.feed(Input::Terminate);
    world.step();
    world.revoked(Ok(()));
    world.revoked(Err(down()));
    world.pass(Duration::from_secs(20));

    let (code, report) = world.exit();
    assert_eq!(
        (code, report.reason),
        (ExitCode::Unavailable, Reason::RevokeFailed)
    );
    assert_eq!(report.unrevoked, ["accessor of 2"]);
    assert!(!world.has_forgotten);
}

/// OpenBao says the same of one that has ended and of one that lives.
#[test]
fn no_clock_revokes_a_token_and_none_whose_time_is_over_fails_the_agent() {
    let mut world = World::with_a_replaced_token();
    world.pass(Duration::from_secs(190));

    world.feed(Input::Terminate);
    world.step();
    world.revoked(Ok(()));
    world.revoked(Err(denied("permission denied", 403)));

    let (code, report) = world.exit();
    assert_eq!(
        (code, report.reason),
        (ExitCode::Done, Reason::RevokeFailed)
    );
    assert_eq!(report.unrevoked, ["accessor of 2"]);
    assert_eq!((report.status, report.ttl_seconds), (None, Some(0)));
    let message = report.message.unwrap();
    assert!(!message.contains("policies need"), "{message}");
}

#[test]
fn leases_are_revoked_with_a_token_whose_time_is_not_over() {
    let mut world = World::ready(&[DATABASE]);
    world.pass(Duration::from_secs(2530));
    world.step();
    world.renew_lease(3600);
    world.renew_token(600);
    world.pass(Duration::from_secs(421));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t2", 3600);
    assert_eq!(world.step(), ["get database/creds/ro as t2"]);
    world.answer("database/creds/ro", &CREDENTIALS.replace("90", "36000"));
    world.pass(Duration::from_secs(2530));
    assert!(world.step().contains(&"renew token t2".to_owned()));
    world.fail_token(&denied("invalid token", 403));
    assert_eq!(world.step(), ["log in"]);

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
    let by = world.pending.iter().find_map(|command| match command {
        Command::RevokeLease { token, .. } => Some(token.expose()),
        _ => None,
    });
    assert_eq!(by, Some("t2"), "the time of t1 is over");
}
