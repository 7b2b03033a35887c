//! `kubernetes`: the pod's ServiceAccount token.

use planescape_vault::wire::{self, Body};

use super::{Login, UnusableFile};
use crate::reader::Reader;

/// Settings of the `kubernetes` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The role to log in to.
    pub role: String,
    /// The file with the ServiceAccount token.
    pub token_path: String,
}

impl Kubernetes {
    /// The kubelet puts the token here unless the pod says otherwise.
    pub const DEFAULT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            role: String::new(),
            token_path: Self::DEFAULT_TOKEN_PATH.to_owned(),
        }
    }
}

impl Login for Kubernetes {
    fn read(settings: &Reader<'_>) -> Self {
        let role = settings.string("role");
        if role.is_none() {
            settings.problem("role", "missing 'role' value");
        }
        let token_path = settings.string("token_path");
        Self {
            role: role.unwrap_or_default(),
            token_path: token_path.unwrap_or_else(|| Self::DEFAULT_TOKEN_PATH.to_owned()),
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn files(&self) -> Vec<&str> {
        vec![&self.token_path]
    }

    fn body(&self, contents: &[Body]) -> Result<Body, UnusableFile> {
        let unusable = |reason| UnusableFile {
            path: self.token_path.clone(),
            reason,
        };
        let token = contents.first().map_or(&[][..], |token| token.as_slice());
        let token = std::str::from_utf8(token).map_err(|_| unusable("is not text"))?;
        match token.trim() {
            "" => Err(unusable("is empty")),
            token => Ok(wire::login(&self.role, token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_in_with_the_token_without_its_line_end() {
        let method = Kubernetes {
            role: "reader".to_owned(),
            ..Kubernetes::default()
        };

        let body = method.body(&[Body::new(b"a.b.c\n".to_vec())]).unwrap();

        assert_eq!(&**body, br#"{"jwt":"a.b.c","role":"reader"}"#);
    }

    #[test]
    fn a_file_without_a_token_is_named() {
        for (contents, reason) in [(&b" \n"[..], "is empty"), (&b"\xff"[..], "is not text")] {
            let error = Kubernetes::default().body(&[Body::new(contents.to_vec())]);

            let error = error.unwrap_err();
            assert_eq!(error.reason, reason);
            assert_eq!(error.path, Kubernetes::DEFAULT_TOKEN_PATH);
        }
    }
}
