use std::collections::BTreeSet;

use planescape_operator_core::job::plan::Skip;

use super::*;

const REFERENCE: &str = include_str!("../../../docs/reference/metrics.md");

#[test]
fn counts_what_became_of_the_instants_of_a_schedule() {
    let metrics = Metrics::default();
    let tick = Timestamp::UNIX_EPOCH;
    let plan = Plan {
        skip: Some(Skip {
            tick,
            why: Skipped::Forbid,
        }),
        ..Plan::default()
    };
    let mut after = PlanescapeJobStatus::default();
    after.skipped.missed = 3;
    after.skipped.excluded = 2;

    metrics.reported(None, &after, (&plan, &Applied::default()));
    metrics.created(Some(SignedDuration::from_millis(300)));

    let text = metrics.render().unwrap();
    for line in [
        "planescape_ticks_skipped_total{reason=\"Forbid\"} 1",
        "planescape_ticks_skipped_total{reason=\"Excluded\"} 2",
        "planescape_ticks_missed_total 3",
        "planescape_runs_started_total 1",
        "planescape_run_creation_skew_seconds_bucket{le=\"0.25\"} 0",
        "planescape_run_creation_skew_seconds_bucket{le=\"0.5\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn says_what_is_so_when_it_is_asked() {
    let metrics = Metrics::default();
    metrics.ask(|| Snapshot {
        readable: 7,
        queue: 2,
        is_leading: true,
        waiting: [("run", 5), ("record", 0), ("tidy", 0), ("event", 0)],
        ..Snapshot::default()
    });

    let text = metrics.render().unwrap();

    for line in [
        "planescape_planescapejobs{readable=\"true\"} 7",
        "planescape_queue_depth 2",
        "planescape_leader 1",
        "planescape_api_calls_waiting{class=\"run\"} 5",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn tells_of_a_vault_that_is_away_and_of_who_waits_for_it() {
    let metrics = Metrics::default();
    let says = |lines: [&str; 2]| {
        let text = metrics.render().unwrap();
        for line in lines {
            assert!(text.contains(line), "{line} in {text}");
        }
    };
    metrics.vault_is_away("https://vault:8200", true);
    let waits = metrics.waits_for_vault("https://vault:8200");
    says([
        "planescape_vault_away{address=\"https://vault:8200\"} 1",
        "planescape_vault_away_runs_waiting{address=\"https://vault:8200\"} 1",
    ]);

    drop(waits);
    metrics.vault_is_away("https://vault:8200", false);
    says([
        "planescape_vault_away{address=\"https://vault:8200\"} 0",
        "planescape_vault_away_runs_waiting{address=\"https://vault:8200\"} 0",
    ]);
}

#[test]
fn counts_what_runs_hold_until_nobody_tends_them() {
    let metrics = Metrics::default();
    let says = |lines: [&str; 4]| {
        let text = metrics.render().unwrap();
        for line in lines {
            assert!(text.contains(line), "{line} in {text}");
        }
    };
    let count = |standing, leases| Count {
        standing: Some(standing),
        has_token: true,
        leases,
    };
    let (mut first, mut second) = (metrics.held.run(), metrics.held.run());
    first.set(count("Waiting", 0));
    first.set(count("Running", 2));
    second.set(count("Running", 3));
    says([
        "planescape_credentials_runs{standing=\"Waiting\"} 0",
        "planescape_credentials_runs{standing=\"Running\"} 2",
        "planescape_credentials_tokens 2",
        "planescape_credentials_leases 5",
    ]);

    second.set(Count::default());
    drop(first);
    says([
        "planescape_credentials_runs{standing=\"Waiting\"} 0",
        "planescape_credentials_runs{standing=\"Running\"} 0",
        "planescape_credentials_tokens 0",
        "planescape_credentials_leases 0",
    ]);
}

#[test]
fn the_reference_names_every_metric_and_no_other() {
    let metrics = Metrics::default();
    // A family without a label yet does not show.
    metrics.ask(Snapshot::default);
    let reason = [("reason", String::new()), ("outcome", String::new())];
    metrics.ended.get_or_create(&reason).inc();
    metrics.skipped.get_or_create(&[("reason", "Forbid")]).inc();
    metrics.stepped("LogIn", "Done");
    metrics.vault_is_away("https://vault:8200", false);
    let list = Question::of(&http::Method::GET, &"/api/v1/pods".parse().unwrap());
    metrics.calls.count(list.unwrap(), None, Duration::ZERO);
    let text = metrics.render().unwrap();
    let exposed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let named: BTreeSet<&str> = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split(['`', '{']).next())
        .map(|name| name.trim_end_matches("_total"))
        .collect();

    assert!(exposed.len() > 10, "{exposed:?}");
    assert_eq!(named, exposed);
}
