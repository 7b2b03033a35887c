//! `token_file`: a token that was made elsewhere, in a file.

use planescape_vault::SecretText;
use planescape_vault::wire::Body;

use super::{Login, Material, Proof, UnusableFile, required, text};
use crate::reader::Reader;

/// Settings of the `token_file` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// The file with the token.
    pub path: String,
}

impl Login for TokenFile {
    fn read(settings: &Reader<'_>) -> Self {
        Self {
            path: required(settings, "token_file_path"),
        }
    }

    fn materials(&self) -> Vec<Material> {
        vec![Material::remembered(&self.path)]
    }

    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
        let token = text(&self.path, contents.first())?.trim();
        Ok(Proof::Token(SecretText::new(token.to_owned())))
    }
}
