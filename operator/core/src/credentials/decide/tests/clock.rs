//! Clocks that may be wrong.

use super::*;

const BACK: SignedDuration = SignedDuration::from_hours(3);

#[test]
fn what_is_held_is_renewed_at_once_when_the_clock_is_set_back() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.now -= BACK;

    let steps = world.go_on();

    assert_eq!(steps, ["RenewToken", "RenewLease(0)", "Look(0)"]);
}

#[test]
fn a_revocation_that_failed_is_tried_again_soon_when_the_clock_is_set_back() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_vault_down = true;
    world.go_on();
    world.is_vault_down = false;
    world.now -= BACK;

    let steps = world.go_on();

    assert_eq!(steps[..2], ["RevokeLease(0)", "RevokeToken"]);
    assert_eq!(world.told(), "Revoked");
}

#[test]
fn a_vault_that_was_away_for_longer_than_a_token_lives_is_asked_when_it_is_back() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_vault_down = true;
    world.wait_for(SignedDuration::from_hours(3));
    assert!(world.has_record && world.run.is_claimed);

    world.is_vault_down = false;
    world.wait_for(SignedDuration::from_mins(5));

    assert_eq!(world.told(), "Revoked");
    assert!(!world.has_record && !world.run.is_claimed);
}

/// All runs that have waited for it ask at once.
#[test]
fn a_rate_limit_after_a_long_outage_gives_no_token_up() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_vault_down = true;
    world.wait_for(SignedDuration::from_hours(3));
    let limited = Failure {
        report: Report {
            status: Some(429),
            ..Report::new(Phase::Done, Reason::RevokeFailed)
        },
        retry_after: None,
        is_outage: false,
        is_silent: false,
    };
    let now = world.now;
    let step = Step::RevokeLease(0);
    world.memory.fail(&world.run, (&step, limited), 0.5, now);
    world.is_vault_down = false;

    world.wait_for(SignedDuration::from_mins(5));

    assert_eq!(world.told(), "Revoked");
}
