//! Credentials that live on beside those that replace them.

use std::time::Duration;

use super::world::*;
use crate::command::{Destination, Notice};
use crate::input::Input;

const FIRST: &str = "database/creds/ro/1";

#[test]
fn a_credential_is_replaced_early_and_lives_on_until_the_files_have_had_the_new_one_for_a_while() {
    let mut world = replaced();

    world.pass(Duration::from_secs(25));
    assert_eq!(world.step(), NOTHING, "the file has the old one");
    written(&mut world);
    world.pass(Duration::from_secs(19));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
    world.lease_revoked(FIRST, Err(down()));
    world.pass(Duration::from_secs(60));
    assert!(world.step().contains(&format!("revoke {FIRST}")));
    world.lease_revoked(FIRST, Ok(()));

    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke database/creds/ro/2"]);
}

#[test]
fn at_the_end_both_are_revoked() {
    let mut world = replaced();
    written(&mut world);

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
    world.lease_revoked(FIRST, Ok(()));
    assert_eq!(world.step(), ["revoke database/creds/ro/2"]);
}

#[test]
fn a_policy_that_keeps_us_from_revoking_leaves_the_old_one_to_its_end() {
    let mut world = replaced();
    written(&mut world);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
    world.notices.clear();

    world.lease_revoked(FIRST, Err(denied("permission denied", 403)));

    assert_eq!(world.step(), NOTHING);
    assert!(matches!(
        world.notices.as_slice(),
        [Notice::NotParted { .. }]
    ));
    world.pass(Duration::from_secs(61));
    assert!(!world.step().contains(&format!("revoke {FIRST}")));
}

#[test]
fn no_overlap_makes_a_life_shorter_than_half() {
    let mut world = overlapping(600);
    world.get_ready(&CREDENTIALS.replace("true", "false"));

    world.pass(Duration::from_secs(44));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

/// Its time is over at the end of its lease, after a renewal whose answer was lost and some margin.
#[test]
fn an_old_credential_whose_time_is_over_is_not_revoked_any_more() {
    let mut world = replaced();
    written(&mut world);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);

    let mut again = 0;
    for _ in 0..10 {
        world.lease_revoked(FIRST, Err(down()));
        world.pass(Duration::from_secs(60));
        let revocation = format!("revoke {FIRST}");
        again += world.step().iter().filter(|it| **it == revocation).count();
    }

    assert!((1..=4).contains(&again), "{again} times in ten minutes");
}

#[test]
fn an_overlap_replaces_a_credential_earlier_and_never_later() {
    for (overlap, life, earliest, latest) in [
        (600, "90", 45, 45),
        (20, "90", 70, 70),
        // Nine tenths of its life, whatever the overlap.
        (1, "90", 76, 86),
        (600, "0", 255, 285),
    ] {
        let mut world = overlapping(overlap);
        let fixed = CREDENTIALS.replace("true", "false").replace("90", life);
        world.get_ready(&fixed);

        let (at, _) = world.agent.poll_timeout().unwrap();

        let wait = at.since(world.now.moment).as_secs();
        assert!(
            (earliest..=latest).contains(&wait),
            "{overlap} {life}: {wait}"
        );
    }
}

fn overlapping(seconds: u64) -> World {
    World::build(&[DATABASE], |start| {
        start.config.templates[0].overlap = Some(Duration::from_secs(seconds));
    })
}

/// Its second credential is about to be written; the first one has 20 s left.
fn replaced() -> World {
    let mut world = overlapping(20);
    world.get_ready(CREDENTIALS);
    world.pass(Duration::from_secs(65));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    world.renew_lease(30);
    world.pass(Duration::from_secs(9));
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
    let second = CREDENTIALS.replace("ro/1", "ro/2").replace("v-1", "v-2");
    world.answer("database/creds/ro", &second);
    assert_eq!(world.step(), ["write template 0: v-2"]);
    world
}

fn written(world: &mut World) {
    world.feed(Input::Written {
        destination: Destination::Template(0),
        result: Ok(true),
    });
}
