//! An agent that lives for long on short leases: its memory and its descriptors stay what they are, and no file ever
//! holds a secret that has ended.
//!
//! ```text
//! tests/run soak                            # ten minutes
//! SOAK_MINUTES=120 tests/run soak           # two hours
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use planescape_tests::postgres::Postgres;
use planescape_tests::process::Server;
use planescape_tests::programs::Program;
use planescape_tests::run_folder::RunFolder;
use planescape_tests::vault::{Role, Tls, Vault};
use serde_json::{Value, json};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Leases that can be renewed, four times each, and secrets that are read anew.
const CREDENTIALS: usize = 50;
const SECRETS: usize = 450;

/// Between two looks at the agent.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a busy machine may be late for a file.
const LATE: Duration = Duration::from_secs(10);

/// Growth over the whole time that is no leak, in KiB.
const NO_GROWTH: f64 = 256.0;

/// The agent's memory and descriptors at a moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    seconds: f64,
    /// In KiB.
    resident: f64,
    descriptors: usize,
}

#[tokio::test]
async fn five_hundred_short_leases_grow_nothing() -> Result<()> {
    let minutes: u64 = match std::env::var("SOAK_MINUTES") {
        Ok(minutes) => minutes.parse()?,
        Err(_) => 10,
    };
    let run = RunFolder::create()?;
    let vault = Vault::start(&run, HERE, Tls::Off).await?;
    let postgres = Postgres::start(&run, HERE).await?;
    vault.serve_credentials_of(&postgres).await?;
    for number in 0..CREDENTIALS {
        let role = Role {
            name: &format!("short-{number}"),
            default_ttl: "5s",
            max_ttl: "20s",
        };
        vault.set_database_role(role).await?;
    }
    for number in 0..SECRETS {
        let secret = json!({ "value": format!("{number}"), "ttl": "5s" });
        vault.write(&format!("secret-v1/{number}"), &secret).await?;
    }
    let config = configure(&run, &vault).await?;
    let program = Program::Agent.build()?;
    let mut command = Command::new(&program);
    command.arg(&config);
    let mut agent = Server::start("agent", &command, run.path())?;
    let start = Instant::now();
    let length = Duration::from_secs(60 * minutes);
    let (mut looks, mut late) = (Vec::new(), BTreeMap::new());
    let mut looks_that_were_late = 0;
    while start.elapsed() < length {
        tokio::time::sleep(PAUSE).await;
        ensure!(agent.is_running(), "{}", agent.last_words());
        looks.push(look(&agent, start)?);
        // The first reads take their time.
        if looks.len() > 10 {
            let expired = expired(&status(&program, &config)?);
            looks_that_were_late += usize::from(!expired.is_empty());
            let since = expired.into_iter().map(|file| {
                let since = late.get(&file).copied();
                (file, since.unwrap_or_else(Instant::now))
            });
            late = since.collect();
            let longest = late.iter().find(|(_, since)| since.elapsed() > LATE);
            let log = || worries(&agent.output());
            ensure!(
                longest.is_none(),
                "holds what has ended: {longest:?}\n{}",
                log()
            );
        }
        if looks.len() % 30 == 0 {
            eprintln!("{:?}", looks[looks.len() - 1]);
        }
    }
    eprintln!("a file was late in {looks_that_were_late} looks");
    judge(&looks)
}

