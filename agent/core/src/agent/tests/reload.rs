//! A new configuration under a running agent.

use std::time::Duration;

use planescape_agent_contract::{Config, Overrides, Tree};

use super::world::*;
use crate::command::Destination;
use crate::input::{Input, Reloaded};
use crate::render::Texts;

const CHANGED: &str = r#"user={{ with secret "database/creds/ro" }}{{ .Data.username }}{{ end }}"#;

#[test]
fn what_is_as_it_was_stays_and_what_is_read_already_is_not_read_again() {
    let mut world = World::ready(&[DATABASE, "static"]);

    reload(&mut world, &[("/1", "static", ""), ("/0", CHANGED, "")], "");

    assert_eq!(
        world.step(),
        ["exchange [0] for [2]", "write template 2: user=v-1"]
    );
    world.written();
    world.pass(Duration::from_secs(65));
    assert_eq!(world.step(), ["renew lease database/creds/ro/1 as t1"]);
    let status = world.agent.status(world.now.moment);
    let targets: Vec<_> = status.texts.iter().map(|it| it.target.file()).collect();
    assert_eq!(targets, [Some("/1"), Some("/0")]);
}

#[test]
fn a_file_that_moves_keeps_its_credentials() {
    let mut world = World::ready(&[DATABASE]);

    reload(&mut world, &[("/elsewhere", DATABASE, "")], "");

    assert_eq!(
        world.step(),
        ["exchange [0] for [1]", "write template 1: v-1"]
    );
}

