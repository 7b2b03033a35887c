//! A night in compressed time: every tick of eight hours through ten crashes, as a ledger to read.

use jiff::{SignedDuration, Timestamp};
use planescape_tests::chance::Chance;
use serde_json::json;

use crate::Coverage;
use crate::ledger::Word;
use crate::world::{TROUBLE, World};

const HOURS: i64 = 8;

const CRASHES: usize = 10;

/// The other kinds of trouble.
const BESIDES: [&str; 3] = ["request lost", "answer lost", "stale cache"];

#[test]
fn every_tick_of_a_night_runs_once_through_ten_crashes() {
    let mut chance = Chance::new(1);
    let start: Timestamp = "2026-11-24T21:58:30Z".parse().unwrap();
    let end = start + SignedDuration::from_hours(HOURS);
    let mut crashes: Vec<Timestamp> = (0..CRASHES)
        .map(|_| start + SignedDuration::from_secs(chance.below(HOURS as usize * 3_600) as i64))
        .collect();
    crashes.sort_unstable();
    let spec = json!({
        "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow",
        "jobTemplate": { "spec": { "template": { "spec": {
            "containers": [{ "name": "main", "image": "busybox:1.35" }],
        } } } },
    });
    let besides = TROUBLE.iter().enumerate();
    let besides = besides.filter(|(_, kind)| BESIDES.contains(kind));
    let trouble = besides.fold(0, |mask, (kind, _)| mask | 1 << kind);
    let mut world = World::of(&spec, start, trouble, chance);
    let mut coverage = Coverage::new();
    let mut due = crashes.iter();
    let mut next = due.next();

    while world.now() < end {
        if next.is_some_and(|crash| *crash <= world.now()) {
            eprintln!("{}  the leader is killed", world.now());
            world.fail_over();
            next = due.next();
        }
        world.step(&mut coverage);
        assert!(world.broken().is_none(), "{:?}", world.broken());
    }
    world.calm_down();

    assert!(world.broken().is_none(), "{:?}", world.broken());
    let mut ticks = 0;
    for (tick, word) in world.ledger.words().filter(|(tick, _)| *tick <= end) {
        let made = world.made_at(tick);
        let late = made.map_or(-1, |made| made.duration_since(tick).as_secs());
        eprintln!("{tick}  {word:?}  {late} s after it");
        assert_eq!(word, Word::Started, "{tick}");
        ticks += 1;
    }
    assert_eq!((ticks, next), (HOURS * 12, None));
}
