//! Tokens that templates make.

use std::time::Duration;

use planescape_agent_contract::Reason;
use planescape_templates::Request;
use planescape_vault::Grant;

use super::world::*;
use crate::command::Command;
use crate::failure::Failure;
use crate::input::Input;
use crate::living::LeftToken;
use crate::token::{Ticket, TokenId};
use crate::verdict::ExitCode;

const CHILD: &str =
    r#"{{ with secret "auth/token/create" "ttl=10h" }}{{ .Auth.ClientToken }}{{ end }}"#;
const ORPHAN: &str =
    r#"{{ with secret "auth/token/create-orphan" "ttl=10h" }}{{ .Auth.ClientToken }}{{ end }}"#;

#[test]
fn a_token_below_ours_is_made_anew_when_ours_is_replaced_and_an_orphan_is_not() {
    for (text, is_orphan) in [(CHILD, false), (ORPHAN, true)] {
        let made = token(36_000, is_orphan);
        let mut world = ready(text, &made);
        world.come_near_the_maximum();
        world.log_in("t2", 3600);

        let steps = serve(&mut world, &made, Duration::ZERO);

        let is_made_anew = steps.iter().any(|step| step.starts_with("put auth/token"));
        assert_eq!(is_made_anew, !is_orphan, "{steps:?}");
    }
}

#[test]
fn a_token_renews_itself_from_its_question_on_and_is_made_anew_when_vault_has_lost_it() {
    let made = token(1200, false);
    let mut world = World::new(&[CHILD]);
    world.step();
    world.log_in("t1", 3600);
    // An earlier life has asked.
    serve(&mut world, &made, Duration::from_secs(900));
    assert!(world.agent.is_ready());

    world.pass(Duration::from_secs(2));
    assert_eq!(world.step(), ["renew made itself"]);
    renewed(&mut world, Ok(grant(1200)));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(700));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(150));
    assert_eq!(world.step(), ["renew made itself"]);
    renewed(&mut world, Err(denied("invalid token", 403)));

    assert_eq!(world.step(), ["put auth/token/create as t1"]);
}

/// A program that has it from a file goes on while logins fail for a while.
#[test]
fn a_token_renews_itself_also_while_the_agent_has_none() {
    let mut world = ready(ORPHAN, &token(1200, true));
    world.fail_token(&denied("invalid token", 403));
    assert_eq!(world.step(), ["log in"]);
    world.pass(Duration::from_secs(850));

    assert_eq!(world.step(), ["renew made itself"]);
    renewed(&mut world, Err(denied("invalid token", 403)));
    assert_eq!(world.step(), NOTHING, "that is for the login to replace");
}

#[test]
fn our_own_token_in_a_template_is_renewed_as_ours_alone() {
    for is_orphan in [true, false] {
        let own = token(3600, is_orphan).replace("\"made\"", "\"t1\"");
        let mut world = ready(&CHILD.replace("create", "renew-self"), &own);

        world.pass(Duration::from_secs(2530));
        assert_eq!(world.step(), ["renew token t1"]);
        world.renew_token(3600);
        world.pass(Duration::from_secs(900));
        assert_eq!(world.step(), ["put auth/token/renew-self as t1"]);
    }
}

#[test]
fn an_orphan_is_named_remembered_and_revoked_like_our_own() {
    let made = token(36_000, true);
    let mut world = with_ledger(ORPHAN, None);
    let steps = serve(&mut world, &made, Duration::ZERO);
    assert!(steps.contains(&"remember made".to_owned()), "{steps:?}");
    let writes = |steps: &[String]| steps.contains(&"write template 0: made".to_owned());
    assert!(!writes(&steps), "no next life would find it: {steps:?}");
    remembered(&mut world, 2);
    assert!(writes(&serve(&mut world, &made, Duration::ZERO)));
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.unrevoked, ["accessor of 2", "accessor of made"]);

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t1", "revoke made"]);
    world.revoked(Ok(()));
    world.revoked(Err(denied("permission denied", 403)));
    let (_, report) = world.exit();
    assert_eq!(report.reason, Reason::RevokeFailed);
    assert_eq!(report.unrevoked, ["accessor of made"]);
}

