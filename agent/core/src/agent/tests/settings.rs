//! The effects of a template's settings.

use std::time::Duration;

use planescape_agent_contract::{Template, Wait};
use planescape_templates::{Answer, Request};
use planescape_vault::Text;

use super::world::*;
use crate::command::Notice;
use crate::input::Input;

#[test]
fn a_text_waits_for_quiet_but_no_longer_than_it_may() {
    let mut world = with(r#"{{ file "/x" }}"#, |template| {
        template.wait = Some(Wait {
            min: Duration::from_secs(3),
            max: Duration::from_secs(7),
        });
    });
    assert_eq!(world.step(), ["read file /x"]);
    changes_to(&mut world, "a");
    assert_eq!(
        world.step(),
        ["write template 0: a"],
        "the first is not put off"
    );
    world.written();
    world.step();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.step(), ["read file /x"]);
    changes_to(&mut world, "b");
    for next in ["c", "d", "e"] {
        assert_eq!(world.step(), NOTHING);
        world.pass(Duration::from_secs(2));
        assert_eq!(world.step(), ["read file /x"]);
        changes_to(&mut world, next);
    }
    assert_eq!(world.step(), NOTHING, "six seconds after the first change");
    world.pass(Duration::from_secs(1));

    assert_eq!(world.step(), ["write template 0: e"]);
    world.written();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["read file /x"]);
    changes_to(&mut world, "f");
    world.pass(Duration::from_secs(2));
    assert_eq!(
        world.step(),
        ["read file /x"],
        "two quiet seconds are not enough"
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.step(), ["write template 0: f"]);
}

#[test]
fn delimiters_functions_keys_and_the_sandbox_are_the_templates_own() {
    let mut world = with("<% if true %>{{ kept }}<% end %>", |template| {
        "<%".clone_into(&mut template.left_delimiter);
        "%>".clone_into(&mut template.right_delimiter);
    });
    assert_eq!(world.step(), ["write template 0: {{ kept }}"]);

    let mut denied = with(r#"{{ env "HOME" }}"#, |template| {
        template.denied_functions = vec!["env".to_owned()];
    });
    assert!(failure(&mut denied).contains("function is disabled"));

    let text = r#"{{ with parseJSON "{}" }}{{ .none }}{{ end }}{{ (parseJSON "{\"a\":1}").none }}"#;
    let mut lenient = with(text, |_| {});
    assert_eq!(lenient.step(), ["write template 0: <no value>"]);
    let mut strict = with(text, |template| template.error_on_missing_key = true);
    assert!(failure(&mut strict).contains("no entry for key"));

    let mut inside = with(r#"{{ file "/etc/passwd" }}"#, |template| {
        template.sandbox_path = Some("/sandbox".to_owned());
    });
    assert!(failure(&mut inside).contains("sandbox"));
}

fn with(text: &str, change: impl FnOnce(&mut Template)) -> World {
    let mut world = World::build(&[text], |start| change(&mut start.config.templates[0]));
    world.step();
    world.log_in("t1", 3600);
    world
}

fn changes_to(world: &mut World, content: &str) {
    world.feed(Input::FileRead {
        request: Request::File {
            path: "/x".to_owned(),
        },
        result: Ok(Answer::File(Text::from(content))),
    });
}

/// Why the text cannot be rendered.
fn failure(world: &mut World) -> String {
    world.step();
    let failed = world.notices.iter().find_map(|notice| match notice {
        Notice::RenderFailed { message, .. } => Some(message.clone()),
        _ => None,
    });
    failed.expect("it does not render")
}
