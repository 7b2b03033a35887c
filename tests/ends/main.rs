//! Each way in which a run can end, while somebody is killed or out of reach: until when its credentials lived, from
//! Vault's own list of leases, and who revoked them.
//!
//! ```text
//! cargo test -p planescape-tests --test ends -- --nocapture     # agents that are killed
//! tests/run ends                                                # all of it
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod bed;
mod run;
mod table;

use bed::Bed;
use table::{End, TROUBLES, Trouble};

/// The most that goes wrong by itself, in a minute.
#[tokio::test]
async fn no_lease_of_an_agent_that_is_killed_outlives_its_bound() {
    let ends = ends(&[Trouble::Agent]).await;
    let wrong: Vec<String> = ends.iter().filter_map(End::complaint).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[ignore = "takes a quarter of an hour: tests/run ends"]
async fn no_lease_outlives_its_bound_whoever_is_out_of_order() {
    let ends = ends(&TROUBLES).await;
    let wrong = ends.iter().filter_map(End::complaint);
    // How slow a machine is matters here alone.
    let late = ends.iter().filter_map(End::lateness);
    let wrong: Vec<String> = wrong.chain(late).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn ends(troubles: &[Trouble]) -> Vec<End> {
    let mut bed = Bed::start().await.unwrap();
    let mut ends = Vec::new();
    println!();
    table::print_head();
    for trouble in troubles {
        let found = run::all_ways(&mut bed, *trouble).await.unwrap();
        table::print_rows(&found);
        ends.extend(found);
    }
    ends
}
