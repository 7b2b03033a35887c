//! Lines on standard error.

mod lines;

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
        .with_writer(|| lines::Lines)
        .log_internal_errors(false)
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
        Notice::LoginFailed { failure, backoff } => match backoff {
            Some(backoff) => warn!(error = %failure, ?backoff, "error authenticating, will retry"),
            None => warn!(error = %failure, "error authenticating"),
        },
        Notice::LoggedIn { accessor, ttl } => {
            info!(%accessor, ?ttl, "authentication successful");
        }
        Notice::NotRemembered { failure } => {
            warn!(error = %failure, "cannot write the token into the ledger: if this agent is killed, the token lives until its TTL");
        }
        Notice::TokenLost => warn!("vault does not know the token any more, logging in again"),
        Notice::TokenLives => {
            info!("vault knows the token: the refusal is about what its policies allow");
        }
        Notice::RequestFailed {
            request,
            failure,
            backoff,
        } => match backoff {
            Some(backoff) => {
                warn!(%request, error = %failure, ?backoff, "request failed, will retry")
            }
            None => warn!(%request, error = %failure, "request failed"),
        },
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
        Notice::Expired { request, templates } => {
            warn!(%request, ?templates, "the lease has ended: the files of these templates hold credentials that no longer work");
        }
        Notice::Stopping => info!("stopping"),
        Notice::RenderFailed { template, message } => {
            warn!(template, error = %message, "cannot render template");
        }
        Notice::RenderWarned { template, warnings } => {
            let places: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            warn!(template, warnings = %places.join(", "), "the rendered text is probably not what was meant; `error_on_missing_key` makes it an error");
        }
        Notice::WriteFailed {
            destination,
            failure,
            backoff,
        } => match backoff {
            Some(backoff) => {
                warn!(?destination, error = %failure, ?backoff, "cannot write file, will retry")
            }
            None => warn!(?destination, error = %failure, "cannot write file"),
        },
        Notice::RevokeFailed { failure, .. } => warn!(error = %failure, "cannot revoke token"),
    }
}
