//! The operator's decisions against a modelled API server: stale caches, lost answers, crashes, two
//! leaders, a frozen one, clocks that jump, refusals, and users who edit, delete and create again. The promises hold
//! whatever happens.
//!
//! A failure prints which promises break in how many histories, and of the first its seed, the fewest kinds of
//! trouble and the fewest steps that bring it about. `PLANESCAPE_SIM_SEED=n` runs that one alone;
//! `PLANESCAPE_SIM_SEEDS=n` says how many there are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ledger;
mod night;
mod operator;
mod refused;
mod rules;
mod server;
mod spec;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ledger::Word;
use operator::STEPS;
use world::{TROUBLE, World};

/// The steps of one history before everything calms down.
const LENGTH: usize = 120;

const SEEDS: u64 = 100_000;

/// Everything has met everything after so many histories.
const MANY: u64 = 10_000;

/// The fates that some instants must have.
const WORDS: [Word; 8] = [
    Word::Started,
    Word::Skipped("forbid"),
    Word::Skipped("tooLate"),
    Word::Skipped("tooMany"),
    Word::Skipped("excluded"),
    Word::Missed,
    Word::Late,
    Word::Overtaken,
];

/// How often each kind of trouble came before each step of an operator.
pub(crate) type Coverage = BTreeMap<(&'static str, &'static str), u64>;

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    /// The name of the promise.
    pub(crate) promise: &'static str,
    /// The story of it.
    pub(crate) how: String,
}

/// The sum of many histories.
#[derive(Default)]
struct Tally {
    coverage: Coverage,
    words: BTreeMap<Word, u64>,
    /// How many histories break each promise, and the first of them.
    broken: BTreeMap<&'static str, (u64, u64)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (met, count) in other.coverage {
            *self.coverage.entry(met).or_default() += count;
        }
        for (word, count) in other.words {
            *self.words.entry(word).or_default() += count;
        }
        for (promise, (count, first)) in other.broken {
            let known = self.broken.entry(promise).or_insert((0, first));
            *known = (known.0 + count, known.1.min(first));
        }
    }

    /// Lives through one history.
    fn run(&mut self, seed: u64) {
        let world = lived(seed, u32::MAX, LENGTH, &mut self.coverage);
        if let Some(broken) = world.broken() {
            let (count, _) = self.broken.entry(broken.promise).or_insert((0, seed));
            *count += 1;
        }
        if !world.has_jumped() {
            for (word, count) in world.ledger.count() {
                *self.words.entry(word).or_default() += count;
            }
        }
    }

    fn print(&self) {
        eprint!("{:<16}", "");
        for step in STEPS {
            eprint!("{step:>9}");
        }
        for trouble in TROUBLE {
            eprint!("\n{trouble:<16}");
            for step in STEPS {
                let count = self.coverage.get(&(trouble, step)).copied();
                eprint!("{:>9}", count.unwrap_or_default());
            }
        }
        eprintln!("\ninstants where no clock jumped:");
        for (word, count) in &self.words {
            eprintln!("{count:>12} {word:?}");
        }
        for (promise, (count, first)) in &self.broken {
            eprintln!("broken in {count} histories, seed {first} first: {promise}");
        }
    }
}

/// A history until it breaks a promise, or to its end.
fn lived(seed: u64, trouble: u32, steps: usize, coverage: &mut Coverage) -> World {
    tell(World::new(seed, trouble, false), steps, coverage)
}

fn tell(mut world: World, steps: usize, coverage: &mut Coverage) -> World {
    for _ in 0..steps {
        world.step(coverage);
        if world.broken().is_some() {
            return world;
        }
    }
    world.calm_down();
    world
}

/// The same broken promise with as little as it takes.
fn shrunk(seed: u64) -> String {
    let mut ignored = Coverage::new();
    let first = lived(seed, u32::MAX, LENGTH, &mut ignored);
    let promise = first.broken().unwrap().promise;
    let mut fails = |trouble, steps| {
        let world = lived(seed, trouble, steps, &mut ignored);
        world.broken().is_some_and(|it| it.promise == promise)
    };
    let mut trouble = u32::MAX;
    for kind in 0..TROUBLE.len() {
        let fewer = trouble & !(1 << kind);
        if fails(fewer, LENGTH) {
            trouble = fewer;
        }
    }
    let steps = (0..=LENGTH).find(|steps| fails(trouble, *steps)).unwrap();
    let kinds = TROUBLE.iter().enumerate();
    let kinds: Vec<_> = kinds
        .filter(|(kind, _)| trouble & (1 << kind) != 0)
        .map(|(_, name)| *name)
        .collect();
    let world = tell(World::new(seed, trouble, true), steps, &mut ignored);
    let Broken { promise, how } = world.broken().unwrap();
    let story = world.story();
    format!("seed {seed}, {steps} steps, {kinds:?}: {promise}: {how}\n{story}")
}

#[test]
fn the_operator_keeps_its_promises_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("PLANESCAPE_SIM_SEED") {
        let mut tally = Tally::default();
        tally.run(seed);
        assert!(tally.broken.is_empty(), "{}", shrunk(seed));
        return;
    }
    let last = number("PLANESCAPE_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(1);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return tally;
            }
            tally.run(seed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            all.add(thread.join().unwrap());
        }
    });
    all.print();
    if let Some((_, first)) = all.broken.values().min_by_key(|(_, first)| first) {
        panic!("{}", shrunk(*first));
    }
    if last >= MANY {
        for trouble in TROUBLE {
            for step in STEPS {
                let met = all.coverage.contains_key(&(trouble, step));
                assert!(met, "{trouble} never came before {step}");
            }
        }
        for word in WORDS {
            let is_said = all.words.contains_key(&word);
            assert!(is_said, "of no instant it was said: {word:?}");
        }
    }
}
