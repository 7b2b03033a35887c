//! The operator's decisions against a modelled API server: stale caches, lost answers, crashes, two
//! leaders, a frozen one, clocks that jump, and users who edit. Whatever happens, the promises hold.
//!
//! A failure prints its seed, the fewest kinds of trouble and the fewest steps that bring it about.
//! `PLANESCAPE_SIM_SEED=n` runs that one alone; `PLANESCAPE_SIM_SEEDS=n` says how many there are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod operator;
mod server;
mod world;

use std::collections::BTreeMap;

use world::{TROUBLE, World};

/// What happens in one history before everything calms down.
const STEPS: usize = 120;

const SEEDS: u64 = 1_000;

/// How often each kind of trouble was met while an operator did what.
pub(crate) type Coverage = BTreeMap<(&'static str, &'static str), u64>;

/// The first promise that a history breaks.
fn broken(seed: u64, trouble: u32, steps: usize, coverage: &mut Coverage) -> Option<String> {
    let mut world = World::new(seed, trouble);
    for _ in 0..steps {
        world.step(coverage);
        if let Some(broken) = world.broken() {
            return Some(broken);
        }
    }
    world.calm_down();
    world.broken()
}

/// The same with as little as it takes.
fn shrunk(seed: u64) -> String {
    let mut ignored = Coverage::new();
    let mut fails = |trouble, steps| broken(seed, trouble, steps, &mut ignored).is_some();
    let mut trouble = u32::MAX;
    for kind in 0..TROUBLE.len() {
        let fewer = trouble & !(1 << kind);
        if fails(fewer, STEPS) {
            trouble = fewer;
        }
    }
    let steps = (0..=STEPS).find(|steps| fails(trouble, *steps)).unwrap();
    let kinds = TROUBLE.iter().enumerate();
    let kinds: Vec<_> = kinds
        .filter(|(kind, _)| trouble & (1 << kind) != 0)
        .map(|(_, name)| *name)
        .collect();
    let mut world = World::new(seed, trouble);
    for _ in 0..steps {
        world.step(&mut ignored);
    }
    if world.broken().is_none() {
        world.calm_down();
    }
    let promise = world.broken().unwrap();
    format!(
        "seed {seed}, {steps} steps, {kinds:?}: {promise}\n{}",
        world.story()
    )
}

#[test]
fn the_operator_keeps_its_promises_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let one = number("PLANESCAPE_SIM_SEED");
    let last = number("PLANESCAPE_SIM_SEEDS").unwrap_or(SEEDS);
    let mut coverage = Coverage::new();
    for seed in one.map_or(1..=last, |seed| seed..=seed) {
        if broken(seed, u32::MAX, STEPS, &mut coverage).is_some() {
            panic!("{}", shrunk(seed));
        }
    }
    for ((trouble, phase), count) in &coverage {
        eprintln!("{trouble:<16}{phase:<12}{count:>10}");
    }
    if one.is_none() && last >= 1_000 {
        for trouble in TROUBLE {
            for phase in operator::PHASES {
                assert!(
                    coverage.contains_key(&(trouble, phase)),
                    "{trouble} while {phase}"
                );
            }
        }
    }
}
