//! Files that somebody else has changed or removed.

use std::time::Duration;

use super::reads::file;
use super::world::*;
use crate::input::Input;

#[test]
fn a_file_that_somebody_else_has_changed_is_made_anew_when_its_answer_comes_again() {
    let mut world = World::new(&[r#"{{ file "/x" }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    file(&mut world, "a");
    world.step();
    world.written();
    world.step();
    let checked = |world: &mut World, is_intact| {
        world.pass(Duration::from_secs(2));
        world.step();
        file(world, "a");
        assert_eq!(world.step(), ["check file 0"]);
        world.feed(Input::FileChecked {
            template: 0,
            is_intact,
        });
        world.step()
    };

    assert_eq!(checked(&mut world, true), NOTHING);
    assert_eq!(checked(&mut world, false), ["write template 0: a"]);
}

/// A lease is renewed and a text without requests is complete: nobody asks for either again.
#[test]
fn a_file_whose_answers_do_not_come_again_is_looked_at_when_others_come() {
    let mut world = World::new(&["static", r#"{{ file "/x" }}"#]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.written();
    file(&mut world, "a");
    world.step();
    world.written();
    world.step();
    let comes = |world: &mut World, seconds, content| {
        world.pass(Duration::from_secs(seconds));
        world.step();
        file(world, content);
        world.step()
    };

    assert_eq!(comes(&mut world, 2, "a"), ["check file 1"]);
    assert_eq!(
        comes(&mut world, 150, "a"),
        ["check file 0", "check file 1"]
    );
    assert_eq!(comes(&mut world, 2, "a"), ["check file 1"]);
    assert_eq!(
        comes(&mut world, 150, "b"),
        ["check file 0", "write template 1: b"]
    );
    world.feed(Input::FileChecked {
        template: 0,
        is_intact: false,
    });
    assert_eq!(world.step(), ["write template 0: static"]);
}
