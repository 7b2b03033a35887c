//! Programs: one that gets secrets in its environment, and those that run after a file has changed.

use std::time::Duration;

use planescape_agent_contract::{Config, Overrides, Tree};
use planescape_templates::{Answer, Request};
use planescape_vault::Text;

use super::world::*;
use crate::input::{ChildEnd, Input};
use crate::verdict::ExitCode;

const PROGRAM: &str = r#"env_template "USER" { contents = "x" } exec { command = ["run"] }"#;
const HOOK: &str = r#"template { contents = "x" destination = "/0" exec { command = ["tell"] } }"#;

#[test]
fn a_program_starts_when_its_variables_have_settled_and_takes_the_agent_along() {
    for (end, code, words) in [
        (ChildEnd::Code(3), 3, "the program ended with exit code 3"),
        (
            ChildEnd::Signal(9),
            255,
            "the program was ended by signal 9",
        ),
        (
            ChildEnd::NotStarted {
                message: "no such file".to_owned(),
            },
            1,
            "unable to start the program: no such file",
        ),
    ] {
        let mut world = running();

        world.feed(Input::ChildEnded(end));

        assert_eq!(world.step(), ["revoke t1"]);
        world.revoked(Ok(()));
        let (ended, report) = world.exit();
        assert_eq!(ended, ExitCode::Program(code));
        assert_eq!(report.message.as_deref(), Some(words));
    }
}

#[test]
fn what_a_program_leaves_that_keeps_its_token_is_told() {
    let mut world = World::build(&["static"], |start| {
        set(start, PROGRAM);
        start.config.planescape.revoke_on_exit = false;
    });
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.pass(Duration::from_secs(2));
    world.step();

    world.feed(Input::ChildEnded(ChildEnd::Code(0)));

    let (_, report) = world.exit();
    assert_eq!(report.accessor.as_deref(), Some("accessor of 2"));
    assert_eq!(report.unrevoked, ["accessor of 2"]);
}

#[test]
fn the_agent_waits_for_its_program_before_it_revokes() {
    let mut world = running();

    world.feed(Input::Terminate);

    assert_eq!(world.step(), ["signal 15"]);
    world.feed(Input::ChildEnded(ChildEnd::Signal(15)));
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Ok(()));
    assert_eq!(world.step(), ["exit Done Revoked"]);
}

#[test]
fn a_program_has_its_grace_however_often_somebody_asks_to_quit() {
    let mut world = running();

    world.feed(Input::Quit);
    assert_eq!(world.step(), ["signal 15"]);
    world.feed(Input::Quit);
    world.feed(Input::Terminate);
    assert_eq!(world.step(), NOTHING);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.step(), NOTHING);
    world.feed(Input::ChildEnded(ChildEnd::Signal(15)));

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn a_program_that_does_not_end_is_killed_and_then_waited_for_no_more() {
    let mut world = running();
    world.feed(Input::Terminate);
    world.step();

    world.pass(Duration::from_secs(30));
    assert_eq!(world.step(), ["kill"]);
    world.pass(Duration::from_secs(5));

    assert_eq!(world.step(), ["revoke t1"]);
}

#[test]
fn the_agent_wakes_for_its_program_first_and_then_for_its_own_end() {
    let mut world = running();
    let wakes_after = |world: &World| {
        let (at, _) = world.agent.poll_timeout().unwrap();
        at.since(world.now.moment)
    };
    world.feed(Input::Terminate);
    world.step();
    assert_eq!(wakes_after(&world), Duration::from_secs(30));

    world.feed(Input::ChildEnded(ChildEnd::Signal(15)));
    assert_eq!(world.step(), ["revoke t1"]);
    world.revoked(Err(down()));

    assert!(wakes_after(&world) < Duration::from_secs(1));
}

#[test]
fn a_command_runs_after_its_file_has_changed_and_again_where_it_fails() {
    let mut world = hooked(false);

    assert_eq!(world.step(), ["run the hook of template 0"]);
    let failed = Err("exit code 1".to_owned());
    world.feed(Input::HookEnded {
        hook: 0,
        result: failed,
    });
    assert_eq!(world.step(), ["announce ready"]);
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["run the hook of template 0"]);
    world.feed(Input::HookEnded {
        hook: 0,
        result: Ok(()),
    });
    world.pass(Duration::from_secs(600));
    assert!(!world.step().iter().any(|it| it.starts_with("run")));
}

#[test]
fn no_command_that_fails_keeps_a_job_from_its_files() {
    let mut world = hooked(true);
    world.step();
    let failed = || Input::HookEnded {
        hook: 0,
        result: Err("exit code 1".to_owned()),
    };

    world.feed(failed());
    assert_eq!(world.step(), ["announce ready"]);

    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["run the hook of template 0"]);
    world.feed(failed());
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn a_program_that_ends_because_of_a_new_value_is_started_with_it() {
    let mut world = World::build(&["static"], |start| {
        set(start, PROGRAM);
        start.texts = vec![br#"{{ file "/x" }}"#.to_vec()];
    });
    let start = "start the program with USER".to_owned();
    world.step();
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["read file /x"]);
    file(&mut world, "a");
    world.step();
    world.pass(Duration::from_secs(2));
    assert!(world.step().contains(&start));

    file(&mut world, "a");
    assert!(
        !world.step().contains(&"check file 0".to_owned()),
        "a variable is no file"
    );
    file(&mut world, "b");
    world.step();
    world.pass(Duration::from_secs(2));
    assert!(world.step().contains(&"signal 15".to_owned()));
    world.feed(Input::ChildEnded(ChildEnd::Signal(15)));

    let steps = world.step();
    assert!(steps.contains(&start), "{steps:?}");
    assert!(!steps.contains(&"revoke t1".to_owned()), "{steps:?}");
}

fn file(world: &mut World, content: &str) {
    world.feed(Input::FileRead {
        request: Request::File {
            path: "/x".to_owned(),
        },
        result: Ok(Answer::File(Text::from(content))),
    });
}

fn running() -> World {
    let mut world = World::build(&["static"], |start| set(start, PROGRAM));
    assert_eq!(world.step(), ["log in"]);
    world.log_in("t1", 3600);
    world.step();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), NOTHING, "they may change yet");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["start the program with USER"]);
    world
}

/// An agent with a hook, whose file is just written.
fn hooked(is_fatal: bool) -> World {
    let mut world = World::build(&["static"], |start| {
        set(
            start,
            &format!("{HOOK} template_config {{ exit_on_retry_failure = {is_fatal} }}"),
        );
    });
    world.step();
    world.log_in("t1", 3600);
    assert!(
        world
            .step()
            .contains(&"write template 0: static".to_owned())
    );
    world.written();
    world
}

fn set(start: &mut crate::agent::Start, lines: &str) {
    let text = format!(
        r#"
        auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
        planescape {{ revoke_on_exit = true give_up_after = "30s" exit_on_refusal = true }}
        {lines}"#
    );
    start.config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
    start.texts = vec![b"static".to_vec()];
}
