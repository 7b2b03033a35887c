//! The agent's core against a modelled Vault on a clock of their own: random answers, faults,
//! expiries, kills, signals and new configurations. The promises hold whatever happens, in whatever order.
//!
//! A failure prints its seed; `PLANESCAPE_SIM_SEED=n` runs that one alone. The long run is
//! `PLANESCAPE_SIM_SEEDS=1000 cargo test -p planescape-tests --test sim -- --nocapture`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a command that the model cannot answer is a failure"
)]

mod away;
mod cache;
mod coverage;
mod fault;
mod promises;
mod start;
mod vault;
mod world;

use std::ops::RangeInclusive;

use coverage::Coverage;
use planescape_tests::chance::Chance;
use world::World;

/// The steps of one agent and its later lives.
const STEPS: usize = 1_000;

/// A tenth of the long run.
const SEEDS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The only seed, where one is to be repeated.
fn seed() -> Option<u64> {
    number("PLANESCAPE_SIM_SEED")
}

fn seeds(usually: u64) -> RangeInclusive<u64> {
    let last = number("PLANESCAPE_SIM_SEEDS").unwrap_or(usually);
    seed().map_or(1..=last, |seed| seed..=seed)
}

#[test]
fn the_agent_keeps_its_promises_whatever_happens() {
    let mut coverage = Coverage::default();
    for seed in seeds(SEEDS) {
        let mut world = World::new(seed);
        for step in 0..STEPS {
            world.step(&mut coverage);
            if let Some(broken) = world.broken_promise() {
                panic!("seed {seed}, step {step}: {broken}\n{}", world.story());
            }
        }
    }
    eprintln!("{coverage}");
    if seed().is_none() {
        let wrong = coverage.wrong();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let mut world = World::new(seed);
        let mut coverage = Coverage::default();
        for _ in 0..300 {
            world.step(&mut coverage);
        }
        world.story()
    };

    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
    assert_ne!(Chance::new(7).below(1000), Chance::new(8).below(1000));
}
