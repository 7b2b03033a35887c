//! Many rounds of the ways in which somebody revokes, while nobody is out of order and while agents are killed: within what
//! time 99 of 100 leases are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::bed::Bed;
use crate::run;
use crate::table::{By, End, Trouble, WAYS, Way, by};

const TROUBLES: [Trouble; 2] = [Trouble::Nobody, Trouble::Agent];

/// How long leases of one kind lived, the shortest first.
struct Series {
    trouble: Trouble,
    whose: &'static str,
    bound: Duration,
    times: Vec<Duration>,
}

pub(crate) async fn all(bed: &mut Bed, rounds: u32) -> Result<Vec<End>> {
    let mut ends = Vec::new();
    for trouble in TROUBLES {
        // A guard takes its minute, and a suspended run keeps its Secret.
        let is_measured = |way: &Way| by(*way, trouble) != By::Guard && way.ends_secret();
        let ways: Vec<Way> = WAYS.into_iter().filter(is_measured).collect();
        for round in 1..=rounds {
            let name = format!("-{round}");
            ends.extend(run::all_ways(bed, (trouble, &ways[..]), &name).await?);
            run::tidy(bed, trouble, &name).await?;
        }
    }
    Ok(ends)
}

/// Prints both tables, and names what is over its bound.
pub(crate) fn report(ends: &[End]) -> Vec<String> {
    print_ways(ends);
    println!("| Whose lease | Out of order | Runs | p50 | p99 | Longest | Bound |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    let mut late = Vec::new();
    for series in series(ends) {
        let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
        let [median, most, longest] = [50, 99, 100].map(|part| percentile(&series.times, part));
        let (whose, trouble) = (series.whose, series.trouble.name());
        let (count, bound) = (series.times.len(), series.bound.as_secs());
        let (p50, p99, max) = (seconds(median), seconds(most), seconds(longest));
        println!("| {whose} | {trouble} | {count} | {p50} | {p99} | {max} | {bound} |");
        if most > series.bound {
            late.push(format!(
                "{whose}, {trouble}: 99 of 100 within {p99} s, bound {bound} s"
            ));
        }
    }
    late
}

/// Which ways take long: the median, and the longest.
fn print_ways(ends: &[End]) {
    println!("| How the run ends | Out of order | The agent's lease | The Secret's |");
    println!("| --- | --- | ---: | ---: |");
    for trouble in TROUBLES {
        for way in WAYS {
            let of = || {
                let is_of = move |end: &&End| end.trouble == trouble && end.way == way;
                ends.iter().filter(is_of)
            };
            if of().count() == 0 {
                continue;
            }
            let cell = |times: Vec<Option<Duration>>| {
                let times = sorted(times);
                let [median, longest] = [50, 100].map(|part| percentile(&times, part));
                format!("{:.1}, {:.1}", median.as_secs_f64(), longest.as_secs_f64())
            };
            println!(
                "| {} | {} | {} | {} |",
                way.words(),
                trouble.name(),
                cell(of().map(|end| end.file).collect()),
                cell(of().map(|end| end.secret).collect())
            );
        }
    }
    println!();
}

fn series(ends: &[End]) -> Vec<Series> {
    let mut all = Vec::new();
    for trouble in TROUBLES {
        let of = || ends.iter().filter(move |end| end.trouble == trouble);
        let of_files = of().map(|end| (end.bounds().0, end.file));
        let of_secrets = of().map(|end| (end.bounds().1, end.secret));
        all.extend(by_bound(trouble, "the agent's", of_files));
        all.extend(by_bound(trouble, "the Secret's", of_secrets));
    }
    all
}

/// One series for each bound: a way that may take longer hides no other one's lateness.
fn by_bound(
    trouble: Trouble,
    whose: &'static str,
    measured: impl Iterator<Item = (Duration, Option<Duration>)>,
) -> Vec<Series> {
    let mut bounds: BTreeMap<Duration, Vec<Option<Duration>>> = BTreeMap::new();
    for (bound, time) in measured {
        bounds.entry(bound).or_default().push(time);
    }
    let series = bounds.into_iter().map(|(bound, times)| Series {
        trouble,
        whose,
        bound,
        times: sorted(times),
    });
    series.collect()
}

/// Those that were measured, the shortest first.
fn sorted(times: Vec<Option<Duration>>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort();
    times
}

/// The time that so many hundredths of all do not exceed.
fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    let place = (sorted.len() * hundredths).div_ceil(100);
    let time = sorted.get(place.saturating_sub(1));
    time.copied().unwrap_or_default()
}

#[test]
fn one_of_a_hundred_may_be_late_and_two_may_not() {
    let measured = |late: usize| {
        let times = (0..100).map(|index| if index < late { 9 } else { 1 });
        let times = times.map(|seconds| Some(Duration::from_secs(seconds)));
        sorted(times.collect())
    };

    assert!(percentile(&measured(1), 99) <= Duration::from_secs(3));
    assert!(percentile(&measured(2), 99) > Duration::from_secs(3));
    assert_eq!(percentile(&measured(1), 100), Duration::from_secs(9));
}
