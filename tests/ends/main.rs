//! Each way in which a run can end, while somebody is killed or out of reach: until when its credentials lived, from
//! Vault's own list of leases, and who revoked them.
//!
//! ```text
//! cargo test -p planescape-tests --test ends -- --nocapture     # agents that are killed
//! tests/run ends                                                # all of it
//! ENDS_ROUNDS=10 tests/run ends                                 # within what time 99 of 100 are gone
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod bed;
mod rounds;
mod run;
mod table;

use bed::Bed;
use table::{End, TROUBLES, Trouble, WAYS};

/// A killed agent is the trouble that comes most by itself, and takes a minute. All of it takes a quarter of an hour.
#[tokio::test]
async fn no_lease_outlives_its_bound_whoever_is_out_of_order() {
    if let Some(rounds) = rounds() {
        let mut bed = Bed::start().await.unwrap();
        let ends = rounds::all(&mut bed, rounds).await.unwrap();
        println!();
        let late = rounds::report(&ends);
        let wrong: Vec<String> = ends.iter().filter_map(End::complaint).chain(late).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        return;
    }
    let is_all = std::env::var_os("ENDS").is_some();
    let troubles = if is_all {
        &TROUBLES[..]
    } else {
        &[Trouble::Agent]
    };
    let ends = ends(troubles).await;
    let wrong = ends.iter().filter_map(End::complaint);
    // The machine's speed matters there alone.
    let late = ends.iter().filter_map(End::lateness).filter(|_| is_all);
    let wrong: Vec<String> = wrong.chain(late).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn rounds() -> Option<u32> {
    let rounds = std::env::var("ENDS_ROUNDS").ok()?;
    Some(rounds.parse().expect("ENDS_ROUNDS is a number of rounds"))
}

async fn ends(troubles: &[Trouble]) -> Vec<End> {
    let mut bed = Bed::start().await.unwrap();
    let mut ends = Vec::new();
    println!();
    table::print_head();
    for trouble in troubles {
        let found = run::all_ways(&mut bed, (*trouble, &WAYS[..]), "")
            .await
            .unwrap();
        table::print_rows(&found);
        ends.extend(found);
    }
    ends
}
