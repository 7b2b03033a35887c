mod clock;
mod denied;
mod lost;
mod memory;
mod world;

use planescape_agent_contract::{Phase, Reason};
use planescape_vault::Refusal;

use super::supplying::SECRET_CHECK;
use super::*;
use crate::credentials::OrderedSecret;
use crate::credentials::run::Stage;
use world::{World, failure};

const OUTAGE: SignedDuration = SignedDuration::from_hours(1);

#[test]
fn a_run_goes_from_its_claim_to_its_pods_and_from_its_end_to_its_release() {
    let mut world = World::new(Stage::Waiting);

    let begun = world.go_on();
    assert_eq!(
        begun,
        [
            "Recall",
            "Claim",
            "LogIn",
            "Look(0)",
            "Read(0)",
            "Write(0)",
            "LetGo",
            "RenewToken",
            "RenewLease(0)"
        ]
    );
    world.run.stage = Stage::Over { deleted: None };
    let ended = world.go_on();
    assert_eq!(
        ended,
        [
            "RevokeLease(0)",
            "RevokeToken",
            "Tell(Revoked)",
            "Forget",
            "Release",
            "Finish"
        ]
    );
    assert_eq!(world.tokens, 1);
}

#[test]
fn whoever_is_killed_between_two_steps_is_followed_without_a_second_token_or_pod() {
    for kill_after in 0..20 {
        let mut world = World::new(Stage::Waiting);
        world.kill_after = Some(kill_after);
        world.go_on();
        assert_eq!(world.run.stage, Stage::Running, "{kill_after}");
        assert!(world.has_secret, "{kill_after}");
        world.run.stage = Stage::Over { deleted: None };
        world.go_on();

        assert_eq!(world.tokens, 1, "{kill_after}");
        assert!(!world.is_token_alive && !world.has_record, "{kill_after}");
        assert!(!world.run.is_claimed, "{kill_after}");
        assert_eq!(world.told(), "Revoked", "{kill_after}");
    }
}

#[test]
fn a_run_that_ends_before_it_began_logs_in_to_nothing() {
    let mut world = World::new(Stage::Over { deleted: None });

    assert_eq!(world.go_on(), ["Finish"]);
    assert_eq!(world.tokens, 0);
}

#[test]
fn a_deleted_secret_is_made_again_with_the_same_token() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.has_secret = false;
    world.now = world.now.saturating_add(SECRET_CHECK).unwrap();

    let again = world.go_on();

    assert_eq!(again, ["Look(0)", "Read(0)", "RenewLease(1)", "Write(0)"]);
    assert_eq!(world.tokens, 1);
    world.run.stage = Stage::Over { deleted: None };
    let ended = world.go_on();
    assert!(ended.contains(&"RevokeLease(1)".to_owned()), "{ended:?}");
}

#[test]
fn nothing_is_said_to_be_revoked_before_vault_says_so() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_vault_down = true;

    let tried = world.go_on();

    assert_eq!(tried, ["RevokeLease(0)", "Tell(Unreachable)"]);
    assert!(world.has_record && world.run.is_claimed);
    world.is_vault_down = false;
    world.now = world.now.saturating_add(LONGEST_RETRY * 2).unwrap();
    let again = world.go_on();
    assert_eq!(again[0], "RevokeLease(0)");
    assert_eq!(world.told(), "Revoked");
}

#[test]
fn where_vault_does_not_speak_of_leases_the_token_has_to_do_and_the_report_says_so() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.memory.may_not_revoke_leases = true;
    world.run.stage = Stage::Over { deleted: None };

    let mut unasked = world.clone();
    unasked.memory.may_not_look_up_leases = true;
    assert_eq!(unasked.go_on()[0], "RevokeToken");
    let message = unasked.run.told.unwrap().message.unwrap();
    assert!(message.contains("sys/leases/revoke"), "{message}");

    assert_eq!(world.go_on()[..2], ["RevokeToken", "LookUpLease(0)"]);
    assert_eq!(world.run.told.unwrap().message, None);
}

