//! Why a step failed, in words for the author of the job, and what mends it.

use jiff::SignedDuration;
use planescape_agent_contract::{Phase, REVOKE_POLICY, Reason, Report};
use planescape_vault::{Error, Kind, Refusal};

use super::addresses::Refused;
use super::content::Misfit;
use super::pace::is_outage;
use super::run::Run;

/// Why a step failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The report for the status.
    pub report: Report,
    /// How long Vault asks to wait.
    pub retry_after: Option<SignedDuration>,
    /// Whether Vault serves nobody.
    pub is_outage: bool,
    /// Whether somebody behind Vault does not answer, such as a database.
    pub is_silent: bool,
}

/// A question to Vault.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// A login.
    Login,
    /// The secret at a path.
    Read {
        /// The path.
        path: &'a str,
        /// Whether it was a write.
        is_write: bool,
    },
    /// A renewal of the token.
    TokenRenewal,
    /// A renewal of a lease.
    LeaseRenewal,
    /// The end of a lease, named by a digest of its id.
    LeaseRevocation {
        /// The digest.
        digest: &'a str,
    },
    /// The end of the token.
    Revocation,
    /// Whether there still is a lease, named by a digest of its id.
    LeaseLookUp {
        /// The digest.
        digest: &'a str,
    },
}

impl Question<'_> {
    /// Whether an error says that Vault serves nobody. A silent Vault may be waiting for somebody else, such as a
    /// database.
    #[must_use]
    pub fn blames_vault(self, error: &Error) -> bool {
        let asks_others = matches!(
            self,
            Self::Read { .. } | Self::LeaseRenewal | Self::LeaseRevocation { .. }
        );
        is_outage(error) && !(asks_others && matches!(error, Error::Silent { .. }))
    }
}

impl Failure {
    /// Vault did not do what it was asked for.
    #[must_use]
    pub fn of_vault(run: &Run, question: Question<'_>, error: &Error) -> Self {
        let phase = match question {
            Question::Login => Phase::Login,
            Question::Read { .. } | Question::TokenRenewal | Question::LeaseRenewal => Phase::Read,
            Question::LeaseRevocation { .. }
            | Question::Revocation
            | Question::LeaseLookUp { .. } => Phase::Done,
        };
        let refusal = error.refusal();
        let retry_after = refusal.and_then(Refusal::retry_after);
        let is_ended = error.kind() == Some(Kind::InvalidToken);
        let reason = if phase == Phase::Done {
            Reason::RevokeFailed
        } else if phase == Phase::Read && is_ended {
            Reason::CredentialsEnded
        } else {
            Reason::of(phase, error)
        };
        let path = match question {
            Question::Login => Some(format!("{}/login", run.order.auth_path)),
            Question::Read { path, .. } => Some(path.to_owned()),
            Question::TokenRenewal
            | Question::LeaseRenewal
            | Question::LeaseRevocation { .. }
            | Question::Revocation
            | Question::LeaseLookUp { .. } => None,
        };
        let report = Report {
            message: Some(sentence(run, question, error)),
            role: Some(run.order.role.clone()),
            path,
            status: refusal.map(Refusal::status),
            ..Report::new(phase, reason)
        };
        Self {
            report,
            retry_after: retry_after.and_then(|wait| SignedDuration::try_from(wait).ok()),
            is_outage: question.blames_vault(error),
            is_silent: matches!(error, Error::Silent { .. }) && !question.blames_vault(error),
        }
    }

    /// Vault was not asked, because it serves nobody.
    #[must_use]
    pub fn of_outage(run: &Run, question: Question<'_>, error: &Error) -> Self {
        Self {
            is_outage: true,
            is_silent: false,
            ..Self::of_vault(run, question, error)
        }
    }

    /// The address of this Vault is refused.
    #[must_use]
    pub fn of_address(run: &Run, refused: &Refused) -> Self {
        let message = format!("Vault at {}: {refused}", run.order.address);
        Self::new(run, Phase::Login, Reason::AddressRefused, message)
    }

    /// The answer does not make the Secret that was ordered.
    #[must_use]
    pub fn of_answer(run: &Run, path: &str, misfit: &Misfit) -> Self {
        let mut failure = Self::new(run, Phase::Render, Reason::SecretMisfit, misfit.to_string());
        failure.report.path = Some(path.to_owned());
        failure
    }

