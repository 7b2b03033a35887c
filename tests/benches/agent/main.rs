//! The memory, processor time and speed of the agents: `vault agent` and ours, one after the other on one Vault.
//!
//! * resident memory with 1, 200 and 500 templates, two seconds after the last file;
//! * requests a second of 64 clients through a listener with a cache, and what is held after them; and through a program
//!   that does nothing but pass bytes on;
//! * resident memory with 1,000 clients whose connections stay;
//! * the growth of resident memory while a body of 1 GiB passes, from Vault and to it;
//! * from SIGTERM to the revocation and to the end, a hundred times, and where no name server answers;
//! * processor time of an idle hour, from a minute.
//!
//! ```text
//! cargo bench -p planescape-tests --bench agent
//! cargo bench -p planescape-tests --bench agent -- rates body
//! ```
//!
//! The words choose: memory, rates, clients, body, ends, idle.

#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod bare;
mod ends;
mod process;
mod proxied;
mod rendering;
mod streams;

use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use planescape_tests::programs::Program;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::servers;
use planescape_tests::vault::{Tls, Vault};
use serde_json::json;

use process::Side;

const SECRETS: usize = 500;

#[tokio::main]
async fn main() -> Result<()> {
    // For a thousand clients.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let run = RunFolder::create()?;
    let vault = Vault::start(&run, IpAddr::V4(Ipv4Addr::LOCALHOST), Tls::Off).await?;
    for n in 0..SECRETS {
        vault
            .put(&format!("bench-{n}"), &json!({"user": format!("user-{n}")}))
            .await?;
    }
    let folder = run.subfolder("bench")?;
    let theirs = servers::VAULT.build()?.join("vault");
    let ours = Program::Agent.build()?;
    let sides: [Side<'_>; 2] = [(&theirs, &["agent"]), (&ours, &[])];
    println!("{} cores", thread::available_parallelism()?);
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let url = vault.url();
    if is_wanted("memory") {
        rendering::memory(sides, &folder, &url).await?;
    }
    if is_wanted("rates") {
        proxied::rates(sides, &folder, &url).await?;
    }
    if is_wanted("clients") {
        proxied::memory_of_many(sides, &folder, &url).await?;
    }
    if is_wanted("body") {
        streams::growth(sides, &folder).await?;
    }
    if is_wanted("ends") {
        ends::times(sides, &folder).await?;
    }
    if is_wanted("idle") {
        rendering::idle_hour(sides, &folder, &url).await?;
    }
    Ok(())
}
