//! One line for each notice of the core.

use std::time::Duration;

use planescape_agent_core::{Failure, Notice};
use planescape_templates::{Request, Warning};
use planescape_vault::{Error, Kind};
use tracing::field::debug;
use tracing::{error, info, warn};

const HANDLER: &str = "agent.auth.handler";
const TEMPLATES: &str = "agent.template.server";
const EXEC: &str = "agent.exec.server";

/// Logs one notice as one line.
pub(crate) fn tell(notice: &Notice) {
    match notice {
        Notice::LoginFailed { failure, backoff } => login_failed(failure, *backoff),
        Notice::LoggedIn { accessor, ttl } => logged_in(accessor, *ttl),
        Notice::LoggedInWrapped => {
            info!(target: HANDLER, "authentication successful, sending wrapped token to sinks and pausing");
        }
        Notice::NewCredentials => {
            info!(target: HANDLER, "auth method found new credentials, re-authenticating");
        }
        Notice::TokenEnds => {
            info!(target: HANDLER, "lifetime watcher done channel triggered, re-authenticating");
        }
        Notice::NotRemembered { failure } => {
            warn!(error = %failure, "cannot write the token into the ledger: if this agent is killed, the token lives until its TTL");
        }
        Notice::TokenLost => {
            warn!(target: HANDLER, "invalid token found, re-authenticating: Vault does not know the token any more")
        }
        Notice::TokenLives => {
            info!("Vault knows the token: the refusal is about what its policies allow");
        }
        Notice::RequestFailed {
            request,
            failure,
            failures,
            backoff,
        } => request_failed(&unread(request, failure), *failures, *backoff),
        Notice::Renewed { request, ttl } => renewed(request.as_ref(), *ttl),
        Notice::RenewalFailed { request, failure } => renewal_failed(request.as_ref(), failure),
        Notice::LimitedUses => limited_uses(),
        Notice::Unguarded { ttl } => unguarded(*ttl),
        Notice::Endangered { ends_in } => {
            warn!(target: HANDLER, ?ends_in, "cannot renew auth token for half the lease guard: unless Vault is back before, the token ends, and every credential with it");
        }
        Notice::Expired { request, templates } => {
            warn!(%request, ?templates, "the lease has ended: the files of these templates hold credentials that no longer work");
        }
        Notice::Exchanged { new, gone, kept } => {
            info!(
                new,
                gone, kept, "templates taken over from the new configuration"
            );
        }
        Notice::Stopping => info!("stopping"),
        Notice::RevokeFailed { failure, .. } => warn!(error = %failure, "cannot revoke token"),
        Notice::LeaseNotRevoked { lease, failure } => {
            warn!(%lease, error = %failure, "cannot revoke lease: it ends with its token, when Vault comes to it");
        }
        Notice::NotParted { lease, failure } => {
            warn!(%lease, error = %failure, "cannot revoke the lease that was replaced: it lives until its TTL ends");
        }
        Notice::RenderFailed { template, message } => {
            error!(target: TEMPLATES, template, error = %message, "template server error");
        }
        Notice::RenderWarned { template, warnings } => rendered_oddly(*template, warnings),
        Notice::WriteFailed {
            failure, backoff, ..
        } => write_failed(failure, *backoff),
        Notice::HookFailed {
            file,
            message,
            backoff,
        } => {
            let backoff = backoff.map(debug);
            error!(target: TEMPLATES, template = file, error = %message, backoff, "command failed");
        }
        Notice::ChildKept => {
            info!(target: EXEC, "detected update, but not restarting process");
        }
    }
}

fn logged_in(accessor: &str, ttl: Duration) {
    info!(target: HANDLER, %accessor, ?ttl, "authentication successful, sending token to sinks");
    if !ttl.is_zero() {
        info!(target: HANDLER, "starting renewal process");
    }
}

