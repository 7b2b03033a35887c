//! Whatever happens, in whatever order, the agent never asks to be woken at once.

use std::time::Duration;

use planescape_agent_contract::Planescape;
use planescape_templates::{Answer, Request};
use planescape_vault::SecretText;
use planescape_vault::Text;
use planescape_vault::mount::Mount;

use super::world::*;
use crate::command::Command;
use crate::failure::Failure;
use crate::input::{Input, Login};

const TEMPLATES: [&str; 4] = [
    r#"{{ with secret "database/creds/a" }}{{ .Data.username }}{{ end }}"#,
    r#"{{ with secret "database/creds/b" }}{{ .Data.username }}{{ end }}{{ file "/x" }}"#,
    r#"{{ range secrets "kv/" }}{{ . }}{{ end }}{{ with secret "kv/c" }}{{ .Data }}{{ end }}"#,
    "static",
];

#[test]
fn the_agent_never_asks_to_be_woken_at_a_moment_that_is_over() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let mut world = World::build(&TEMPLATES, |start| {
            start.config.template_config.max_connections = 1 + chance.below(3);
            start.config.template_config.exit_on_retry_failure = chance.below(2) == 0;
            match chance.below(3) {
                0 => start.config.planescape = Planescape::default(),
                1 => start.config.planescape.give_up_after = None,
                _ => {}
            }
        });
        let mut running: Vec<Command> = Vec::new();
        for round in 0..200 {
            running.extend(std::iter::from_fn(|| world.agent.poll_command()));
            let input = match chance.below(60) {
                0 if round > 100 => Some(Input::Terminate),
                1..30 if !running.is_empty() => {
                    let index = chance.below(running.len());
                    answer(&running.swap_remove(index), &mut chance)
                }
                _ => None,
            };
            if let Some(input) = input {
                world.feed(input);
            } else {
                let waits = [0, 1, 250, 2_000, 30_000, 400_000];
                let wait = waits[chance.below(waits.len())];
                world.now.moment = world.now.moment + Duration::from_millis(wait);
            }
            world.feed(Input::Timeout);

            let wake = world.agent.poll_timeout();
            assert!(
                wake.is_none_or(|wake| wake > world.now.moment),
                "seed {seed}, round {round}: {:?}",
                world.agent
            );
        }
    }
}

/// What the world says to a command; `None` where it says nothing.
fn answer(command: &Command, chance: &mut Chance) -> Option<Input> {
    let outcome = match chance.below(6) {
        0 => Err(down()),
        1 => Err(denied("permission denied", 403)),
        2 => Err(denied("invalid token", 403)),
        _ => Ok(()),
    };
    let grant = grant([0, 1, 90, 3600][chance.below(4)]);
    let input = match command {
        Command::LogIn => Input::LoggedIn(outcome.map(|()| Login {
            token: SecretText::new("t".to_owned()),
            accessor: "a".to_owned(),
            grant,
        })),
        Command::RenewToken { .. } => Input::TokenRenewed(outcome.map(|()| grant)),
        Command::FindMount { request, .. } => Input::MountFound {
            request: request.clone(),
            result: outcome.map(|()| Some(Mount::new("mount/", "database", "1"))),
        },
        Command::Read { request, .. } | Command::ReadFile { request, .. } => Input::Answered {
            request: request.clone(),
            result: outcome.map(|()| contents(request)),
        },
        Command::RenewLease { request, .. } => Input::LeaseRenewed {
            request: request.clone(),
            result: outcome.map(|()| grant),
        },
        Command::Write { destination, .. } => Input::Written {
            destination: *destination,
            result: outcome.map_err(|_| Failure::File {
                path: "/0".to_owned(),
                message: "disk full".to_owned(),
            }),
        },
        Command::Revoke { .. } => Input::Revoked(outcome),
        Command::AnnounceReady | Command::Log(_) | Command::Exit { .. } => return None,
    };
    Some(input)
}

fn contents(request: &Request) -> Answer {
    match request {
        Request::File { .. } => Answer::File(Text::from("text")),
        Request::List { .. } => Answer::List(vec!["a".to_owned()]),
        Request::Read { .. } | Request::Write { .. } | Request::Pki { .. } => secret(CREDENTIALS),
    }
}

/// A small generator, so that a failure can be had again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