    /// Vault has revoked the token and could not come to a lease of it, named by a digest of its id.
    #[must_use]
    pub fn of_living_lease(run: &Run, digest: &str) -> Self {
        Self::new(run, Phase::Done, Reason::RevokeFailed, living_lease(digest))
    }

    /// A lease lives, named by a digest of its id, whose token Vault has not said to be gone.
    #[must_use]
    pub fn of_lease_of_denied_token(run: &Run, digest: &str) -> Self {
        let message = format!(
            "lease {digest} lives, and so may its token: Vault denies it everything, and has not said that it is revoked"
        );
        Self::new(run, Phase::Done, Reason::RevokeFailed, message)
    }

    /// Vault was not asked whether a lease is gone, named by a digest of its id.
    #[must_use]
    pub fn of_unasked_lease(run: &Run, digest: &str, why: &str) -> Self {
        let message = format!("Vault was not asked whether lease {digest} is gone: {why}");
        Self::new(run, Phase::Done, Reason::RevokeFailed, message)
    }

    /// The role gives tokens that cannot be revoked.
    #[must_use]
    pub fn of_batch_token(run: &Run) -> Self {
        let message = format!(
            "the role `{}` gives batch tokens, which can be neither renewed nor revoked; set token_type=service on it",
            run.order.role
        );
        Self::new(run, Phase::Login, Reason::BatchToken, message)
    }

    /// Each request with the role's tokens takes one of their uses, and renewals would take them all.
    #[must_use]
    pub fn of_limited_uses(run: &Run) -> Self {
        let message = format!(
            "the role `{}` gives tokens that end after so many requests, in the middle of a run; set token_num_uses=0 on it",
            run.order.role
        );
        Self::new(run, Phase::Login, Reason::LimitedUses, message)
    }

    /// A Secret of that name is somebody else's.
    #[must_use]
    pub fn of_conflict(run: &Run, secret: &str) -> Self {
        let message = format!(
            "Secret {secret} exists and belongs to somebody else, so that it is left alone; delete it, or give the entry in spec.vault.secrets another secretName"
        );
        Self::new(run, Phase::Write, Reason::SecretConflict, message)
    }

    /// Kubernetes did not do what it was asked for.
    #[must_use]
    pub fn of_kubernetes(run: &Run, what: &str, code: Option<u16>, message: &str) -> Self {
        let namespace = &run.owner.namespace;
        let is_of_account = what.contains("ServiceAccount");
        // The administrator grants rights in the program's own namespace and on Jobs; the owner of the namespace grants
        // the others.
        let is_of_owner = is_of_account || what.ends_with(" a Secret");
        let (reason, advice) = match code {
            Some(403) if message.contains("cannot") && is_of_owner => (
                Reason::NotGranted,
                format!(
                    ". The owner of the namespace allows it with: kubectl create rolebinding planescape-credentials -n {namespace} --clusterrole=planescape-credentials-runs --serviceaccount={}",
                    account_in(message).unwrap_or("planescape-system:planescape-credentials")
                ),
            ),
            Some(404) if is_of_account => {
                let account = &run.service_account;
                let advice = format!(": create ServiceAccount {account} in namespace {namespace}");
                (Reason::ServiceAccountNotFound, advice)
            }
            Some(_) | None => (Reason::KubernetesRefused, String::new()),
        };
        let phase = if what.contains("token") {
            Phase::Login
        } else {
            Phase::Write
        };
        Self::new(
            run,
            phase,
            reason,
            format!("cannot {what}: {message}{advice}"),
        )
    }

    fn new(run: &Run, phase: Phase, reason: Reason, message: String) -> Self {
        Self {
            report: Report {
                message: Some(message),
                role: Some(run.order.role.clone()),
                ..Report::new(phase, reason)
            },
            retry_after: None,
            is_outage: false,
            is_silent: false,
        }
    }
}

/// Vault has revoked a token and could not come to a lease of it, named by a digest of its id.
#[must_use]
pub fn living_lease(digest: &str) -> String {
    format!(
        "Vault has revoked the token, and has not revoked lease {digest} yet: what it stands for may be out of Vault's reach, such as its database"
    )
}

