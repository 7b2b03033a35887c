//! The way out where nobody says where Vault is.

use std::time::Duration;

use super::world::*;
use crate::input::Input;

#[test]
fn where_nobody_knows_the_name_of_vault_the_end_takes_less_than_ten_seconds() {
    for (failure, patience) in [(nameless(), 9), (down(), 20)] {
        let mut world = World::with_a_replaced_token();
        world.feed(Input::Terminate);
        world.step();
        world.revoked(Err(failure.clone()));
        world.revoked(Err(failure));

        world.pass(Duration::from_secs(patience) - Duration::from_millis(1));
        assert_eq!(world.step(), ["revoke t2", "revoke t1"], "{patience}");

        world.pass(Duration::from_millis(1));
        assert_eq!(world.step(), ["exit Unavailable RevokeFailed"]);
    }
}

#[test]
fn a_read_that_finds_no_name_server_shortens_the_end_as_a_revocation_does() {
    for (failure, is_short) in [(nameless(), true), (down(), false)] {
        let mut world = World::new(&[DATABASE]);
        world.step();
        world.log_in("t1", 3600);
        world.step();
        world.find_mount("database/creds/ro", "database");
        assert_eq!(world.step(), ["get database/creds/ro as t1"]);
        world.feed(Input::Terminate);
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(5));
        assert_eq!(world.step(), ["revoke t1"]);

        // The revocation would hear of it six seconds later.
        world.pass(Duration::from_secs(2));
        world.fail("database/creds/ro", &failure);
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(2));

        let has_ended = world.step().iter().any(|step| step.starts_with("exit"));
        assert_eq!(has_ended, is_short);
    }
}
