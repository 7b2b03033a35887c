//! The growth of the agents' memory while a long body passes.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use planescape_tests::long_bodies::{BodyServer, Way, pass};

use crate::process::Side;
use crate::proxied::listening;

const LENGTH: usize = 1 << 30;

pub(crate) async fn growth(sides: [Side<'_>; 2], folder: &Path) -> Result<()> {
    let server = BodyServer::start().await?;
    println!("| A body of 1 GiB | `vault agent` | our agent |");
    println!("| --- | ---: | ---: |");
    for (what, way) in [
        ("from Vault", Way::FromVault),
        ("to Vault, in chunks", Way::ToVaultInChunks),
    ] {
        let mut cells = String::new();
        for side in sides {
            let (agent, listen) = listening(side, folder, &server.url()).await?;
            let before = agent.resident()?;
            let begun = Instant::now();
            // An agent that reads all of it into its memory may give up.
            if let Err(error) = pass(way, listen, LENGTH).await {
                cells += &format!(" fails: {error:#} |");
                continue;
            }
            let grown = agent.peak()? - before;
            let time = begun.elapsed().as_secs_f64();
            cells += &format!(" {grown:.1} MiB more, {time:.1} s |");
        }
        println!("| {what} |{cells}");
    }
    println!();
    Ok(())
}