fn sentence(run: &Run, question: Question<'_>, error: &Error) -> String {
    let kind = error.kind();
    let is_denied = matches!(kind, Some(Kind::Denied | Kind::InvalidToken));
    match question {
        Question::Login if is_denied || kind == Some(Kind::WrongAudience) => format!(
            "{error}; Vault's role must name ServiceAccount {}/{}, and the audience of `planescape credentials`",
            run.owner.namespace, run.service_account
        ),
        Question::Read { .. } if kind == Some(Kind::InvalidToken) => {
            format!("{error}; the token of the run has ended, or somebody has revoked it")
        }
        Question::Read { path, is_write } if is_denied => {
            let capability = if is_write { "update" } else { "read" };
            needs(error, path, capability)
        }
        Question::LeaseRevocation { digest } => {
            format!("cannot revoke lease {digest}: {error}")
        }
        Question::LeaseLookUp { digest } => {
            format!("Vault does not say whether lease {digest} is gone: {error}")
        }
        Question::Revocation if is_denied => {
            format!("{error}; the role's policy needs: {REVOKE_POLICY}")
        }
        Question::TokenRenewal if kind == Some(Kind::Denied) => {
            needs(error, "auth/token/renew-self", "update")
        }
        Question::LeaseRenewal if kind == Some(Kind::Denied) => {
            needs(error, "sys/leases/renew", "update")
        }
        Question::Login
        | Question::Read { .. }
        | Question::TokenRenewal
        | Question::LeaseRenewal
        | Question::Revocation => error.to_string(),
    }
}

/// The account of this program, as the API server calls it where it refuses something to it: `namespace:name`.
fn account_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("\"system:serviceaccount:")?;
    let (account, _) = rest.split_once('"')?;
    Some(account)
}

