//! Log lines on standard error.

use tracing::Level;
use tracing_subscriber::fmt;

use crate::args::LogFormat;

/// Starts logging for the whole process.
pub fn start(format: LogFormat, level: Level) {
    let lines = fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
