//! Somebody deletes the record of a run's token, or its Job, or takes away what that orders, its label or its finalizer.

use super::*;

#[test]
fn a_run_whose_record_was_deleted_is_not_called_held_or_revoked_in_the_end() {
    let mut world = World::new(Stage::Waiting);
    world.memory.account.accessor = Some("0123456789abcdef".to_owned());
    world.go_on();
    world.has_record = false;
    world.memory = Memory::default();
    world.run.stage = Stage::Over { deleted: None };

    let steps = world.go_on();

    assert_eq!(steps, ["Recall", "Tell(RevokeFailed)", "Release", "Finish"]);
    let told = world.run.told.unwrap();
    assert!(told.message.unwrap().contains("deleted the record"));
}

#[test]
fn a_run_is_not_called_revoked_whose_first_token_nobody_knows_any_more() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.holding().has_lost = true;
    world.run.stage = Stage::Over { deleted: None };
    world.go_on();

    assert!(!world.is_token_alive && !world.run.is_claimed);
    let told = world.run.told.unwrap();
    assert_eq!(told.reason, Reason::RevokeFailed);
    assert!(told.message.unwrap().contains("deleted the record"));
}

#[test]
fn a_token_that_vault_has_revoked_is_not_lost_where_its_record_is_gone() {
    let lost = |reason: Reason| {
        let told = Report {
            accessor: Some("0123456789abcdef".to_owned()),
            ..Report::new(Phase::Done, reason)
        };
        Account::of_lost(&told).accessor
    };

    assert_eq!(lost(Reason::Revoked), None);
    assert!(lost(Reason::RevokeFailed).is_some());
    assert!(lost(Reason::CredentialsEnded).is_some(), "it may live");
}

#[test]
fn a_run_that_never_logged_in_leaves_without_a_word() {
    let mut world = World::new(Stage::Waiting);
    world.is_vault_down = true;
    world.go_on();
    assert_eq!(world.told(), "Unreachable");
    world.run.stage = Stage::Over { deleted: None };

    assert_eq!(world.go_on(), ["Release", "Finish"]);
}

#[test]
fn a_run_that_lost_its_order_is_not_let_go_and_its_token_is_revoked_in_the_end() {
    let mut world = World::new(Stage::Waiting);
    world.refused = vec!["Read(0)"];
    world.go_on();
    world.memory = Memory::default();
    world.run.order.secrets.clear();

    let steps = world.wait_for(SignedDuration::from_secs(30));
    assert_eq!(steps[0], "Recall");
    assert!(!steps.contains(&"LetGo".to_owned()), "{steps:?}");
    world.run.stage = Stage::Over { deleted: None };
    world.go_on();

    assert!(!world.is_token_alive && !world.run.is_claimed);
}

#[test]
fn an_older_job_that_the_watch_shows_late_takes_the_last_word_of_no_run_away() {
    let mut world = World::new(Stage::Waiting);
    world.memory.account.accessor = Some("0123456789abcdef".to_owned());
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    let older = world.run.clone();
    while world.next() != Step::Forget {
        world.take(world.next());
    }
    assert_eq!(world.told(), "Revoked");
    world.take(world.next());
    world.run = older;

    assert_eq!(world.go_on(), ["Release", "Finish"]);
}

#[test]
fn a_run_whose_finalizer_somebody_took_off_is_revoked_when_it_ends() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.is_claimed = false;
    world.run.stage = Stage::Over { deleted: None };

    let steps = world.go_on();

    let revoked = ["RevokeLease(0)", "RevokeToken", "Tell(Revoked)"];
    assert_eq!(steps[..3], revoked);
    assert_eq!(steps[3..], ["Forget", "Finish"]);
}

#[test]
fn a_run_whose_label_comes_back_is_not_held_by_a_token_that_its_pods_know_nothing_of() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let stage = std::mem::replace(&mut world.run.stage, Stage::Over { deleted: None });
    world.go_on();
    assert_eq!(world.told(), "Revoked");
    world.memory = Memory::default();
    world.run.stage = stage;

    assert_eq!(world.go_on(), ["Recall"]);
    assert_eq!(world.told(), "Revoked");
    world.run.stage = Stage::Over { deleted: None };
    assert_eq!(world.go_on(), ["Finish"]);
}

#[test]
fn a_run_that_waits_again_is_not_let_go_with_what_was_revoked() {
    let mut world = World::new(Stage::Waiting);
    while !world.has_secret {
        world.take(world.next());
    }
    world.run.stage = Stage::Over { deleted: None };
    world.go_on();
    assert_eq!(world.told(), "Revoked");
    world.memory = Memory::default();
    world.run.stage = Stage::Waiting;
    world.refused = vec!["Look(0)"];

    let blind = world.go_on();
    world.refused.clear();
    world.memory = Memory::default();
    let again = world.go_on();

    assert_eq!(blind, ["Recall", "Look(0)", "Tell(CredentialsEnded)"]);
    assert_eq!(again, blind);
    let told = world.run.told.clone().unwrap();
    assert_eq!((told.phase, told.at.is_some()), (Phase::Read, true));
    // A program that takes over sees the same.
    world.memory = Memory::default();
    assert_eq!(world.go_on(), ["Recall", "Look(0)"]);
    assert_eq!((world.tokens, world.run.stage), (1, Stage::Waiting));
    world.has_secret = false;
    world.now = world.now.saturating_add(SECRET_CHECK).unwrap();
    world.go_on();

    assert_eq!((world.tokens, world.run.stage), (2, Stage::Running));
    assert_eq!(world.told(), "LoggedIn");
}

#[test]
fn the_deletion_of_a_job_whose_pods_never_stop_waits_for_vault_no_longer_than_another() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Stopping(world.now);
    world.is_vault_down = true;

    world.wait_for(SignedDuration::from_mins(9));
    assert!(world.run.is_claimed);
    world.wait_for(SignedDuration::from_mins(3));

    assert_eq!(world.told(), "RevokeFailed");
    assert!(!world.run.is_claimed);
}
