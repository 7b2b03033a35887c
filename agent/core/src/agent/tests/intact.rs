//! Files that somebody else has changed or removed.

use std::time::Duration;

use super::reads::file;
use super::world::*;
use crate::input::Input;

const LOCAL: &str = r#"{{ file "/x" }}"#;

#[test]
fn a_file_that_somebody_else_has_changed_is_made_anew_when_its_answer_comes_again() {
    let mut world = rendered(&[LOCAL]);

    for (is_intact, expected) in [(true, vec![]), (false, vec!["write template 0: a"])] {
        assert_eq!(comes(&mut world, 2, "a"), ["check file 0"]);
        checked(&mut world, 0, is_intact);
        assert_eq!(world.step(), expected);
    }
}

/// A lease is renewed and a text without requests is complete: nobody asks for either again.
#[test]
fn a_file_whose_answers_do_not_come_again_is_looked_at_when_others_come() {
    let mut world = rendered(&["static", LOCAL]);

    assert_eq!(comes(&mut world, 2, "a"), ["check file 1"]);
    checked(&mut world, 1, true);
    assert_eq!(
        comes(&mut world, 150, "a"),
        ["check file 0", "check file 1"]
    );
    checked(&mut world, 0, true);
    checked(&mut world, 1, true);
    assert_eq!(comes(&mut world, 2, "a"), ["check file 1"]);
    assert_eq!(
        comes(&mut world, 150, "b"),
        ["check file 0", "write template 1: b"]
    );
    checked(&mut world, 0, false);
    assert_eq!(world.step(), ["write template 0: static"]);
}

/// Each look would keep a thread from the files of other file systems.
#[test]
fn a_file_that_hangs_is_looked_at_once() {
    let mut world = rendered(&[LOCAL]);

    assert_eq!(comes(&mut world, 2, "a"), ["check file 0"]);
    assert_eq!(comes(&mut world, 2, "a"), NOTHING);
    assert_eq!(comes(&mut world, 300, "a"), NOTHING);
    checked(&mut world, 0, true);
    assert_eq!(comes(&mut world, 2, "a"), ["check file 0"]);
}

/// An agent that has written all its files, the last of them with the content `a` of the local file.
fn rendered(texts: &[&str]) -> World {
    let mut world = World::new(texts);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.written();
    file(&mut world, "a");
    world.step();
    world.written();
    world.step();
    world
}

/// The steps that follow when the local file has this content after a while.
fn comes(world: &mut World, seconds: u64, content: &str) -> Vec<String> {
    world.pass(Duration::from_secs(seconds));
    world.step();
    file(world, content);
    world.step()
}

fn checked(world: &mut World, template: usize, is_intact: bool) {
    world.feed(Input::FileChecked {
        template,
        is_intact,
    });
}
