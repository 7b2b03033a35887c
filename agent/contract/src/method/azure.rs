//! `azure`: a managed identity of Microsoft's cloud.

use planescape_vault::wire::Body;

use super::{Cloud, Login, Proof, UnusableFile, required};
use crate::reader::Reader;

/// Settings of the `azure` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// The role.
    pub role: String,
    /// The audience of the token.
    pub resource: String,
    /// `object_id` or `client_id` of the identity, if there are several.
    pub identity: Option<(&'static str, String)>,
    /// The scope of a token that is had by the environment's credentials.
    pub scope: Option<String>,
    /// Whether the environment's credentials are used.
    pub from_environment: bool,
}

impl Login for Azure {
    fn read(settings: &Reader<'_>) -> Self {
        let object = settings.string("object_id").map(|id| ("object_id", id));
        let client = settings.string("client_id").map(|id| ("client_id", id));
        if object.is_some() && client.is_some() {
            settings.problem(
                "client_id",
                "only one of object_id and client_id can be given",
            );
        }
        Self {
            role: required(settings, "role"),
            resource: required(settings, "resource"),
            identity: object.or(client),
            scope: settings.string("scope"),
            from_environment: settings
                .boolean("authenticate_from_environment")
                .unwrap_or(false),
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn proof(&self, _: &[Body]) -> Result<Proof, UnusableFile> {
        Ok(Proof::Cloud(Cloud::Azure(self.clone())))
    }
}
