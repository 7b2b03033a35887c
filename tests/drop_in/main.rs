//! The same configurations through `vault agent`, `bao agent` and ours: files, modes, exit codes and what
//! Vault was asked for must be the same.
//!
//! ```text
//! cargo test -p planescape-tests --test drop_in            # all
//! DROP_IN=approle cargo test -p planescape-tests --test drop_in   # those with this in their name
//! DROP_IN_SEEDS=500 cargo test -p planescape-tests --test drop_in random   # more random ones
//! DROP_IN_SEED=7 cargo test -p planescape-tests --test drop_in random   # one of them
//! DROP_IN_AGENT=/usr/bin/bao cargo test -p planescape-tests --test drop_in   # against another agent
//! ```

mod compare;
mod generated;
mod outcome;
mod run;
mod scenario;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, stream};
use planescape_tests::programs::Program;
use planescape_tests::servers;

use run::{Agents, Side};
use scenario::Scenario;

/// Each has two servers and mostly waits.
const AT_ONCE: usize = 6;

/// How many random configurations there are unless `DROP_IN_SEEDS` says otherwise.
const SEEDS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn every_configuration_ends_as_with_vault_agent() -> Result<()> {
    compare_all(wanted()?, their_agent()?).await
}

/// Compares where `bao agent` does as `vault agent` does.
#[tokio::test(flavor = "multi_thread")]
async fn every_configuration_ends_as_with_bao_agent() -> Result<()> {
    compare_with_bao(wanted()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_configurations_end_as_with_vault_agent() -> Result<()> {
    compare_all(random()?, their_agent()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_configurations_end_as_with_bao_agent() -> Result<()> {
    compare_with_bao(random()?).await
}

#[test]
fn the_page_says_how_many_there_are_and_how_many_end_alike() -> Result<()> {
    let page = include_str!("../../docs/reference/differences.md");
    let words: Vec<&str> = page.split_whitespace().collect();
    let scenarios = scenario::all()?;
    let alike = scenarios.iter().filter(|it| it.openbao.is_none());

    let told = format!(
        "Of the {} scenarios that ours is compared by, {} end with `bao agent`",
        scenarios.len(),
        alike.count()
    );

    assert!(words.join(" ").contains(&told), "{told}");
    Ok(())
}

fn random() -> Result<Vec<Scenario>> {
    let number = |name: &str| -> Result<Option<u64>> {
        let text = std::env::var(name).ok();
        Ok(text.map(|text| text.parse()).transpose()?)
    };
    let seeds: Vec<u64> = match number("DROP_IN_SEED")? {
        Some(seed) => vec![seed],
        None => (number("DROP_IN_FIRST")?.unwrap_or(0)..number("DROP_IN_SEEDS")?.unwrap_or(SEEDS))
            .collect(),
    };
    Ok(seeds.into_iter().map(generated::scenario).collect())
}

fn wanted() -> Result<Vec<Scenario>> {
    let wanted = std::env::var("DROP_IN").unwrap_or_default();
    let mut scenarios = scenario::all()?;
    scenarios.retain(|it| it.name.contains(&wanted) || it.file.contains(&wanted));
    Ok(scenarios)
}

fn their_agent() -> Result<PathBuf> {
    match std::env::var_os("DROP_IN_AGENT") {
        Some(program) => Ok(program.into()),
        None => Ok(servers::VAULT.build()?.join("vault")),
    }
}

/// Compares the scenarios in which `bao agent` does as `vault agent` does.
async fn compare_with_bao(mut scenarios: Vec<Scenario>) -> Result<()> {
    scenarios.retain(|it| it.openbao.is_none());
    compare_all(scenarios, servers::OPENBAO.build()?.join("bao")).await
}

async fn compare_all(scenarios: Vec<Scenario>, theirs: PathBuf) -> Result<()> {
    let agents = Agents {
        theirs,
        ours: Program::Agent.build()?,
    };
    let count = scenarios.len();
    ensure!(count > 0, "no scenario has this name");
    let compared = stream::iter(&scenarios).map(async |scenario| {
        let differences = compare_sides(scenario, &agents).await;
        (scenario, differences)
    });
    let mut compared = std::pin::pin!(compared.buffer_unordered(AT_ONCE));
    let mut differing = Vec::new();
    while let Some((scenario, differences)) = compared.next().await {
        if tell(scenario, differences) {
            differing.push(scenario);
        }
    }
    eprintln!("{} of {count} scenarios end alike", count - differing.len());
    // An agent beside others may be late for the steps of its scenario.
    let mut failed = 0;
    for scenario in differing {
        eprintln!("once more, alone:");
        failed += usize::from(tell(scenario, compare_sides(scenario, &agents).await));
    }
    assert_eq!(failed, 0, "of {count} scenarios so many differ");
    Ok(())
}

/// Whether there is anything to tell.
fn tell(scenario: &Scenario, differences: Result<Vec<String>>) -> bool {
    let differences = differences.unwrap_or_else(|error| vec![format!("{error:#}")]);
    if !differences.is_empty() {
        eprintln!("{}:\n  {}", scenario.name, differences.join("\n  "));
    }
    !differences.is_empty()
}

async fn compare_sides(scenario: &Scenario, agents: &Agents) -> Result<Vec<String>> {
    let theirs = run::run(scenario, Side::Theirs, agents);
    let ours = run::run(scenario, Side::Ours, agents);
    let (theirs, ours) = tokio::join!(theirs, ours);
    Ok(compare::differences(scenario, &theirs?, &ours?))
}