fn needs(error: &Error, path: &str, capability: &str) -> String {
    format!(
        "{error}; the role's policy needs: path \"{path}\" {{ capabilities = [\"{capability}\"] }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Order;
    use crate::credentials::run::{Lock, Stage};
    use crate::job::identity::Identity;

    #[test]
    fn a_database_that_does_not_answer_is_no_outage_of_vault() {
        let silent = Error::Silent {
            address: "vault:8200".to_owned(),
        };
        let refused = Error::Unreachable {
            address: "vault:8200".to_owned(),
            message: "connection refused".to_owned(),
        };
        let read = Question::Read {
            path: "database/creds/ro",
            is_write: false,
        };
        let revocation = Question::LeaseRevocation { digest: "d" };
        for question in [read, Question::LeaseRenewal, revocation] {
            assert!(!question.blames_vault(&silent), "{question:?}");
            assert!(question.blames_vault(&refused), "{question:?}");
        }
        for question in [
            Question::Login,
            Question::TokenRenewal,
            Question::Revocation,
        ] {
            assert!(question.blames_vault(&silent), "{question:?}");
        }
        assert!(Failure::of_outage(&run(), read, &silent).is_outage);
        let unanswered = Failure::of_vault(&run(), read, &silent);
        assert!(unanswered.is_silent && !unanswered.is_outage);
    }

    #[test]
    fn says_what_mends_a_refusal_where_somebody_can_mend_it() {
        let read = |is_write| Question::Read {
            path: "kv/a",
            is_write,
        };
        let lease = Question::LeaseRevocation { digest: "d" };
        let look = Question::LeaseLookUp { digest: "d" };
        let (denied, ended) = ("permission denied", "invalid token");
        for (question, message, reason, said) in [
            (
                Question::Login,
                denied,
                Reason::LoginDenied,
                "must name ServiceAccount team/default",
            ),
            (
                read(false),
                denied,
                Reason::PermissionDenied,
                "path \"kv/a\" { capabilities = [\"read\"] }",
            ),
            (
                read(true),
                denied,
                Reason::PermissionDenied,
                "path \"kv/a\" { capabilities = [\"update\"] }",
            ),
            (
                read(false),
                ended,
                Reason::CredentialsEnded,
                "has ended, or somebody has revoked it",
            ),
            (
                Question::TokenRenewal,
                ended,
                Reason::CredentialsEnded,
                ended,
            ),
            (
                Question::Revocation,
                denied,
                Reason::RevokeFailed,
                REVOKE_POLICY,
            ),
            (
                lease,
                denied,
                Reason::RevokeFailed,
                "cannot revoke lease d: ",
            ),
            (
                look,
                denied,
                Reason::RevokeFailed,
                "whether lease d is gone: ",
            ),
        ] {
            let error = Error::Refused(Refusal::new(403, message.to_owned(), None));
            let report = Failure::of_vault(&run(), question, &error).report;
            assert_eq!(report.reason, reason, "{question:?} {message}");
            let text = report.message.unwrap_or_default();
            assert!(text.contains(said), "{question:?}: {text}");
        }
    }

    #[test]
    fn the_line_that_a_policy_lacks_is_said_whatever_vault_denies() {
        let denied = Refusal::new(403, "permission denied".to_owned(), None);
        let denied = Error::Refused(denied);
        let read = Question::Read {
            path: "kv/data/app",
            is_write: false,
        };

        for (question, path, capability) in [
            (read, "kv/data/app", "read"),
            (Question::TokenRenewal, "auth/token/renew-self", "update"),
            (Question::LeaseRenewal, "sys/leases/renew", "update"),
            (Question::Revocation, "auth/token/revoke-self", "update"),
        ] {
            let report = Failure::of_vault(&run(), question, &denied).report;
            let line = format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}");
            assert!(
                report.message.is_some_and(|it| it.ends_with(&line)),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_to_be_granted_is_granted_to_the_account_that_was_refused() {
        let message = |user: &str| {
            let forbidden = format!("secrets is forbidden: User \"{user}\" cannot create resource");
            let failure = Failure::of_kubernetes(&run(), "create a Secret", Some(403), &forbidden);
            failure.report.message.unwrap()
        };

        let elsewhere = message("system:serviceaccount:vault-tools:credentials");
        assert!(elsewhere.ends_with("--serviceaccount=vault-tools:credentials"));
        let nowhere = message("kubernetes-admin");
        let usual = "--serviceaccount=planescape-system:planescape-credentials";
        assert!(nowhere.ends_with(usual), "{nowhere}");
    }

    #[test]
    fn what_is_to_be_granted_is_said_by_whom_and_only_where_that_helps() {
        let forbidden = "secrets is forbidden: User \"u\" cannot create resource \"secrets\"";
        let reason = |what, code, message| {
            let failure = Failure::of_kubernetes(&run(), what, Some(code), message);
            failure.report.reason
        };
        let token = "make a token of the ServiceAccount";
        for what in [token, "create a Secret", "look for a Secret"] {
            assert_eq!(reason(what, 403, forbidden), Reason::NotGranted, "{what}");
        }
        for what in ["record a token", "let a Job go"] {
            let refused = reason(what, 403, forbidden);
            assert_eq!(refused, Reason::KubernetesRefused, "{what}");
        }
        let missing = "\"x\" not found";
        assert_eq!(reason(token, 404, missing), Reason::ServiceAccountNotFound);
        let record = reason("record a token", 404, missing);
        assert_eq!(record, Reason::KubernetesRefused);
        let full = reason("create a Secret", 403, "exceeded quota");
        assert_eq!(full, Reason::KubernetesRefused);
        for (what, phase) in [(token, Phase::Login), ("create a Secret", Phase::Write)] {
            let failure = Failure::of_kubernetes(&run(), what, None, "refused");
            assert_eq!(failure.report.phase, phase, "{what}");
        }
    }

    fn run() -> Run {
        Run {
            owner: Identity {
                namespace: "team".to_owned(),
                name: "my-job".to_owned(),
                uid: "u".to_owned(),
            },
            job: "my-job-1".to_owned(),
            uid: "j".to_owned(),
            service_account: "default".to_owned(),
            order: Order {
                address: "http://vault:8200".to_owned(),
                namespace: None,
                auth_path: "auth/kubernetes".to_owned(),
                role: "runs".to_owned(),
                secrets: Vec::new(),
            },
            lock: Lock::Suspended,
            stage: Stage::Waiting,
            is_claimed: false,
            told: None,
        }
    }
}
