use super::*;

const LEASE: Duration = Duration::from_secs(15);

#[test]
fn claims_a_record_that_nobody_holds_at_once() {
    for record in [None, Some(held_by("", 1))] {
        let mut election = standby("a");
        assert!(matches!(election.next(at(0.0), wall(0)), Step::Wait(_)));

        election.see(record.clone(), at(0.0));

        let Step::Write(claim) = election.next(at(0.0), wall(0)) else {
            panic!("{record:?} is not claimed");
        };
        assert_eq!((claim.holder.as_str(), claim.duration), ("a", LEASE));
        assert_eq!(claim.transitions, i32::from(record.is_some()));
        assert!(!election.is_leading(), "it does not lead before it is told");
    }
}

#[test]
fn waits_for_the_whole_duration_since_the_record_changed_here() {
    let mut election = standby("a");
    // The holder's clock is a day ahead, and is not read.
    election.see(Some(held_by("b", 86_400)), at(0.0));
    election.see(Some(held_by("b", 86_400)), at(9.0));
    assert_eq!(election.next(at(14.9), wall(0)), Step::Wait(at(15.0)));

    election.see(Some(held_by("b", 86_402)), at(14.9));
    assert_eq!(election.next(at(15.0), wall(0)), Step::Wait(at(29.9)));

    let Step::Write(claim) = election.next(at(29.9), wall(7)) else {
        panic!("a record that is out of date is not claimed");
    };
    assert_eq!((claim.transitions, claim.acquired), (1, Some(wall(7))));
}

#[test]
fn a_holder_with_a_longer_duration_is_given_it() {
    let mut election = standby("a");
    let mut record = held_by("b", 0);
    record.duration = Duration::from_secs(60);
    election.see(Some(record), at(0.0));

    assert_eq!(election.next(at(20.0), wall(0)), Step::Wait(at(60.0)));
}

#[test]
fn renews_every_two_seconds_and_stops_after_ten_without_success() {
    let mut election = leader("a");
    assert_eq!(election.next(at(1.9), wall(1)), Step::Wait(at(2.0)));

    let Step::Write(renewal) = election.next(at(2.0), wall(2)) else {
        panic!("it is not renewed");
    };
    assert_eq!(renewal.acquired, Some(wall(0)), "it leads since its claim");
    assert_eq!((renewal.renewed, renewal.transitions), (Some(wall(2)), 0));
    election.failed(at(2.0));
    assert_eq!(election.next(at(3.9), wall(3)), Step::Wait(at(4.0)));
    assert!(matches!(election.next(at(9.9), wall(9)), Step::Write(_)));
    assert_eq!(election.next(at(10.0), wall(10)), Step::Lost);
    election.wrote(renewal, at(9.0));
    assert_eq!(election.next(at(10.0), wall(10)), Step::Wait(at(11.0)));
}

#[test]
fn stops_when_somebody_else_holds_the_record_or_it_is_gone() {
    for record in [Some(held_by("b", 1)), None] {
        let mut election = leader("a");

        election.see(record.clone(), at(1.0));

        assert_eq!(election.next(at(1.0), wall(1)), Step::Lost);
        election.wrote(held_by("a", 2), at(1.0));
        assert_eq!(election.next(at(1.0), wall(1)), Step::Lost, "{record:?}");
        assert_eq!(election.may_write_until(), None);
        assert_eq!(election.resign(wall(1)), None);
    }
}

#[test]
fn a_claim_that_succeeded_unseen_is_claimed_again_at_once() {
    let mut election = standby("a");

    election.see(Some(held_by("a", 3)), at(3.0));

    assert!(matches!(election.next(at(3.0), wall(3)), Step::Write(_)));
}

#[test]
fn a_resignation_lets_the_next_one_lead_at_once() {
    let election = leader("a");
    let mut next = standby("b");
    let resigned = election.resign(wall(5)).unwrap();

    next.see(Some(resigned), at(5.0));

    let Step::Write(claim) = next.next(at(5.0), wall(5)) else {
        panic!("it waits");
    };
    assert_eq!(claim.transitions, 1);
    assert_eq!(standby("c").resign(wall(5)), None);
}

#[test]
fn writes_to_the_cluster_end_before_somebody_else_may_lead() {
    let election = leader("a");

    assert_eq!(election.may_write_until(), Some(at(13.0)));
}

#[test]
fn a_lease_says_what_a_record_says() {
    let mut record = held_by("a", 3);
    record.acquired = Some(wall(1));
    record.transitions = 4;
    let mut lease = LeaseSpec {
        preferred_holder: Some("x".into()),
        ..LeaseSpec::default()
    };

    record.write_to(&mut lease);

    assert_eq!(Record::of(&lease, Duration::from_secs(9)), record);
    assert_eq!(lease.preferred_holder.as_deref(), Some("x"));
    let empty = Record::of(&LeaseSpec::default(), LEASE);
    assert_eq!((empty.holder.as_str(), empty.duration), ("", LEASE));
    lease.lease_duration_seconds = Some(i32::MAX);
    assert_eq!(Record::of(&lease, LEASE).duration.as_secs(), 3_600);
}