#[test]
fn a_token_is_renewed_and_revoked_in_the_namespace_that_its_path_names() {
    let text = ORPHAN.replace("auth/", "team/auth/");
    for (reads, place) in [(None, "team/"), (Some("people/"), "people/team/")] {
        let mut world = with_ledger(&text, reads);
        let mut places = Vec::new();
        serve(&mut world, &token(1200, true), Duration::ZERO);
        remembered(&mut world, 2);
        serve(&mut world, "", Duration::ZERO);
        world.pass(Duration::from_secs(850));
        assert_eq!(world.step(), ["renew made itself"]);
        places.extend(world.pending.iter().map(place_of));
        world.feed(Input::Terminate);
        assert_eq!(world.step(), ["revoke t1", "revoke made"]);
        places.extend(world.pending.iter().map(place_of));

        assert_eq!(places, [place, "", place], "{reads:?}");
    }
}

#[test]
fn a_lease_is_renewed_in_the_namespace_that_its_path_names() {
    const PATH: &str = "team/database/creds/ro";
    let text = format!("{{{{ with secret {PATH:?} }}}}{{{{ .Data.username }}}}{{{{ end }}}}");
    let mut world = World::new(&[text.as_str()]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount(PATH, "database");
    world.step();
    world.answer(PATH, CREDENTIALS);
    world.step();
    world.written();
    world.step();
    world.pass(Duration::from_secs(64));

    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    assert_eq!(place_of(&world.pending[0]), "team/");
}

/// The next life knows the namespace from the ledger.
#[test]
fn a_token_stands_in_the_ledger_with_its_namespace_and_is_revoked_there_by_the_next_life() {
    let mut world = World::build(&["static"], |start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
        let mut made = left("made");
        made.namespace = Some("team/".to_owned());
        start.left_orphans.push(made);
    });
    let steps = world.step();
    assert!(steps.contains(&"remember made".to_owned()), "{steps:?}");
    let mut remembered = world.pending.iter().map(place_of);
    assert!(remembered.any(|place| place == "team/"));
    world.log_in("t1", 3600);
    world.step();

    world.feed(Input::Terminate);
    world.step();

    let places: Vec<String> = world.pending.iter().map(place_of).collect();
    assert_eq!(places, ["", "team/"]);
}

#[test]
fn an_orphan_that_comes_on_the_way_out_stands_in_the_ledger() {
    let mut world = with_ledger(ORPHAN, None);
    world.step();
    world.find_mount("auth/token/create-orphan", "token");
    assert_eq!(world.step(), ["put auth/token/create-orphan as t1"]);
    world.feed(Input::Terminate);

    answer(&mut world, &token(3600, true), Duration::ZERO);

    assert_eq!(world.step(), ["remember made", "revoke t1", "revoke made"]);
}

