//! An error in words, for a person at the command line or in the log.

use kube::runtime::watcher;

use crate::job::brief;

/// The error and its causes, each once: many say in their own words what their cause says again.
#[must_use]
pub fn of(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let known = cause.downcast_ref::<kube::Error>();
        let text = known.map_or_else(|| cause.to_string(), brief);
        if !said.contains(&text) {
            let pause = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{pause}{text}");
        }
        // The causes below repeat the API server's answer, with all its fields.
        if let Some(kube::Error::Api(_)) = known {
            break;
        }
    }
    said
}

/// The failure of a watch, without the fields of the API server's answer.
pub(crate) fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(cause) => format!("cannot list: {}", brief(cause)),
        watcher::Error::WatchStartFailed(cause) | watcher::Error::WatchFailed(cause) => {
            format!("cannot watch: {}", brief(cause))
        }
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_its_sentence() {
        let status = Status::failure("User \"viewer\" cannot get it", "Forbidden");
        let refused = kube::Error::Api(status.with_code(403).boxed());
        let error = Err::<(), _>(refused)
            .context("cannot read PlanescapeJob nightly")
            .unwrap_err();

        assert_eq!(
            of(&error),
            "cannot read PlanescapeJob nightly: User \"viewer\" cannot get it"
        );
    }

    #[test]
    fn what_the_api_server_says_of_a_watch_is_its_sentence() {
        let status = Status::failure("pods is forbidden", "Forbidden").with_code(403);
        let refused = kube::Error::Api(status.clone().boxed());
        let list = watcher::Error::InitialListFailed(refused);
        let expired = watcher::Error::WatchError(status.boxed());

        assert_eq!(of_watch(&list), "cannot list: pods is forbidden");
        assert_eq!(of_watch(&expired), "pods is forbidden");
    }

    #[test]
    fn what_a_cause_says_again_is_said_once() {
        let error = anyhow::Error::new(io::Error::other("no such file"))
            .context("cannot read kubeconfig: no such file")
            .context("cannot reach Kubernetes");

        assert_eq!(
            of(&error),
            "cannot reach Kubernetes: cannot read kubeconfig: no such file"
        );
    }
}