#[test]
fn a_deletion_waits_for_a_silent_vault_ten_minutes_and_not_for_ever() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over {
        deleted: Some(world.now),
    };
    world.is_vault_down = true;
    let mut steps = world.go_on();
    for _ in 0..20 {
        assert!(world.run.is_claimed);
        world.now = world.now.saturating_add(LONGEST_RETRY).unwrap();
        steps = world.go_on();
        if !world.run.is_claimed {
            break;
        }
    }

    assert_eq!(steps, ["Tell(RevokeFailed)", "Forget", "Release", "Finish"]);
}

#[test]
fn an_end_does_not_wait_for_the_next_try_to_supply() {
    let mut world = World::new(Stage::Waiting);
    world.is_vault_down = true;
    assert_eq!(
        world.go_on(),
        ["Recall", "Claim", "LogIn", "Tell(Unreachable)"]
    );

    world.run.stage = Stage::Over { deleted: None };

    assert_eq!(world.go_on(), ["Release", "Finish"]);
}

#[test]
fn pods_that_stop_keep_their_credentials() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let until = world.now.saturating_add(OUTAGE).unwrap();
    world.run.stage = Stage::Stopping(until);

    let Step::Wait(Some(due)) = world.next() else {
        panic!("nothing is revoked: {:?}", world.next());
    };
    assert!(due < until);
    world.now = due;
    assert_eq!(world.next(), Step::RenewToken);
    world.now = until;
    assert_eq!(world.next(), Step::RevokeLease(0));
}

#[test]
fn credentials_that_cannot_last_say_when_they_end() {
    let mut world = World::new(Stage::Waiting);
    world.is_renewable = false;

    world.go_on();

    let message = world.run.told.unwrap().message.unwrap();
    assert!(message.contains("2026-11-24T10:10:00Z"), "{message}");
}

#[test]
fn waits_as_long_as_it_has_lasted_and_as_it_was_asked_to() {
    let world = World::new(Stage::Waiting);
    let mut memory = Memory::default();
    let mut wait = |now: Timestamp, retry_after| {
        let failure = failure(Reason::RateLimited, retry_after);
        memory.fail(&world.run, (&Step::LogIn, failure), 0.0, now);
        let retry = memory.troubles[&Subject::Work].retry;
        retry.duration_since(now).as_secs()
    };
    let later = |seconds| {
        world
            .now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap()
    };

    assert_eq!(wait(world.now, None), 1);
    assert_eq!(wait(later(20), None), 20);
    assert_eq!(wait(later(900), None), 60);
    assert_eq!(wait(later(900), Some(SignedDuration::from_secs(300))), 300);
}

#[test]
fn a_record_that_cannot_be_written_is_tried_ever_more_rarely_although_it_can_be_read() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["LogIn"];

    let steps = world.wait_for(SignedDuration::from_mins(10));

    let logins = steps.iter().filter(|step| *step == "LogIn").count();
    assert!((5..30).contains(&logins), "{logins}");
}

#[test]
fn a_secret_that_can_be_read_makes_no_other_one_be_read_more_often() {
    let mut world = World::new(Stage::Waiting);
    world.run.order.secrets.push(OrderedSecret {
        secret_name: "other".into(),
        ..world.run.order.secrets[0].clone()
    });
    world.go_on();
    world.memory.sight(0, Sighting::Missing);
    world.refused = vec!["Read(0)"];

    let steps = world.wait_for(SignedDuration::from_hours(2));

    let reads = steps.iter().filter(|step| *step == "Read(0)").count();
    assert!((50..130).contains(&reads), "{reads}");
}