#[test]
fn what_a_new_text_comes_to_later_is_kept_until_then() {
    let mut world = World::ready(&[DATABASE]);
    let nested = format!(r#"{{{{ with secret "kv/new" }}}}{DATABASE}{{{{ end }}}}"#);

    reload(&mut world, &[("/0", nested.as_str(), "")], "");

    assert_eq!(
        world.step(),
        ["exchange [0] for [1]", "find mount of kv/new as t1"]
    );
    world.find_mount("kv/new", "kv");
    assert_eq!(world.step(), ["get kv/new as t1"]);
    world.answer("kv/new", r#"{"data":{"a":"b"}}"#);
    assert_eq!(world.step(), ["write template 1: v-1"]);
}

#[test]
fn what_nobody_asks_for_any_more_is_not_renewed_and_is_revoked_at_the_end() {
    let mut world = World::ready(&[DATABASE, "static"]);

    reload(&mut world, &[("/1", "static", "")], "");

    assert_eq!(world.step(), ["exchange [0] for []"]);
    world.pass(Duration::from_secs(65));
    assert_eq!(world.step(), NOTHING);
    world.feed(Input::Terminate);
    assert_eq!(world.step(), ["revoke database/creds/ro/1"]);
}

#[test]
fn a_lease_that_comes_when_nobody_asks_any_more_is_revoked_at_the_end() {
    let mut world = World::new(&[DATABASE, "static"]);
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.find_mount("database/creds/ro", "database");
    world.step();

    reload(&mut world, &[("/1", "static", "")], "");
    world.answer("database/creds/ro", CREDENTIALS);
    world.feed(Input::Terminate);

    let last = "revoke database/creds/ro/1".to_owned();
    assert!(world.step().contains(&last));
}

#[test]
fn a_changed_text_waits_for_the_end_of_what_is_under_way_for_its_file() {
    let mut world = World::new(&["old"]);
    world.step();
    world.log_in("t1", 3600);
    assert_eq!(world.step(), ["write template 0: old"]);
    let under_way = std::mem::take(&mut world.pending);

    reload(&mut world, &[("/0", "new", "")], "");
    assert_eq!(world.step(), ["exchange [0] for [1]"]);
    reload(&mut world, &[("/0", "newest", "")], "");
    assert_eq!(world.step(), ["exchange [1] for [2]"]);

    world.pending = under_way;
    world.written();
    assert_eq!(world.step(), ["write template 2: newest"]);
    world.written();
    assert_eq!(world.step(), ["announce ready"]);
}

#[test]
fn a_file_that_nothing_can_write_is_not_waited_for_when_it_is_gone() {
    let mut world = World::build(&["a", "b"], |start| {
        start.config.template_config.exit_on_retry_failure = false;
    });
    world.step();
    world.log_in("t1", 3600);
    world.step();
    world.feed(Input::Written {
        destination: Destination::Template(0),
        result: Ok(true),
    });
    world.feed(Input::Written {
        destination: Destination::Template(1),
        result: Err(down()),
    });
    assert_eq!(world.step(), NOTHING);

    reload(&mut world, &[("/0", "a", "")], "");

    assert_eq!(world.step(), ["exchange [1] for []", "announce ready"]);
}

#[test]
fn a_command_that_is_mended_runs_although_its_file_is_as_it_was() {
    for retries in [12, 0] {
        let mut world = World::build(&["static"], |start| start.config.vault.retries = retries);
        follow(&mut world, "command = \"relaod\"");
        world.feed(Input::HookEnded {
            hook: 0,
            result: Err("no such file".to_owned()),
        });
        assert_eq!(world.step(), ["announce ready"]);

        reload(&mut world, &[("/0", "static", "command = \"reload\"")], "");

        assert_eq!(
            world.step(),
            ["exchange [1] for [2]", "write template 2: static"]
        );
        is_as_it_was(&mut world, 2);
        assert_eq!(world.step(), ["run the hook of template 2"], "{retries}");
    }
}

#[test]
fn a_command_that_has_run_does_not_run_again_for_a_file_that_is_as_it_was() {
    let mut world = World::new(&["static"]);
    follow(&mut world, "command = \"reload\"");
    world.feed(Input::HookEnded {
        hook: 0,
        result: Ok(()),
    });
    assert_eq!(world.step(), ["announce ready"]);

    let more = "command = \"reload\" perms = \"0600\"";
    reload(&mut world, &[("/0", "static", more)], "");

    assert_eq!(
        world.step(),
        ["exchange [1] for [2]", "write template 2: static"]
    );
    is_as_it_was(&mut world, 2);
    assert_eq!(world.step(), NOTHING);
}

#[test]
fn a_command_that_still_runs_holds_up_the_one_in_its_place_and_takes_nothing_of_it() {
    let mut world = World::new(&["static"]);
    follow(&mut world, "command = \"old\"");

    reload(&mut world, &[("/0", "static", "command = \"new\"")], "");
    assert_eq!(
        world.step(),
        ["exchange [1] for [2]", "write template 2: static"]
    );
    world.written();
    assert_eq!(world.step(), NOTHING);
    world.feed(Input::HookEnded {
        hook: 0,
        result: Ok(()),
    });

    assert_eq!(world.step(), ["run the hook of template 2"]);
}

/// An agent whose only file is just written and is followed by a command.
fn follow(world: &mut World, command: &str) {
    reload(world, &[("/0", "static", command)], "");
    assert_eq!(world.step(), ["log in", "exchange [0] for [1]"]);
    world.log_in("t1", 3600);
    world.step();
    world.written();
    assert_eq!(world.step(), ["run the hook of template 1"]);
}

fn is_as_it_was(world: &mut World, template: usize) {
    world.feed(Input::Written {
        destination: Destination::Template(template),
        result: Ok(false),
    });
}

#[test]
fn commands_that_nothing_asks_for_any_more_make_room() {
    let mut world = World::ready(&["static"]);
    for round in 1..=3 {
        let (text, command) = (round.to_string(), format!("command = \"reload-{round}\""));
        reload(&mut world, &[("/0", &text, &command)], "");
        world.step();
        world.written();
        let run = format!("run the hook of template {round}");
        assert_eq!(world.step(), [run]);

        world.feed(Input::HookEnded {
            hook: 0,
            result: Ok(()),
        });

        assert!(!world.agent.hooks.is_busy(), "it is another one: {round}");
    }
}

#[test]
fn a_shorter_interval_does_not_wait_for_the_end_of_the_longer_one() {
    let mut world = World::new(&[DATABASE]);
    world.get_ready(r#"{"data":{"username":"u"}}"#);

    let interval = "static_secret_render_interval = \"1m\"";
    reload(&mut world, &[("/0", DATABASE, "")], interval);
    world.pass(Duration::from_secs(60));

    assert_eq!(world.step(), ["get database/creds/ro as t1"]);
}

#[test]
fn a_shorter_interval_replaces_no_lease_before_its_time() {
    let mut world = World::new(&[DATABASE]);
    world.get_ready(&CREDENTIALS.replace("true", "false"));

    let interval = "static_secret_render_interval = \"1m\"";
    reload(&mut world, &[("/0", DATABASE, "")], interval);
    world.pass(Duration::from_secs(60));

    assert_eq!(world.step(), NOTHING);
}

/// Destinations, texts, and more lines of their blocks; and lines of `template_config`.
fn reload(world: &mut World, templates: &[(&str, &str, &str)], settings: &str) {
    let blocks = templates.iter().map(|(destination, _, more)| {
        format!("template {{ contents = \"x\" destination = \"{destination}\" {more} }}\n")
    });
    let text = format!(
        r#"
        auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
        template_config {{ {settings} }}
        {}"#,
        blocks.collect::<String>()
    );
    let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
    let texts = templates
        .iter()
        .map(|(_, text, _)| text.as_bytes().to_vec());
    world.feed(Input::Reloaded(Reloaded {
        texts: Texts::parse(config.templates, texts.collect()).unwrap(),
        template_config: config.template_config,
    }));
}
