//! The memory and the processor time of agents that render files and have nothing else to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use planescape_tests::vault::ROOT_TOKEN;

use crate::process::{Agent, Side, until};

const TEMPLATES: [usize; 3] = [1, 200, 500];

/// How long the agents are watched; an hour has sixty of them.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn memory(sides: [Side<'_>; 2], folder: &Path, address: &str) -> Result<()> {
    println!("| Templates | `vault agent`, resident | our agent | times less |");
    println!("| ---: | ---: | ---: | ---: |");
    for count in TEMPLATES {
        let mut held = Vec::new();
        for side in sides {
            let agent = started(side, folder, address, count).await?;
            held.push(agent.resident()?);
        }
        println!(
            "| {count} | {:.1} MiB | {:.1} MiB | {:.0} |",
            held[0],
            held[1],
            held[0] / held[1]
        );
    }
    println!();
    Ok(())
}

/// Measures both at once, since a minute is long.
pub(crate) async fn idle_hour(sides: [Side<'_>; 2], folder: &Path, address: &str) -> Result<()> {
    let mut agents = Vec::new();
    for (number, side) in sides.into_iter().enumerate() {
        let folder = folder.join(format!("idle-{number}"));
        fs::create_dir(&folder)?;
        agents.push(started(side, &folder, address, 1).await?);
    }
    let spent = |agents: &[Agent]| -> Result<Vec<Duration>> {
        agents.iter().map(Agent::time_of_threads).collect()
    };
    let before = spent(&agents)?;
    tokio::time::sleep(MINUTE).await;
    let after = spent(&agents)?;
    let hours = after.iter().zip(&before);
    let hours = hours.map(|(after, before)| (after.saturating_sub(*before) * 60).as_secs_f64());
    let hours: Vec<f64> = hours.collect();
    println!("| One template | `vault agent` | our agent |");
    println!("| --- | ---: | ---: |");
    println!(
        "| processor time of an idle hour | {:.2} s | {:.2} s |",
        hours[0], hours[1]
    );
    println!();
    Ok(())
}

/// Starts an agent; returns two seconds after it has written the last file.
async fn started(side: Side<'_>, folder: &Path, address: &str, count: usize) -> Result<Agent> {
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&out);
    fs::write(folder.join("token"), ROOT_TOKEN)?;
    let config = configuration(folder, address, count)?;
    let agent = Agent::start(side, &config, folder)?;
    until(|| fs::read_dir(&out).is_ok_and(|files| files.count() == count)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(agent)
}

fn configuration(folder: &Path, address: &str, count: usize) -> Result<PathBuf> {
    let path = folder.join("rendering.hcl");
    let folder = folder.display();
    let templates: String = (0..count)
        .map(|n| {
            format!(
                "template {{ contents = \"{{{{ with secret \\\"kv/data/bench-{n}\\\" }}}}{{{{ .Data.data.user }}}}{{{{ end }}}}\" destination = \"{folder}/out/{n}\" }}\n"
            )
        })
        .collect();
    fs::write(
        &path,
        format!(
            "vault {{ address = \"{address}\" }}\nauto_auth {{ method \"token_file\" {{ config = {{ token_file_path = \"{folder}/token\" }} }} }}\n{templates}"
        ),
    )?;
    Ok(path)
}