fn request_failed(what: &str, attempt: u32, backoff: Option<Duration>) {
    match backoff {
        Some(backoff) => warn!("{what} (retry attempt {attempt} after \"{backoff:?}\")"),
        None => error!("{what} (exceeded maximum retries)"),
    }
}

/// The line of a failed read, in the words that people search for when a file does not come.
fn unread(request: &Request, failure: &Failure) -> String {
    let Failure::Vault(Error::Refused(refusal)) = failure else {
        return format!("(view) {request}: {failure}");
    };
    let path = request.path();
    match (refusal.is_absence(), refusal.kind()) {
        (false, _) => format!("(view) {request}: {failure}"),
        (true, Kind::Deleted) => {
            format!("(view) {request}: no secret exists at {path}: {failure}")
        }
        (true, _) => format!("(view) {request}: no secret exists at {path}"),
    }
}

/// An agent that ends does not try again.
fn write_failed(failure: &Failure, backoff: Option<Duration>) {
    match backoff {
        Some(backoff) => {
            warn!(error = %failure, ?backoff, "cannot write file: make room for it, or let the agent write there; it is tried again until then");
        }
        None => warn!(error = %failure, "cannot write file"),
    }
}

fn renewed(request: Option<&Request>, ttl: Duration) {
    match request {
        None => info!(target: HANDLER, ?ttl, "renewed auth token"),
        Some(request) => info!(%request, ?ttl, "renewed lease"),
    }
}

fn renewal_failed(request: Option<&Request>, failure: &Failure) {
    match request {
        None => warn!(target: HANDLER, error = %failure, "cannot renew auth token"),
        Some(request) => warn!(%request, error = %failure, "cannot renew lease"),
    }
}

fn limited_uses() {
    warn!(target: HANDLER, "Vault's role gives tokens that end after so many requests, and every credential with them: set token_num_uses=0 on it");
}

fn unguarded(ttl: Option<Duration>) {
    match ttl {
        Some(ttl) => {
            warn!(target: HANDLER, ?ttl, "the lease guard has no effect: Vault's role gives tokens that it cannot shorten, or whose policies lack auth/token/renew-self; where this agent and its node are lost, the token lives on until its TTL ends");
        }
        None => {
            warn!(target: HANDLER, "the lease guard has no effect: the token never expires; where this agent and its node are lost, it lives for ever");
        }
    }
}

fn login_failed(failure: &Failure, backoff: Option<Duration>) {
    let what = match failure {
        Failure::File { path, .. } if path.starts_with("auto_auth.method.config") => {
            "error creating client for authentication call"
        }
        Failure::File { .. } => "error getting path or data from method",
        Failure::Vault(_) => "error authenticating",
    };
    let backoff = backoff.map(debug);
    error!(target: HANDLER, error = %failure, backoff, "{what}");
}

fn rendered_oddly(template: usize, warnings: &[Warning]) {
    let places: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    warn!(
        template,
        warnings = %places.join(", "),
        "the rendered text is probably not what was meant; `error_on_missing_key` makes it an error"
    );
}

#[cfg(test)]
mod tests {
    use planescape_vault::Refusal;

    use super::*;

    #[test]
    fn a_read_of_nothing_is_told_in_the_words_of_consul_template() {
        let request = Request::Read {
            path: "kv/data/app?version=2".to_owned(),
        };
        let told = |refusal| unread(&request, &Failure::Vault(Error::Refused(refusal)));
        let nothing = "(view) vault.read(kv/data/app.v2): no secret exists at kv/data/app";

        assert_eq!(told(Refusal::new(404, String::new(), None)), nothing);
        let deleted = told(Refusal::deleted("version 2 is deleted".to_owned()));
        assert!(deleted.starts_with(nothing), "{deleted}");
        assert!(deleted.ends_with("version 2 is deleted"), "{deleted}");
        for (status, message) in [(404, "no handler for route"), (403, "permission denied")] {
            let other = told(Refusal::new(status, message.to_owned(), None));
            assert!(
                !other.contains("exists") && other.ends_with(message),
                "{other}"
            );
        }
    }
}