/// A text that was gone for a while may have made another one.
#[test]
fn the_answer_to_a_renewal_of_a_former_token_says_nothing_of_the_next_one() {
    let mut world = World::new(&[ORPHAN]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("auth/token/create-orphan", "token");
    world.step();
    let (ticket, request) = asked(&world);
    answer(&mut world, &token(36_000, true), Duration::ZERO);
    world.step();

    world.feed(Input::LeaseRenewed {
        ticket,
        request,
        result: Ok(grant(10)),
    });

    world.pass(Duration::from_secs(20));
    world.feed(Input::Terminate);
    world.step();
    world.revoked(Ok(()));
    world.revoked(Err(denied("permission denied", 403)));
    let (code, report) = world.exit();
    assert_eq!(code, ExitCode::Unavailable, "it lives for hours");
    assert!(report.ttl_seconds > Some(35_000), "{report:?}");
}

/// One life may make thousands of orphans.
#[test]
fn orphans_that_are_over_for_long_are_left_out_of_the_ledger() {
    let mut world = with_ledger(ORPHAN, None);
    let brief = token(60, true).replace("\"renewable\": true", "\"renewable\": false");
    let mut steps = Vec::new();
    for number in 0..12 {
        let made = brief.replace("made", &format!("made{number}"));
        steps.extend(serve(&mut world, &made, Duration::ZERO));
        remembered(&mut world, number + 2);
        steps.extend(serve(&mut world, "", Duration::ZERO));
        world.pass(Duration::from_secs(70));
    }

    let remembered = steps.iter().filter(|step| step.starts_with("remember"));
    assert_eq!(remembered.count(), 13, "{steps:?}");
    let forgotten = steps.iter().filter(|step| step.starts_with("forget"));
    assert!(
        forgotten.eq(["forget made0", "forget made1", "forget made2"]),
        "{steps:?}"
    );
}

#[test]
fn an_orphan_whose_renewal_was_not_answered_may_live_when_its_time_is_over() {
    for (answer, code) in [
        (down(), ExitCode::Unavailable),
        (denied("permission denied", 403), ExitCode::Done),
    ] {
        let mut world = ready(ORPHAN, &token(1200, true));
        world.pass(Duration::from_secs(1000));
        assert_eq!(world.step(), ["renew made itself"]);
        renewed(&mut world, Err(answer));
        world.step();
        world.pass(Duration::from_secs(300));

        world.feed(Input::Terminate);
        let mut steps = world.step();
        // Another one may be on its way.
        world.pass(Duration::from_secs(5));
        steps.extend(world.step());
        let revoked = steps.iter().filter(|step| step.starts_with("revoke"));
        assert!(revoked.eq(["revoke t1", "revoke made"]), "{steps:?}");
        world.revoked(Ok(()));
        world.revoked(Err(denied("permission denied", 403)));

        assert_eq!(world.exit().0, code);
    }
}

#[test]
fn what_an_earlier_life_has_leased_is_revoked_before_an_orphan() {
    let mut world = World::build(&[ORPHAN], |start| start.left_tokens.push(left("t0")));
    world.step();
    world.log_in("t1", 3600);
    serve(&mut world, &token(36_000, true), Duration::ZERO);

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke t1", "revoke t0", "revoke made"]);
}

/// Readers of the message count from the end of the agent, which may have renewed the orphan a moment before.
#[test]
fn an_orphan_is_told_with_all_that_vault_has_granted_however_late_it_is() {
    let mut world = ready(ORPHAN, &token(36_000, true));
    world.pass(Duration::from_secs(2530));
    assert_eq!(world.step(), ["renew token t1"]);
    world.renew_token(1800);
    assert_eq!(world.step(), NOTHING);

    let told = world.report.as_ref().unwrap();
    assert_eq!(told.ttl_seconds, Some(36_000));
}

/// Vault may have done what it was asked for, unless it has said no.
#[test]
fn an_orphan_whose_renewal_was_not_heard_is_told_without_an_end() {
    let denied = || denied("permission denied", 403);
    for (answer, expected) in [
        (None, None),
        (Some(down()), None),
        (Some(denied()), Some(352)),
    ] {
        let mut world = ready(ORPHAN, &token(1200, true));
        world.pass(Duration::from_secs(850));
        assert_eq!(world.step(), ["renew made itself"]);
        if let Some(answer) = answer {
            renewed(&mut world, Err(answer));
        }
        world.feed(Input::Terminate);
        // Another one may be on its way.
        world.pass(Duration::from_secs(5));
        world.step();
        world.revoked(Ok(()));
        world.revoked(Err(denied()));

        let (_, report) = world.exit();

        assert_eq!(report.unrevoked, ["accessor of made"]);
        assert_eq!(report.ttl_seconds, expected);
    }
}

#[test]
fn an_orphan_that_the_cache_has_handed_on_is_one_of_those_that_are_left() {
    let made = token(36_000, true);
    let mut world = World::build(&[ORPHAN], |start| {
        start.config.exit_after_auth = true;
        start.left_tokens.extend([left("t0"), left("made")]);
    });
    world.step();
    world.log_in("t1", 3600);

    let steps = serve(&mut world, &made, Duration::from_secs(60));

    let revoked = steps.iter().filter(|step| step.starts_with("revoke"));
    assert!(revoked.eq(["revoke t0"]), "{steps:?}");
    world.revoked(Ok(()));
    let (_, report) = world.exit();
    assert_eq!(report.reason, Reason::Rendered);
    assert_eq!(report.unrevoked, ["accessor of 2", "accessor of made"]);
}

#[test]
fn an_orphan_of_an_earlier_life_is_revoked_at_the_end_whether_or_not_a_template_takes_it() {
    for text in [ORPHAN, "static"] {
        let mut world = World::build(&[text], |start| start.left_orphans.push(left("made")));
        world.step();
        world.log_in("t1", 3600);
        serve(&mut world, &token(36_000, true), Duration::from_secs(60));
        assert!(world.agent.is_ready());

        world.feed(Input::Terminate);
        assert_eq!(world.step(), ["revoke t1", "revoke made"], "{text}");
    }
}

/// The agent does not renew an orphan that no text takes.
#[test]
fn an_orphan_of_an_earlier_life_is_told_with_its_end_and_fails_nobody_after_it() {
    let mut world = World::build(&["static"], |start| {
        start.left_orphans.push(LeftToken {
            lasts: Some(Duration::from_secs(5000)),
            ..left("made")
        });
    });
    world.step();
    world.log_in("t1", 3600);
    serve(&mut world, "", Duration::ZERO);
    let told = world.report.as_ref().unwrap();
    assert_eq!(told.ttl_seconds, Some(5000));
    world.come_near_the_maximum();
    world.log_in("t2", 36_000);
    world.step();
    world.pass(Duration::from_secs(2100));
    world.step();

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke t2", "revoke t1", "revoke made"]);
    world.revoked(Ok(()));
    world.revoked(Ok(()));
    world.revoked(Err(denied("permission denied", 403)));

    let (code, report) = world.exit();
    assert_eq!(
        (code, report.reason),
        (ExitCode::Done, Reason::RevokeFailed)
    );
    assert_eq!(report.ttl_seconds, Some(0));
}

/// The cache that hands it on is removed where it is not kept.
#[test]
fn an_orphan_of_an_earlier_life_is_remembered_where_the_ledger_lacks_it() {
    let mut world = World::build(&["static"], |start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
        start.left_tokens.push(left("known"));
        start.left_orphans.extend([left("known"), left("made")]);
    });

    let steps = world.step();

    let remembered = steps.iter().filter(|step| step.starts_with("remember"));
    assert!(remembered.eq(["remember made"]), "{steps:?}");
}

