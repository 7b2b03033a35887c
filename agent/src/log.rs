//! Lines on standard error.

use planescape_agent_core::Notice;
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};

use crate::args::{LogFormat, LogLevel};

/// To be called once, before anything is logged.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false);
    match format {
        LogFormat::Standard => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// One line for one notice.
pub(crate) fn tell(notice: &Notice) {
    match notice {
        Notice::LoginFailed { failure, backoff } => {
            warn!(error = %failure, ?backoff, "error authenticating");
        }
        Notice::LoggedIn { accessor, ttl } => {
            info!(%accessor, ?ttl, "authentication successful");
        }
        Notice::TokenLost => warn!("vault does not know the token any more, logging in again"),
        Notice::RequestFailed {
            request,
            failure,
            backoff,
        } => warn!(%request, error = %failure, ?backoff, "request failed, will retry"),
        Notice::Renewed { request: None, ttl } => info!(?ttl, "renewed auth token"),
        Notice::Renewed {
            request: Some(request),
            ttl,
        } => info!(%request, ?ttl, "renewed lease"),
        Notice::RenewalFailed {
            request: None,
            failure,
        } => warn!(error = %failure, "cannot renew auth token"),
        Notice::RenewalFailed {
            request: Some(request),
            failure,
        } => warn!(%request, error = %failure, "cannot renew lease"),
        Notice::RenderFailed { template, message } => {
            warn!(template, error = %message, "cannot render template");
        }
        Notice::RenderWarned { template, warnings } => {
            let places: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            warn!(template, warnings = %places.join(", "), "the rendered text is probably not what was meant");
        }
        Notice::WriteFailed {
            destination,
            failure,
            backoff,
        } => warn!(?destination, error = %failure, ?backoff, "cannot write file, will retry"),
        Notice::RevokeFailed { failure } => warn!(error = %failure, "cannot revoke token"),
        Notice::Stopping => info!("stopping"),
    }
}
