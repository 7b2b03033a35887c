//! The fate of the token of an agent that ends once everything is rendered.

use std::time::Duration;

use planescape_agent_contract::{Persist, Reason};

use super::sessions::sink;
use super::world::*;
use crate::agent::Start;
use crate::verdict::ExitCode;

const KV: &str = r#"{{ with secret "kv/a" }}{{ .Data.x }}{{ end }}"#;
const OWN: &str = r#"{{ with secret "auth/token/lookup-self" }}{{ .Data.id }}{{ end }}"#;
const STATIC: &str = r#"{"data":{"x":"1","id":"t1"}}"#;

#[test]
fn a_token_that_nobody_lives_by_is_revoked_and_one_that_cannot_be_fails_nothing() {
    for (result, reason, unrevoked) in [
        (Ok(()), Reason::Revoked, vec![]),
        (
            Err(denied("permission denied", 403)),
            Reason::RevokeFailed,
            vec!["accessor of 2"],
        ),
    ] {
        let mut world = World::build(&[KV], |start| start.config.exit_after_auth = true);
        let steps = rendered(&mut world, "kv/a", STATIC);
        assert!(
            steps.ends_with(&last(["announce ready", "revoke t1"])),
            "{steps:?}"
        );

        world.revoked(result);

        let (code, report) = world.exit();
        assert_eq!((code, report.reason), (ExitCode::Done, reason));
        assert_eq!(report.unrevoked, unrevoked);
    }
}

#[test]
fn a_revocation_that_hangs_holds_up_nobody_for_long() {
    let mut world = World::build(&[KV], |start| start.config.exit_after_auth = true);
    rendered(&mut world, "kv/a", STATIC);

    world.pass(Duration::from_secs(9));

    let (code, report) = world.exit();
    assert_eq!(
        (code, report.reason),
        (ExitCode::Done, Reason::RevokeFailed)
    );
}

#[test]
fn a_token_that_somebody_lives_by_is_kept() {
    let keep = last(["announce ready", "exit Done Rendered"]);
    for (text, path, answer) in [
        (DATABASE, "database/creds/ro", CREDENTIALS),
        (OWN, "auth/token/lookup-self", STATIC),
    ] {
        let mut world = World::build(&[text], |start| start.config.exit_after_auth = true);
        let steps = rendered(&mut world, path, answer);
        assert!(steps.ends_with(&keep), "{steps:?}");
    }
    let others: [fn(&mut Start); 2] = [
        |start| start.config.auth.sinks.push(sink()),
        |start| {
            start.config.proxy.persist = Some(Persist {
                folder: "/cache".to_owned(),
                keeps_after_import: false,
                exits_on_error: false,
                token_file: "/token".to_owned(),
            });
        },
    ];
    for share in others {
        let mut world = World::build(&[KV], |start| {
            start.config.exit_after_auth = true;
            share(start);
        });
        let steps = rendered(&mut world, "kv/a", STATIC);
        assert!(steps.ends_with(&keep), "{steps:?}");
    }
}

/// Everything that it does from its start until everything is rendered, and what follows.
fn rendered(world: &mut World, path: &str, answer: &str) -> Vec<String> {
    world.step();
    world.log_in("t1", 3600);
    let mut steps = Vec::new();
    for _ in 0..6 {
        for step in world.step() {
            if let Some(rest) = step.strip_prefix("find mount of ") {
                let asked = rest.split(' ').next().unwrap_or_default();
                world.find_mount(asked, "kv");
            } else if step.starts_with("get") {
                world.answer(path, answer);
            } else if step.starts_with("write") {
                world.written();
            }
            steps.push(step);
        }
    }
    steps
}

fn last(steps: [&str; 2]) -> [String; 2] {
    steps.map(str::to_owned)
}