#[test]
fn an_init_run_leaves_the_orphans_of_the_one_before_it_in_their_files_and_names_them() {
    let mut world = World::build(&["static"], |start| {
        start.config.exit_after_auth = true;
        start.left_orphans.push(left("made"));
    });
    world.step();
    world.log_in("t1", 3600);

    let steps = serve(&mut world, "", Duration::ZERO);

    assert!(
        steps.contains(&"exit Done Rendered".to_owned()),
        "{steps:?}"
    );
    assert!(!steps.iter().any(|step| step.starts_with("revoke")));
    let told = world.report.as_ref().unwrap();
    assert_eq!(told.unrevoked, ["accessor of 2", "accessor of made"]);
}

#[test]
fn what_cannot_be_revoked_is_counted_and_what_others_made_is_left_alone() {
    let of_others = CHILD.replace("create", "renew-self");
    let batch = token(36_000, true).replace("accessor of made", "");
    let orphan = token(36_000, true);
    for (text, made, more) in [(ORPHAN, &batch, 1), (of_others.as_str(), &orphan, 0)] {
        let mut world = ready(text, made);
        world.feed(Input::Terminate);

        assert_eq!(world.step(), ["revoke t1"], "{text}");
        world.revoked(Ok(()));
        let (_, report) = world.exit();
        assert_eq!((report.reason, report.more_leases), (Reason::Revoked, more));
    }
}