#[test]
fn what_a_run_works_with_is_renewed_while_a_deleted_secret_cannot_be_made_again() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.has_secret = false;
    world.refused = vec!["Read(0)"];
    let steps = world.wait_for(SignedDuration::from_hours(2));

    for renewal in ["RenewToken", "RenewLease(0)"] {
        let count = steps.iter().filter(|step| *step == renewal).count();
        assert!(count >= 3, "{renewal}: {steps:?}");
    }
    assert!(steps.contains(&"Tell(RequestRefused)".to_owned()));
}

#[test]
fn a_lease_that_cannot_be_renewed_keeps_no_other_from_being_renewed() {
    let mut world = World::new(Stage::Waiting);
    world.run.order.secrets.push(OrderedSecret {
        secret_name: "other".into(),
        ..world.run.order.secrets[0].clone()
    });
    world.refused = vec!["RenewLease(0)"];
    let steps = world.go_on();

    assert!(steps.contains(&"RenewLease(1)".to_owned()), "{steps:?}");
    let steps = world.wait_for(SignedDuration::from_hours(2));
    for renewal in ["RenewToken", "RenewLease(1)"] {
        let count = steps.iter().filter(|step| *step == renewal).count();
        assert!(count >= 3, "{renewal}: {steps:?}");
    }
}

#[test]
fn a_token_that_has_ended_before_anything_was_written_is_followed_by_another() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["Read(0)"];
    world.go_on();
    let now = world.now;
    let token = &mut world.holding().token;
    *token = token.ended(now);
    world.refused = Vec::new();

    let steps = world.wait_for(SignedDuration::from_secs(5));

    assert_eq!(steps[..4], ["LogIn", "Read(0)", "Write(0)", "LetGo"]);
    assert_eq!(world.run.stage, Stage::Running);
}

#[test]
fn a_token_that_is_denied_is_asked_for_when_its_time_is_over_and_not_before() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let now = world.now;
    let refused = |message: &str| Error::Refused(Refusal::new(403, message.to_owned(), None));
    let (denied, invalid) = (refused("permission denied"), refused("invalid token"));

    assert!(!world.holding().hear(&denied, now));
    assert!(world.clone().holding().hear(&invalid, now));
    assert_ne!(world.next(), Step::LookUpToken);
    let later = now + SignedDuration::from_hours(2);
    assert!(!world.holding().hear(&denied, later));
    assert_eq!(world.next(), Step::LookUpToken);
    let mut alive = world.clone();
    alive.holding().confirm(later, 600, true);
    assert_eq!(alive.holding().token_end, TokenEnd::Open);
    assert!(world.holding().miss(&denied, later));
    assert_eq!(world.holding().token_end, TokenEnd::Presumed);
}

/// A recalled token seems to live, since others may have renewed it.
#[test]
fn a_recalled_token_that_is_denied_is_looked_up_before_a_pod_starts() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["LetGo"];
    world.go_on();
    world.refused = Vec::new();
    world.recall_after(SignedDuration::from_hours(3));
    world.is_denied = true;

    let steps = world.wait_for(SignedDuration::from_mins(30));

    assert_eq!(steps[..3], ["Look(0)", "RenewToken", "LookUpToken"]);
    assert!(!steps.contains(&"LetGo".to_owned()), "{steps:?}");
    assert_eq!(world.told(), "CredentialsEnded");
}

#[test]
fn a_recalled_token_that_is_denied_is_followed_by_another_where_nothing_was_written() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["Read(0)"];
    world.go_on();
    world.refused = Vec::new();
    world.recall_after(SignedDuration::from_hours(3));
    world.is_denied = true;

    let steps = world.wait_for(SignedDuration::from_secs(5));

    let begin = [
        "Read(0)",
        "LookUpToken",
        "LogIn",
        "Read(0)",
        "Write(0)",
        "LetGo",
    ];
    assert_eq!(steps[..6], begin);
    assert_eq!(world.tokens, 2);
}

