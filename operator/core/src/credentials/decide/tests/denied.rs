//! Vault denies a token its own revocation: it may have ended, or a policy forbids that.

use super::*;

const RESTART: SignedDuration = SignedDuration::from_hours(3);

/// Somebody renewed it before the program was started anew, and the record says nothing of that.
fn denied() -> World {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.recall_after(RESTART);
    world.is_denied = true;
    world
}

#[test]
fn a_revocation_that_was_denied_is_not_done() {
    let mut world = denied();
    let denied = Error::Refused(Refusal::new(403, "permission denied".to_owned(), None));
    let invalid = Error::Refused(Refusal::new(403, "invalid token".to_owned(), None));
    let now = world.now;
    assert!(world.holding().miss(&denied, now));
    assert_eq!(world.holding().token_end, TokenEnd::Presumed);

    assert!(!world.holding().hear_of_revocation(&denied, now));
    assert_eq!(world.holding().token_end, TokenEnd::Denied);
    assert!(world.holding().hear_of_revocation(&invalid, now));
    assert_eq!(world.holding().token_end, TokenEnd::Said);
}

#[test]
fn a_denied_revocation_is_tried_again_as_long_as_the_token_may_live() {
    let mut world = denied();
    world.go_on();
    let first = world.run.told.clone().unwrap();
    let mut mended = world.clone();

    let steps = world.wait_for(SignedDuration::from_mins(80));

    let tries = steps.iter().filter(|step| *step == "RevokeToken").count();
    assert!((60..100).contains(&tries), "{tries}");
    assert!(world.has_record && world.run.is_claimed);
    assert_eq!(world.run.told.as_ref(), Some(&first), "it is told once");
    mended.is_denied = false;
    mended.wait_for(SignedDuration::from_mins(5));
    assert_eq!(mended.told(), "Revoked");
    assert!(!mended.is_token_alive && !mended.has_record);
    world.wait_for(SignedDuration::from_mins(20));
    assert_eq!(world.run.told, Some(first));
    assert!(!world.has_record && !world.run.is_claimed);
}

#[test]
fn a_token_that_vault_denies_everything_is_said_to_live_for_as_long_as_it_was_renewed_at_most() {
    let mut world = denied();
    let longest = crate::credentials::life::wanted(OUTAGE) + CLOCKS;

    world.go_on();

    let told = world.run.told.unwrap();
    assert_eq!(
        (told.phase, told.reason),
        (Phase::Done, Reason::CredentialsEnded)
    );
    assert_eq!(told.at, Some(world.now.as_second()));
    assert_eq!(told.ttl_seconds, Some(longest.as_secs().unsigned_abs()));
    let message = told.message.unwrap();
    assert!(
        message.contains("has ended by its TTL, or will"),
        "{message}"
    );
}

#[test]
fn the_deletion_of_a_job_waits_ten_minutes_for_a_token_that_is_denied() {
    let mut world = denied();
    world.run.stage = Stage::Over {
        deleted: Some(world.now),
    };

    world.wait_for(SignedDuration::from_mins(9));
    assert!(world.has_record && world.run.is_claimed);
    world.wait_for(SignedDuration::from_mins(3));

    assert!(!world.has_record && !world.run.is_claimed);
    assert_eq!(world.told(), "CredentialsEnded");
}

#[test]
fn what_was_told_of_another_token_says_nothing_of_the_end_of_this_one() {
    let mut world = denied();
    let mut again = world.clone();
    world.go_on();
    let told = world.run.told.unwrap();
    again.run.told = Some(Report {
        accessor: Some("0123456789abcdef".to_owned()),
        ttl_seconds: Some(1),
        ..told.clone()
    });

    again.go_on();

    assert_eq!(again.run.told, Some(told));
}
