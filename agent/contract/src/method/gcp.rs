//! `gcp`: an instance of Google's cloud.

use planescape_vault::wire::Body;

use super::{Cloud, Login, Proof, UnusableFile, required};
use crate::reader::Reader;

/// Settings of the `gcp` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gcp {
    /// The role.
    pub role: String,
    /// The service account whose token is asked for.
    pub service_account: String,
}

impl Login for Gcp {
    fn read(settings: &Reader<'_>) -> Self {
        match settings.string("type").as_deref() {
            Some("gce") => {}
            Some("iam") => settings.problem(
                "type",
                "iam is not supported: use gce, whose token the instance has",
            ),
            Some(other) => {
                settings.problem("type", format!("unknown type \"{other}\": write gce"));
            }
            None => settings.problem("type", "missing 'type' value"),
        }
        settings.ignore(&["credentials", "project", "jwt_exp"]);
        let account = settings.string("service_account");
        Self {
            role: required(settings, "role"),
            service_account: account.unwrap_or_else(|| "default".to_owned()),
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn proof(&self, _: &[Body]) -> Result<Proof, UnusableFile> {
        Ok(Proof::Cloud(Cloud::Gcp(self.clone())))
    }
}