#[test]
fn a_token_that_lives_is_asked_for_once_where_a_policy_forbids_what_is_done_with_it() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let denied = Error::Refused(Refusal::new(403, "permission denied".to_owned(), None));
    world.recall_after(SignedDuration::from_mins(5));
    let now = world.now;

    assert!(!world.holding().hear(&denied, now));
    assert_eq!(world.next(), Step::LookUpToken);
    world.holding().confirm(now, 600, true);
    assert!(!world.holding().hear(&denied, now));
    assert_ne!(world.next(), Step::LookUpToken);
}

#[test]
fn a_token_that_has_ended_before_its_run_is_no_failed_revocation_where_vault_says_that_it_is_denied()
 {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_denied = true;
    let mut recalled = world.clone();
    world.now += SignedDuration::from_hours(3);

    let expected = [
        "RevokeLease(0)",
        "LookUpToken",
        "RevokeToken",
        "LookUpLease(0)",
        "Tell(CredentialsEnded)",
    ];
    assert_eq!(world.go_on()[..5], expected);
    recalled.recall_after(SignedDuration::from_hours(3));
    assert_eq!(recalled.go_on()[..5], expected);
}

/// It may be a policy that denies everything, and a clock that is ahead.
#[test]
fn what_our_own_clock_alone_calls_over_is_not_called_revoked() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_denied = true;
    world.now += SignedDuration::from_hours(3);
    let mut blind = world.clone();
    blind.memory.may_not_look_up_leases = true;

    world.go_on();
    blind.go_on();

    for world in [world, blind] {
        let told = world.run.told.unwrap();
        assert_eq!(
            (told.phase, told.reason),
            (Phase::Done, Reason::CredentialsEnded)
        );
        assert!(
            told.message
                .unwrap()
                .contains("has not said that it is revoked")
        );
        assert!(told.more_leases > 0 && told.at.is_some());
    }
}

#[test]
fn a_token_that_may_live_is_not_forgotten_when_another_one_follows() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["Read(0)"];
    world.go_on();
    assert_eq!(world.holding().open(), 0);

    for (end, open) in [
        (TokenEnd::Presumed, 1),
        (TokenEnd::Denied, 1),
        (TokenEnd::Said, 0),
    ] {
        world.holding().token_end = end;
        assert_eq!(world.holding().open(), open, "{end:?}");
    }
}

#[test]
fn no_pod_starts_with_a_lease_that_has_ended() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["LetGo"];
    world.go_on();
    assert!(world.has_secret && world.run.stage == Stage::Waiting);
    let now = world.now;
    let lease = &mut world.holding().leases[0].life;
    *lease = lease.ended(now);
    world.refused = Vec::new();

    let steps = world.wait_for(SignedDuration::from_hours(1));

    assert_eq!(world.run.stage, Stage::Waiting, "{steps:?}");
    assert_eq!(world.told(), "CredentialsEnded");
}

#[test]
fn a_record_is_asked_for_what_became_of_it_before_a_pod_starts() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["LetGo"];
    world.go_on();
    let (now, longer) = (world.now, world.now + SignedDuration::from_hours(1));
    let token = &mut world.holding().token;
    *token = token.recalled(now, OUTAGE);
    world.now = longer;
    world.refused = Vec::new();

    world.is_vault_down = true;
    let steps = world.go_on();
    assert!(steps.contains(&"RenewToken".to_owned()), "{steps:?}");
    assert_eq!(world.run.stage, Stage::Waiting, "nobody knows");
    world.is_vault_down = false;
    let steps = world.wait_for(SignedDuration::from_mins(5));
    assert!(steps.contains(&"LetGo".to_owned()), "{steps:?}");
}