/// A killed agent has said how many there may be.
#[test]
fn what_cannot_be_revoked_is_counted_as_soon_as_it_is_there() {
    let batch = token(1200, true).replace("accessor of made", "");
    let batch = batch.replace("\"renewable\": true", "\"renewable\": false");
    let mut world = ready(ORPHAN, &batch);
    assert_eq!(world.report.as_ref().unwrap().more_leases, 1);
    world.pass(Duration::from_secs(1150));

    let next = batch.replace("\"made\"", "\"next\"");
    let steps = serve(&mut world, &next, Duration::ZERO);

    let is_written = steps.contains(&"write template 0: next".to_owned());
    assert!(is_written, "{steps:?}");
    assert_eq!(world.report.as_ref().unwrap().more_leases, 2);
}

#[test]
fn what_waits_wrapped_for_somebody_else_is_counted() {
    let wrapped =
        r#"{"wrap_info": {"token": "w", "accessor": "a", "ttl": 300, "wrapped_accessor": "b"}}"#;
    for (path, more) in [("auth/token/create", 1), ("sys/wrapping/wrap", 0)] {
        let text = CHILD.replace("auth/token/create", path);
        let text = text.replace("Auth.ClientToken", "WrapInfo.Token");
        let mut world = ready(&text, wrapped);
        world.feed(Input::Terminate);
        world.step();
        world.revoked(Ok(()));

        let (_, report) = world.exit();

        assert_eq!(report.more_leases, more, "{path}");
    }
}

fn ready(text: &str, made: &str) -> World {
    let mut world = World::new(&[text]);
    world.step();
    world.log_in("t1", 3600);
    serve(&mut world, made, Duration::ZERO);
    assert!(world.agent.is_ready());
    world
}

/// An agent whose token stands in its ledger; `reads` is the namespace of its reads.
fn with_ledger(text: &str, reads: Option<&str>) -> World {
    let mut world = World::build(&[text], |start| {
        start.config.planescape.ledger = Some("/ledger".to_owned());
        start.config.vault.connection.namespace = reads.map(str::to_owned);
    });
    world.step();
    world.log_in("t1", 3600);
    remembered(&mut world, 1);
    world
}

/// Answers every request, and returns all steps. The answers look as if they had been asked for `age` ago.
fn serve(world: &mut World, made: &str, age: Duration) -> Vec<String> {
    let mut steps = Vec::new();
    for _ in 0..10 {
        for step in world.step() {
            if let Some(rest) = step.strip_prefix("find mount of ") {
                let path = rest.split(' ').next().unwrap_or_default();
                world.find_mount(path, "token");
            } else if step.starts_with("put") {
                answer(world, made, age);
            } else if step.starts_with("write") {
                world.written();
            }
            steps.push(step);
        }
    }
    steps
}

fn remembered(world: &mut World, token: u64) {
    world.feed(Input::Remembered {
        token: TokenId(token),
        result: Ok(()),
    });
}

fn renewed(world: &mut World, result: Result<Grant, Failure>) {
    let Some(Command::RenewMade(made)) = world.pending.pop() else {
        panic!("nothing is renewed");
    };
    world.feed(Input::LeaseRenewed {
        ticket: made.ticket,
        request: made.request,
        result,
    });
}

fn asked(world: &World) -> (Ticket, Request) {
    let asked = world.pending.iter().find_map(|command| match command {
        Command::Read {
            ticket, request, ..
        } => Some((*ticket, request.clone())),
        _ => None,
    });
    asked.expect("something is asked for")
}

fn answer(world: &mut World, made: &str, age: Duration) {
    let (mut ticket, request) = asked(world);
    ticket.sent = ticket.sent.before(age);
    let result = Ok(secret(made));
    world.feed(Input::Answered {
        ticket,
        request,
        result,
    });
}

/// The namespace of the command, if a path has named one.
fn place_of(command: &Command) -> String {
    let namespace = match command {
        Command::RenewMade(made) => &made.namespace,
        Command::RenewLease { namespace, .. } => namespace,
        Command::Remember { token, .. } | Command::Revoke { token } => &token.namespace,
        _ => &None,
    };
    namespace.clone().unwrap_or_default()
}

fn token(ttl: u64, is_orphan: bool) -> String {
    format!(
        r#"{{"lease_id": "", "renewable": false, "data": null, "auth": {{"client_token": "made",
            "accessor": "accessor of made", "lease_duration": {ttl}, "renewable": true, "orphan": {is_orphan}}}}}"#
    )
}
