//! Logs in to Vault, renders templates, renews leases, revokes them at the end.
//!
//! This crate acts; [`planescape_agent_core`] decides. [`run`] is the whole life: read the
//! configuration, build the [`Agent`], let the driver feed it what
//! happens and do what it says.

pub mod args;

mod clock;
mod driver;
mod effects;
mod files;
mod log;
mod ready;
mod settings;
mod signals;
mod termination;

use std::process::ExitCode;

use planescape_agent_contract::{Phase, Reason, Report};
use planescape_agent_core::{self as core, Agent, LeftToken, Start};

use args::Arguments;
use files::Ledger;
use settings::Settings;
use signals::Signals;
use termination::Termination;

/// Runs the agent until it ends by itself or by a signal.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    log::start(arguments.log_level(), arguments.log_format());
    if planescape_vault_client::install_crypto_provider().is_err() {
        tracing::debug!("a crypto provider is installed already");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&Termination::in_a_pod(), &error.into()),
    };
    let code = runtime.block_on(live(arguments.clone()));
    // A file system or a name look-up that hangs is not waited for.
    runtime.shutdown_background();
    code
}

/// Waits until the agent that runs with the same configuration has rendered every file.
#[must_use]
pub fn wait(arguments: &Arguments) -> ExitCode {
    log::start(arguments.log_level(), arguments.log_format());
    let socket = Settings::load(arguments).and_then(|settings| {
        let socket = settings.config.planescape.ready_socket;
        socket.ok_or_else(|| anyhow::anyhow!("planescape.ready_socket: is missing"))
    });
    match socket {
        Ok(path) => {
            ready::wait_for(&path);
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&Termination::in_a_pod(), &error),
    }
}

/// The content of the disk before anything else happens.
struct Found {
    settings: Settings,
    left_tokens: Vec<LeftToken>,
}

async fn live(arguments: Arguments) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(&Termination::in_a_pod(), &error.into()),
    };
    let mut looking = tokio::task::spawn_blocking(move || look(&arguments));
    let found = tokio::select! {
        found = &mut looking => found,
        // Nothing was done yet that would have to be undone.
        () = signals.terminated() => return ExitCode::from(core::ExitCode::Interrupted as u8),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let (termination, ended) = match found {
        Ok(found) => {
            let path = found.settings.config.planescape.termination_log.clone();
            (Termination::new(path), work(found, signals).await)
        }
        Err(error) => (Termination::in_a_pod(), Err(error)),
    };
    ended.unwrap_or_else(|error| refuse(&termination, &error))
}

fn look(arguments: &Arguments) -> anyhow::Result<Found> {
    let settings = Settings::load(arguments)?;
    let config = &settings.config;
    effects::remove_unfinished(config);
    let ledger = Ledger::new(config.planescape.ledger.as_deref());
    Ok(Found {
        left_tokens: ledger.left_tokens(),
        settings,
    })
}

async fn work(found: Found, signals: Signals) -> anyhow::Result<ExitCode> {
    let Settings { config, texts } = found.settings;
    for warning in &config.warnings {
        tracing::warn!(field = %warning.field, "{}", warning.reason);
    }
    let _pid_file = files::PidFile::write(config.pid_file.as_deref())?;
    let ledger = Ledger::new(config.planescape.ledger.as_deref());
    let effects = effects::Effects::new(&config, ledger)?;
    let start = Start {
        config,
        texts,
        variables: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        left_tokens: found.left_tokens,
        seed: clock::seed(),
    };
    let agent = Agent::new(start, clock::now()).map_err(settings::describe)?;
    let code = driver::drive(agent, effects, signals).await;
    Ok(ExitCode::from(code as u8))
}

/// Says what is wrong, to the log and to the pod.
fn refuse(termination: &Termination, error: &anyhow::Error) -> ExitCode {
    let message = format!("{error:#}");
    tracing::error!("{message}");
    termination.write(&Report {
        message: Some(message),
        ..Report::new(Phase::Config, Reason::InvalidConfig)
    });
    ExitCode::from(core::ExitCode::Config as u8)
}
