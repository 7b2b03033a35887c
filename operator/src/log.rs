//! Log lines on standard error.

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::LogFormat;

/// Starts logging for the whole process.
pub fn start(format: LogFormat, level: Level) {
    let lines = fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.finish().with(targets(level)).init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            lines.finish().with(targets(level)).init();
        }
    }
}

/// Each watch tells of its own failures. The library's word about them is left out above debug: it is the whole answer
/// of the API server, with all its fields.
fn targets(level: Level) -> Targets {
    let of_watches = match level >= Level::DEBUG {
        true => LevelFilter::from_level(level),
        false => LevelFilter::ERROR,
    };
    Targets::new()
        .with_default(level)
        .with_target("kube_runtime::watcher", of_watches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_says_of_a_watch_that_fails_is_said_to_who_asks_for_all() {
        let watcher = "kube_runtime::watcher";

        assert!(!targets(Level::INFO).would_enable(watcher, &Level::WARN));
        assert!(targets(Level::INFO).would_enable(watcher, &Level::ERROR));
        assert!(targets(Level::DEBUG).would_enable(watcher, &Level::DEBUG));
        assert!(targets(Level::INFO).would_enable("planescape_operator", &Level::INFO));
        assert!(!targets(Level::WARN).would_enable("planescape_operator", &Level::INFO));
    }
}
