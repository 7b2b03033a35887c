//! `gcp`: an instance or a service account of Google's cloud.

use std::time::Duration;

use planescape_vault::SecretText;
use planescape_vault::wire::Body;

use super::{Cloud, Login, Proof, UnusableFile, required};
use crate::reader::Reader;

/// How many minutes the statement for a login is good.
const MINUTES: i64 = 15;

/// Settings of the `gcp` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gcp {
    /// The role.
    pub role: String,
    /// The account that logs in; without it, the account of the instance or of the key.
    pub service_account: Option<String>,
    /// The proof of the agent's identity.
    pub kind: GcpKind,
}

/// The proof of the agent's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcpKind {
    /// The instance's identity token.
    Gce,
    /// A statement that Google signs for a service account.
    Iam {
        /// The key that Google is asked with, if it comes neither from the environment nor from the instance.
        credentials: Option<GcpCredentials>,
        /// How long it is good.
        lifetime: Duration,
    },
}

/// The key of a service account, as Google's JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcpCredentials {
    /// The JSON.
    Json(SecretText),
    /// The file with it.
    File(String),
}

impl Login for Gcp {
    fn read(settings: &Reader<'_>) -> Self {
        let kind = settings.string("type");
        let iam = GcpKind::Iam {
            credentials: settings.string("credentials").map(credentials),
            lifetime: lifetime(settings),
        };
        settings.ignore(&["project"]);
        let kind = match kind.as_deref() {
            Some("gce") => GcpKind::Gce,
            Some("iam") => iam,
            Some(other) => {
                settings.problem(
                    "type",
                    format!("unknown type \"{other}\": write gce or iam"),
                );
                GcpKind::Gce
            }
            None => {
                settings.problem("type", "missing 'type' value");
                GcpKind::Gce
            }
        };
        let account = settings.string("service_account");
        Self {
            role: required(settings, "role"),
            service_account: account.filter(|name| name != "default"),
            kind,
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn proof(&self, _: &[Body]) -> Result<Proof, UnusableFile> {
        Ok(Proof::Cloud(Cloud::Gcp(self.clone())))
    }
}

fn credentials(text: String) -> GcpCredentials {
    match text.trim_start().starts_with('{') {
        true => GcpCredentials::Json(SecretText::new(text)),
        false => GcpCredentials::File(text),
    }
}

fn lifetime(settings: &Reader<'_>) -> Duration {
    let minutes = settings.integer("jwt_exp").filter(|minutes| *minutes != 0);
    match u64::try_from(minutes.unwrap_or(MINUTES)) {
        Ok(minutes) => Duration::from_secs(minutes.saturating_mul(60)),
        Err(_) => {
            settings.problem(
                "jwt_exp",
                "is not a number of minutes: write for example 15",
            );
            Duration::ZERO
        }
    }
}