#[test]
fn a_database_that_is_down_keeps_neither_the_token_alive_nor_other_leases() {
    let mut world = World::new(Stage::Waiting);
    world.run.order.secrets.push(OrderedSecret {
        secret_name: "other".into(),
        ..world.run.order.secrets[0].clone()
    });
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.refused = vec!["RevokeLease(0)", "LookUpLease(0)"];
    let mut blind = world.clone();

    let steps = world.wait_for(SignedDuration::from_mins(5));

    let begin = ["RevokeLease(0)", "RevokeLease(1)", "RevokeToken"];
    assert_eq!(steps[..3], begin);
    assert!(!world.is_token_alive && world.told() == "RevokeFailed");
    assert!(world.has_record && world.run.is_claimed);
    world.refused = Vec::new();
    world.wait_for(SignedDuration::from_mins(5));
    assert_eq!(world.told(), "Revoked");
    assert!(!world.has_record);
    blind.memory.may_not_look_up_leases = true;
    blind.wait_for(SignedDuration::from_mins(5));
    let told = blind.run.told.unwrap();
    assert_eq!(told.reason, Reason::RevokeFailed);
    assert_eq!(told.message.as_deref(), Some("the database is down"));
    assert!(told.ttl_seconds.is_some() && !blind.has_record);
}

#[test]
fn a_database_that_does_not_answer_is_waited_for_once_however_many_leases_it_made() {
    let mut world = World::new(Stage::Waiting);
    for path in ["database/creds/writer", "queue/creds/reader"] {
        world.run.order.secrets.push(OrderedSecret {
            path: path.into(),
            secret_name: path.replace('/', "-"),
            ..world.run.order.secrets[0].clone()
        });
    }
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.unanswered = vec!["RevokeLease(0)", "RevokeLease(1)"];

    let steps = world.go_on();

    assert_eq!(
        steps[..3],
        ["RevokeLease(0)", "RevokeLease(2)", "RevokeToken"]
    );
}

#[test]
fn a_secret_that_is_deleted_again_and_again_is_made_anew_ever_more_rarely() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();

    for _ in 0..1_000 {
        world.has_secret = false;
        world.wait_for(SECRET_CHECK);
    }

    let leases = world.holding().leases.len();
    assert!((10..30).contains(&leases), "{leases}");
}

#[test]
fn what_is_told_of_many_reads_fits_into_an_annotation() {
    let mut world = World::new(Stage::Waiting);
    for _ in 0..1_000 {
        world.memory.account.add(Access {
            path: "database/creds/readonly".to_owned(),
            lease: Some("0123456789abcdef".to_owned()),
            ttl_seconds: Some(3_600),
            user: Some("v-kubernetes-readonly-0123456789abcdefghij-1234567890".to_owned()),
            request: Some("01234567-89ab-cdef-0123-456789abcdef".to_owned()),
            version: None,
        });
    }
    world.go_on();

    let told = world.run.told.unwrap();
    assert_eq!((told.reads.len(), told.more_reads), (MOST_READS, 960));
    let text = serde_json::to_string(&told).unwrap();
    assert!(text.len() < 16 * 1024, "{}", text.len());
}

#[test]
fn a_word_that_the_api_server_refuses_is_told_ever_more_rarely() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.refused = vec!["Tell(Revoked)"];

    let steps = world.wait_for(SignedDuration::from_mins(10));

    let tells = steps.iter().filter(|step| *step == "Tell(Revoked)").count();
    assert!((5..30).contains(&tells), "{tells}");
}

#[test]
fn what_somebody_writes_on_the_job_makes_no_token_forgotten() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.told = Some(Report::new(Phase::Done, Reason::Revoked));
    world.run.stage = Stage::Over { deleted: None };

    assert_eq!(world.go_on()[..2], ["RevokeLease(0)", "RevokeToken"]);
}

#[test]
fn an_answer_that_was_lost_may_have_brought_a_lease() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.holding().unheard = 1;
    world.run.stage = Stage::Over { deleted: None };
    world.go_on();

    let told = world.run.told.unwrap();
    assert_eq!((told.reason, told.more_leases), (Reason::Revoked, 1));
    assert!(told.message.unwrap().contains("was lost"));
}