/// The latest lines of a log that are no mere information.
fn worries(log: &str) -> String {
    let lines = log.lines().filter(|line| !line.contains("[INFO]"));
    let lines: Vec<_> = lines.collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

async fn configure(run: &RunFolder, vault: &Vault) -> Result<String> {
    let folder = run.subfolder("agent")?;
    let token = json!({ "policies": ["root"], "ttl": "24h" });
    let token = vault.write("auth/token/create", &token).await?;
    let token = token["auth"]["client_token"].as_str().context("a token")?;
    fs::write(folder.join("root"), token)?;
    let folder = folder.display();
    let mut config = format!(
        r#"
        vault {{ address = "{}" }}
        auto_auth {{ method "token_file" {{ config {{ token_file_path = "{folder}/root" }} }} }}
        planescape {{ ready_socket = "{folder}/ready" ledger = "{folder}/ledger" }}
        "#,
        vault.url()
    );
    let secrets = (0..SECRETS).map(|number| (format!("secret-v1/{number}"), "value"));
    let credentials = (0..CREDENTIALS).map(|n| (format!("database/creds/short-{n}"), "username"));
    for (number, (path, field)) in secrets.chain(credentials).enumerate() {
        writeln!(
            config,
            r#"template {{
                 contents = "{{{{ with secret \"{path}\" }}}}{{{{ .Data.{field} }}}}{{{{ end }}}}"
                 destination = "{folder}/out-{number}"
               }}"#
        )?;
    }
    let path = format!("{folder}/agent.hcl");
    fs::write(&path, config)?;
    Ok(format!("-config={path}"))
}

fn look(agent: &Server, start: Instant) -> Result<Look> {
    let folder = format!("/proc/{}", agent.id().context("it has ended")?);
    let status = fs::read_to_string(format!("{folder}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.context("a process has memory")?;
    Ok(Look {
        seconds: start.elapsed().as_secs_f64(),
        resident: resident.trim().trim_end_matches(" kB").parse()?,
        descriptors: fs::read_dir(format!("{folder}/fd"))?.count(),
    })
}

fn status(program: &std::path::Path, config: &str) -> Result<Value> {
    let output = Command::new(program)
        .args(["status", config])
        .stderr(Stdio::inherit())
        .output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn expired(status: &Value) -> Vec<String> {
    let templates = status["templates"].as_array().into_iter().flatten();
    let expired = templates.filter(|it| it["has_expired"] == true);
    expired.map(|it| it["path"].to_string()).collect()
}

/// After the first quarter, which fills what the allocator keeps.
fn judge(looks: &[Look]) -> Result<()> {
    let settled = &looks[looks.len() / 4..];
    let growth = slope(settled) * (settled[settled.len() - 1].seconds - settled[0].seconds);
    let (early, late) = settled.split_at(settled.len() / 2);
    // A busy machine raises what is held at most; a leak raises what is held at least.
    let least = |looks: &[Look]| looks.iter().map(|look| look.descriptors).min().unwrap_or(0);
    let most = settled.iter().map(|look| look.descriptors).max();
    eprintln!(
        "{} looks: {:.0} KiB at the end, growth {growth:.0} KiB; descriptors at least {}, then {}, at most {most:?}",
        looks.len(),
        late[late.len() - 1].resident,
        least(early),
        least(late)
    );
    ensure!(growth <= NO_GROWTH, "memory grows by {growth:.0} KiB");
    ensure!(least(late) <= least(early) + 1, "descriptors grow");
    Ok(())
}

/// KiB a second, by least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(|look| look.seconds), mean(|look| look.resident));
    let together: f64 = looks
        .iter()
        .map(|look| (look.seconds - time) * (look.resident - memory))
        .sum();
    let alone: f64 = looks.iter().map(|look| (look.seconds - time).powi(2)).sum();
    together / alone
}

#[test]
fn growth_is_told_and_noise_is_not() {
    let looks = |kib_a_second: f64, more: usize| -> Vec<Look> {
        let look = |second: u32| Look {
            seconds: f64::from(second),
            resident: 10_000.0 + kib_a_second * f64::from(second) + f64::from(second % 7),
            // Now and then many, and more so later.
            descriptors: 20
                + more * (second as usize / 200)
                + second as usize % 13 * (second as usize / 100),
        };
        (0..600).map(look).collect()
    };

    assert!(judge(&looks(0.0, 0)).is_ok());
    assert!(judge(&looks(1.0, 0)).is_err());
    assert!(judge(&looks(0.0, 3)).is_err());
}
