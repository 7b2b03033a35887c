//! `ldap`: a user of a directory, with the password in a file.

use std::time::Duration;

use planescape_vault::wire::{self, Body};

use super::jwt::usual_period;
use super::{Login, Material, Proof, Removal, UnusableFile, period, required, text};
use crate::reader::Reader;

/// Settings of the `ldap` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldap {
    /// The user.
    pub username: String,
    /// The file with the password.
    pub password_file: String,
    /// Whether and how the file is removed once it is read.
    pub removal: Removal,
    /// How often the file is looked at.
    pub period: Duration,
}

impl Login for Ldap {
    fn read(settings: &Reader<'_>) -> Self {
        let removal = Removal::read(
            settings,
            "remove_password_after_reading",
            "remove_password_follows_symlinks",
        );
        Self {
            username: required(settings, "username"),
            password_file: required(settings, "password_file_path"),
            removal,
            period: period(settings, "password_read_period", usual_period(removal)),
        }
    }

    fn materials(&self) -> Vec<Material> {
        vec![Material {
            removal: self.removal,
            ..Material::remembered(&self.password_file)
        }]
    }

    /// The blanks around the password are part of it, as in `vault agent`.
    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
        let password = text(&self.password_file, contents.first())?;
        Ok(Proof::Login {
            path: format!("login/{}", self.username),
            body: wire::fields([("password", password)]),
        })
    }

    fn watch(&self) -> Option<Duration> {
        Some(self.period)
    }
}
