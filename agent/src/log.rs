//! The log, in the forms of `vault agent`.

mod file;
mod hclog;
mod lines;
mod notices;
mod outlet;

use std::panic;
use std::sync::OnceLock;

use anyhow::Context;
use planescape_agent_contract::{Log, LogFormat, LogLevel};
use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use file::Rotating;
use outlet::Place;

pub(crate) use hclog::timestamp;
pub(crate) use notices::tell;

/// The level of the log that runs.
static RELOAD: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// To be called once, before anything is logged.
///
/// # Errors
/// The file cannot be opened; lines go to the usual place all the same.
pub(crate) fn start(log: &Log, to_stdout: bool) -> anyhow::Result<()> {
    let (level, handle) = reload::Layer::new(filter(log.level));
    let _ = RELOAD.set(handle);
    let lines = fmt::layer()
        .with_writer(|| lines::Lines)
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(level);
    match log.format {
        LogFormat::Standard => registry.with(lines.event_format(hclog::Standard)).init(),
        LogFormat::Json => registry.with(lines.event_format(hclog::Json)).init(),
    }
    lines::go_to(match to_stdout {
        true => Place::StandardOutput,
        false => Place::StandardError,
    })?;
    finish_before_a_panic_ends_all();
    let Some(file) = &log.file else {
        return Ok(());
    };
    let opened = Rotating::open(file).with_context(|| format!("log_file: {}", file.path))?;
    lines::go_to(Place::File(opened))?;
    Ok(())
}

fn finish_before_a_panic_ends_all() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        finish();
        tell(panic);
    }));
}

/// Lets the last lines arrive, if they can.
pub(crate) fn finish() {
    lines::finish();
}

/// Changes the level while the agent runs.
pub(crate) fn set_level(level: LogLevel) {
    let reloaded = RELOAD.get().map(|handle| handle.reload(filter(level)));
    if let Some(Err(error)) = reloaded {
        error!(%error, "cannot change the log level");
    }
}

/// Opens the file anew: somebody may have moved it away. The call does not wait.
pub(crate) fn reopen() {
    lines::reopen_file();
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}
