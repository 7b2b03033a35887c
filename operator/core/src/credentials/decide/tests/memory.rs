//! Facts that are remembered between two steps, and for how long.

use super::*;

fn denied() -> Error {
    Error::Refused(Refusal::new(403, "permission denied".to_owned(), None))
}

#[test]
fn what_was_read_with_a_token_that_has_ended_is_read_again_and_what_was_written_stays() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let (now, holding) = (world.now, world.holding().clone());
    let memory = &mut world.memory;
    let known = [
        Sighting::Ready,
        Sighting::Present(now),
        Sighting::Missing,
        Sighting::Unknown,
    ];
    for (index, sighting) in known.into_iter().enumerate() {
        memory.sight(index, sighting);
    }

    memory.hold(holding);

    let [_, kept @ ..] = known;
    assert_eq!(memory.secrets[0], Sighting::Missing);
    assert_eq!(memory.secrets[1..], kept);
}

#[test]
fn chance_makes_a_wait_longer_by_a_quarter_at_most_and_vaults_return_ends_it() {
    let world = World::new(Stage::Waiting);
    let waits = |reason: Reason, chance: f64| {
        let mut memory = Memory::default();
        let failure = failure(reason, Some(SignedDuration::from_secs(40)));
        memory.fail(&world.run, (&Step::LogIn, failure), chance, world.now);
        let wait = |memory: &Memory| {
            let retry = memory.troubles[&Subject::Work].retry;
            retry.duration_since(world.now).as_secs()
        };
        let before = wait(&memory);
        memory.hurry(world.now);
        (before, wait(&memory))
    };

    assert_eq!(waits(Reason::RateLimited, 0.0), (40, 40));
    assert_eq!(waits(Reason::RateLimited, 1.0), (50, 50));
    assert_eq!(waits(Reason::Unreachable, 0.5), (45, 0));
}

#[test]
fn a_renewal_whose_answer_was_lost_may_have_been_granted() {
    let mut world = World::new(Stage::Waiting);
    world.is_renewable = false;
    world.go_on();
    let now = world.now;
    let life = Life::new(now, 600, true);
    let granted = now + SignedDuration::from_secs(5_400);
    for subject in [Subject::Token, Subject::Lease(0)] {
        let mut memory = world.memory.clone();
        let Custody::Held(holding) = &mut memory.custody else {
            panic!("nothing is held");
        };
        (holding.token, holding.leases[0].life) = (life, life);

        memory.lose_renewal(subject, OUTAGE, now);

        let Custody::Held(holding) = &memory.custody else {
            panic!("nothing is held");
        };
        let ends = (holding.token.end(), holding.leases[0].life.end());
        let expected = match subject {
            Subject::Token => (Some(granted), life.end()),
            Subject::Lease(_) | Subject::Work | Subject::Status => (life.end(), Some(granted)),
        };
        assert_eq!(ends, expected, "{subject:?}");
    }
}

#[test]
fn a_token_is_over_at_its_end_and_lives_in_its_last_second() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let end = world.holding().token.end().unwrap();
    let second_before = end - SignedDuration::from_secs(1);

    let mut early = world.clone();
    early.holding().hear(&denied(), second_before);
    assert!(!early.holding().is_doubted);
    world.holding().hear(&denied(), end);
    assert!(world.holding().is_doubted);
    assert!(world.holding().miss(&denied(), end));
    assert_eq!(world.holding().token_end, TokenEnd::Presumed);
    // Vault tells whole seconds.
    early.holding().confirm(second_before, 0, true);
    assert_eq!(early.holding().token.end(), Some(end));
    early.holding().confirm(second_before, 0, false);
    assert_eq!(early.holding().token.end(), None, "it never ends");
}

#[test]
fn a_deletion_waits_ten_minutes_to_the_second_and_a_refused_token_for_two_beyond_its_end() {
    let mut deleted = World::new(Stage::Waiting);
    deleted.go_on();
    let mut refused = deleted.clone();
    deleted.run.stage = Stage::Over {
        deleted: Some(deleted.now),
    };
    deleted.is_vault_down = true;
    refused.run.stage = Stage::Over { deleted: None };
    refused.refused = vec!["RevokeLease(0)", "RevokeToken"];
    let (minutes, end) = (
        deleted.now + SignedDuration::from_mins(10),
        // Either clock may be wrong.
        refused.holding().token.end().unwrap() + SignedDuration::from_mins(2),
    );

    for (mut world, due) in [(deleted, minutes), (refused, end)] {
        world.go_on();
        world.now = due - SignedDuration::from_secs(1);
        let before = world.next();
        assert!(before.asks_with_token(), "{before:?}");
        world.now = due;
        let Step::Tell(report) = world.next() else {
            panic!("it goes on: {:?}", world.next());
        };
        assert_eq!(report.reason, Reason::RevokeFailed);
    }
}

#[test]
fn a_record_that_cannot_be_deleted_takes_the_last_word_of_no_lease_away() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.refused = vec!["Forget"];

    let steps = world.wait_for(SignedDuration::from_mins(10));

    assert!(steps.contains(&"Forget".to_owned()), "{steps:?}");
    assert_eq!(world.told(), "Revoked");
}

#[test]
fn a_lease_is_given_up_where_vault_could_not_revoke_it_and_not_where_it_had_no_time() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    let next = |status: u16| {
        let mut world = world.clone();
        let mut refused = failure(Reason::RateLimited, None);
        refused.report.status = Some(status);
        let step = Step::RevokeLease(0);
        world
            .memory
            .fail(&world.run, (&step, refused), 0.0, world.now);
        world.now += LONGEST_RETRY;
        world.next()
    };

    assert_eq!(next(429), Step::RevokeLease(0));
    assert_eq!(next(400), Step::RevokeToken);
}

#[test]
fn a_run_that_was_given_nothing_on_lease_outlives_its_token_without_a_word_of_an_end() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let now = world.now;
    let mut leased = world.clone();
    let holding = world.holding();
    holding.leases.clear();
    holding.token = holding.token.ended(now);
    let holding = leased.holding();
    holding.token = holding.token.ended(now);

    for (mut world, told) in [(world, "LoggedIn"), (leased, "CredentialsEnded")] {
        world.wait_for(SignedDuration::from_secs(5));
        assert_eq!(world.told(), told);
    }
}