#[test]
fn refuses_times_that_do_not_fit_each_other() {
    let problems = |lease, renew, retry| {
        let millis = Duration::from_millis;
        Timing::new(millis(lease), millis(renew), millis(retry)).err()
    };

    assert_eq!(problems(15_000, 10_000, 2_000), None);
    assert_eq!(problems(2_000, 1_000, 200), None);
    for (times, problem) in [
        ((1_500, 1_000, 100), Error::Duration),
        ((0, 0, 0), Error::Duration),
        ((3_601_000, 1_000, 100), Error::Duration),
        ((15_000, 15_000, 2_000), Error::Deadline),
        ((15_000, 10_000, 5_000), Error::Period),
        ((15_000, 10_000, 0), Error::Period),
    ] {
        let found = problems(times.0, times.1, times.2).unwrap();
        assert!(found.contains(&problem), "{times:?}: {found:?}");
    }
}

/// Three operators whose calls take any time, get lost or succeed unseen, and that stand still for a while.
#[test]
fn no_two_operators_may_write_at_once_whatever_happens_to_their_calls() {
    let mut terms = 0;
    for seed in 0..300_u64 {
        terms += simulate(seed);
    }
    assert!(terms > 900, "leadership changed hands {terms} times only");
}

/// A call on its way: it is done when it arrives, and answered later, or never.
struct Call {
    by: usize,
    sent: Moment,
    arrives: Moment,
    answered: Option<Moment>,
    record: Record,
    version: u64,
    outcome: Option<bool>,
}

fn simulate(seed: u64) -> usize {
    let mut dice = Dice(seed.wrapping_add(1));
    let mut server: (u64, Option<Record>) = (0, None);
    let mut members: Vec<(Election, u64, Moment)> = (0..3)
        .map(|number| (standby(&format!("{seed}-{number}")), 0, at(0.0)))
        .collect();
    let mut calls: Vec<Call> = Vec::new();
    let mut terms = 0;
    for tenth in 0..2_000_u32 {
        let now = at(f64::from(tenth) / 10.0);
        for call in &mut calls {
            if call.outcome.is_none() && call.arrives <= now {
                let wins = server.0 == call.version;
                if wins {
                    server = (server.0 + 1, Some(call.record.clone()));
                }
                call.outcome = Some(wins);
            }
        }
        for (number, (election, version, asleep)) in members.iter_mut().enumerate() {
            if dice.one_in(400) {
                *asleep = now.after(Duration::from_secs(dice.below(40)));
            }
            if *asleep > now {
                continue;
            }
            let is_answered = |call: &Call| call.answered.is_some_and(|it| it <= now);
            let mine = calls.iter().position(|call| call.by == number);
            let is_given_up = mine.is_some_and(|it| calls[it].sent.until(now) > LEASE / 3);
            match mine {
                Some(it) if is_answered(&calls[it]) => {
                    let call = calls.swap_remove(it);
                    let was_leading = election.is_leading();
                    if call.outcome == Some(true) {
                        *version = call.version + 1;
                        election.wrote(call.record, call.sent);
                        terms += usize::from(!was_leading && election.is_leading());
                    } else {
                        election.failed(call.sent);
                    }
                }
                // The call may still arrive.
                Some(it) if is_given_up => {
                    election.failed(calls[it].sent);
                    calls[it].by = usize::MAX;
                }
                Some(_) => {}
                None => match election.next(now, wall(0)) {
                    Step::Lost => *election = standby(&format!("{seed}-{number}-{tenth}")),
                    Step::Wait(_) if dice.one_in(15) => {
                        *version = server.0;
                        election.see(server.1.clone(), now);
                    }
                    Step::Wait(_) => {}
                    Step::Write(mut record) => {
                        record.renewed = Some(wall(tenth.into()));
                        let longest = if dice.one_in(4) { 20_000 } else { 300 };
                        let arrives = now.after(Duration::from_millis(dice.below(longest)));
                        let back = arrives.after(Duration::from_millis(dice.below(3_000)));
                        calls.push(Call {
                            by: number,
                            sent: now,
                            arrives,
                            answered: (!dice.one_in(6)).then_some(back),
                            record,
                            version: *version,
                            outcome: None,
                        });
                    }
                },
            }
        }
        let writers = members.iter().filter(|(election, ..)| {
            let until = election.may_write_until();
            until.is_some_and(|until| now < until)
        });
        assert!(writers.count() <= 1, "seed {seed}, {now:?}");
    }
    terms
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

fn standby(name: &str) -> Election {
    let seconds = Duration::from_secs;
    let timing = Timing::new(LEASE, seconds(10), seconds(2)).unwrap();
    Election::new(name.to_owned(), timing)
}

fn leader(name: &str) -> Election {
    let mut election = standby(name);
    election.see(None, at(0.0));
    match election.next(at(0.0), wall(0)) {
        Step::Write(claim) => election.wrote(claim, at(0.0)),
        step @ (Step::Wait(_) | Step::Lost) => panic!("{step:?}"),
    }
    election
}

fn held_by(holder: &str, renewed: i64) -> Record {
    Record {
        holder: holder.to_owned(),
        duration: LEASE,
        acquired: Some(wall(0)),
        renewed: Some(wall(renewed)),
        transitions: 0,
    }
}

fn at(seconds: f64) -> Moment {
    Moment(Duration::from_secs_f64(1_000.0 + seconds))
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}
