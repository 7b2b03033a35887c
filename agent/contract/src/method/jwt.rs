//! `jwt`: a token of another issuer, in a file.

use std::time::Duration;

use planescape_vault::wire::{self, Body};

use super::{Login, Material, Proof, Removal, UnusableFile, period, required, text};
use crate::reader::Reader;

/// Settings of the `jwt` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The role to log in to.
    pub role: String,
    /// The file with the token.
    pub path: String,
    /// Whether and how the file is removed once it is read.
    pub removal: Removal,
    /// How often the file is looked at.
    pub period: Duration,
}

impl Login for Jwt {
    fn read(settings: &Reader<'_>) -> Self {
        let removal = Removal::read(
            settings,
            "remove_jwt_after_reading",
            "remove_jwt_follows_symlinks",
        );
        Self {
            role: required(settings, "role"),
            path: required(settings, "path"),
            removal,
            period: period(settings, "jwt_read_period", usual_period(removal)),
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn materials(&self) -> Vec<Material> {
        vec![Material {
            removal: self.removal,
            ..Material::remembered(&self.path)
        }]
    }

    /// The blanks around the token go along, as in `vault agent`.
    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
        let token = text(&self.path, contents.first())?;
        let fields = [("role", self.role.as_str()), ("jwt", token)];
        Ok(Proof::login(wire::fields(fields)))
    }

    fn watch(&self) -> Option<Duration> {
        Some(self.period)
    }
}

/// A file that is removed once it is read comes and goes more quickly.
pub(super) fn usual_period(removal: Removal) -> Duration {
    match removal {
        Removal::Never => Duration::from_secs(60),
        Removal::Name | Removal::Target => Duration::from_millis(500),
    }
}
