//! Logs in to Vault, renders templates, renews leases, revokes them at the end.
//!
//! This crate acts; [`planescape_agent_core`] decides. [`run`] is the whole life: read the
//! configuration, build the [`Agent`], let the driver feed it what
//! happens and do what it says.

pub mod args;

mod clock;
mod driver;
mod effects;
mod log;
mod ready;
mod settings;
mod sink;
mod termination;
mod vault;

use std::process::ExitCode;

use planescape_agent_core::{self as core, Agent, Start};

use args::Arguments;
use settings::Settings;
use termination::Termination;

/// Runs the agent until it ends by itself or by a signal.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    log::start(arguments.log_level(), arguments.log_format());
    let settings = match Settings::load(arguments) {
        Ok(settings) => settings,
        Err(error) => return refuse(&Termination::nowhere(), &error),
    };
    let termination = Termination::new(settings.config.planescape.termination_log.clone());
    if vault::install_crypto_provider().is_err() {
        tracing::debug!("a crypto provider is installed already");
    }
    match start(settings) {
        Ok(code) => ExitCode::from(code),
        Err(error) => refuse(&termination, &error),
    }
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
        Err(error) => refuse(&Termination::nowhere(), &error),
    }
}

fn start(settings: Settings) -> anyhow::Result<u8> {
    for warning in &settings.config.warnings {
        tracing::warn!(field = %warning.field, "{}", warning.reason);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let Settings { config, texts } = settings;
        let pid_file = sink::PidFile::write(config.pid_file.as_deref())?;
        let effects = effects::Effects::new(&config)?;
        let left_token = sink::left_token(&config);
        let start = Start {
            config,
            texts,
            variables: std::env::vars_os()
                .filter_map(|(key, value)| {
                    Some((key.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            left_token,
            seed: clock::seed(),
        };
        let agent = Agent::new(start, clock::now()).map_err(settings::describe)?;
        let code = driver::drive(agent, effects).await;
        drop(pid_file);
        Ok(code as u8)
    })
}

/// Says what is wrong, to the log and to the pod.
fn refuse(termination: &Termination, error: &anyhow::Error) -> ExitCode {
    let message = format!("{error:#}");
    tracing::error!("{message}");
    termination.write(&core::Report {
        message: Some(message),
        ..core::Report::new(core::Phase::Config, "InvalidConfig")
    });
    ExitCode::from(core::ExitCode::Config as u8)
}
