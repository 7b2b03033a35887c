//! `approle`: a role id and a secret id, each in a file.

use planescape_vault::wire::{self, Body};

use super::{Login, Material, Proof, Removal, UnusableFile, required, text};
use crate::reader::Reader;

/// Settings of the `approle` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRole {
    /// The file with the role id.
    pub role_id_file: String,
    /// The file with the secret id, if the role wants one.
    pub secret_id: Option<SecretIdFile>,
}

/// The file with the secret id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretIdFile {
    /// Its path.
    pub path: String,
    /// Whether and how the file is removed once it is read.
    pub removal: Removal,
    /// The path that made the wrapping token, if the file holds one instead.
    pub wrapped_by: Option<String>,
}

impl Login for AppRole {
    fn read(settings: &Reader<'_>) -> Self {
        Self {
            role_id_file: required(settings, "role_id_file_path"),
            secret_id: secret_id(settings),
        }
    }

    fn materials(&self) -> Vec<Material> {
        let secret_id = self.secret_id.iter().map(|file| Material {
            removal: file.removal,
            wrapped_by: file.wrapped_by.clone(),
            ..Material::remembered(&file.path)
        });
        std::iter::once(Material::remembered(&self.role_id_file))
            .chain(secret_id)
            .collect()
    }

    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
        let role_id = text(&self.role_id_file, contents.first())?.trim();
        let body = match &self.secret_id {
            None => wire::fields([("role_id", role_id)]),
            Some(file) => {
                let secret_id = text(&file.path, contents.get(1))?.trim();
                wire::fields([("role_id", role_id), ("secret_id", secret_id)])
            }
        };
        Ok(Proof::login(body))
    }
}

/// Without a file the other settings about it have no effect.
fn secret_id(settings: &Reader<'_>) -> Option<SecretIdFile> {
    settings.ignore(&[
        "remove_secret_id_file_after_reading",
        "secret_id_response_wrapping_path",
    ]);
    let path = settings.string("secret_id_file_path")?;
    let removes = settings.boolean("remove_secret_id_file_after_reading");
    let wrapping_path = "secret_id_response_wrapping_path";
    let wrapped_by = settings.string(wrapping_path);
    if wrapped_by.is_none() && settings.is_set(wrapping_path) {
        settings.problem(wrapping_path, "is empty: name the path, or remove it");
    }
    Some(SecretIdFile {
        path,
        removal: if removes.unwrap_or(true) {
            Removal::Name
        } else {
            Removal::Never
        },
        wrapped_by,
    })
}
