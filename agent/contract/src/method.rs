//! How the agent proves who it is: one file for each auth method.

mod approle;
mod aws;
mod azure;
mod cert;
mod gcp;
mod jwt;
mod kubernetes;
mod ldap;
mod token_file;

use std::time::Duration;

use planescape_vault::SecretText;
use planescape_vault::wire::Body;

use crate::reader::Reader;

pub use approle::{AppRole, SecretIdFile};
pub use aws::{Aws, AwsKind};
pub use azure::Azure;
pub use cert::{Cert, CertTls};
pub use gcp::{Gcp, GcpCredentials, GcpKind};
pub use jwt::Jwt;
pub use kubernetes::Kubernetes;
pub use ldap::Ldap;
pub use token_file::TokenFile;

/// Methods of `vault agent` that we leave out.
pub(crate) const LEFT_OUT: [&str; 6] = ["alicloud", "cf", "kerberos", "oci", "pcf", "tpm"];

/// The part of an auth method that differs from the others.
trait Login: Sized {
    /// Reads the `config` block of the method; mistakes are noted in it.
    fn read(settings: &Reader<'_>) -> Self;

    /// The role, for reports.
    fn role(&self) -> Option<&str> {
        None
    }

    /// The files that a login reads, afresh each time.
    fn materials(&self) -> Vec<Material> {
        Vec::new()
    }

    /// The proof for Vault, from the files' contents in the same order. An error says which file
    /// cannot be used, and why, without quoting it.
    fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile>;

    /// How often its files are looked at for new credentials: the first that a login sends, or those of its connection.
    fn watch(&self) -> Option<Duration> {
        None
    }
}

/// A file that a login reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Its path.
    pub path: String,
    /// Whether and how the file is removed once it is read.
    pub removal: Removal,
    /// Whether its last content still serves when it is gone or empty.
    pub is_remembered: bool,
    /// The path that made the response-wrapping token in it, if it holds one: Vault is asked
    /// for the wrapped content.
    pub wrapped_by: Option<String>,
}

impl Material {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            removal: Removal::Never,
            is_remembered: false,
            wrapped_by: None,
        }
    }

    fn remembered(path: &str) -> Self {
        Self {
            is_remembered: true,
            ..Self::new(path)
        }
    }
}

/// Whether and how a file is removed once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It stays.
    Never,
    /// It is removed; of a link, the link.
    Name,
    /// It is removed; of a link, the file that the link points to.
    Target,
}

impl Removal {
    /// Two settings of a method.
    fn read(settings: &Reader<'_>, remove: &'static str, follow: &'static str) -> Self {
        let follows = settings.boolean(follow).unwrap_or(false);
        match settings.boolean(remove).unwrap_or(true) {
            false => Self::Never,
            true if follows => Self::Target,
            true => Self::Name,
        }
    }
}

/// The proof that Vault gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A login.
    Login {
        /// Below the mount, for example `login`.
        path: String,
        /// The body.
        body: Body,
    },
    /// A token that was made elsewhere: Vault is only asked about it.
    Token(SecretText),
    /// A statement of the cloud that the agent runs in.
    Cloud(Cloud),
}

/// The cloud that vouches for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's.
    Aws(Aws),
    /// Microsoft's.
    Azure(Azure),
    /// Google's.
    Gcp(Gcp),
}

impl Proof {
    fn login(body: Body) -> Self {
        Self::Login {
            path: "login".to_owned(),
            body,
        }
    }
}

/// A file that a login cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableFile {
    /// Its path.
    pub path: String,
    /// The reason.
    pub reason: &'static str,
}

/// The content of a file as text, with the blanks that stand around it.
fn text<'a>(path: &str, content: Option<&'a Body>) -> Result<&'a str, UnusableFile> {
    let unusable = |reason| UnusableFile {
        path: path.to_owned(),
        reason,
    };
    let bytes = content.map_or(&[][..], |content| content.as_slice());
    let text = std::str::from_utf8(bytes).map_err(|_| unusable("is not text"))?;
    if text.trim().is_empty() {
        return Err(unusable("is empty"));
    }
    Ok(text)
}

/// A setting that must be there.
fn required(settings: &Reader<'_>, key: &'static str) -> String {
    let value = settings.string(key);
    if value.is_none() {
        settings.problem(key, format!("missing '{key}' value"));
    }
    value.unwrap_or_default()
}

/// A period that must not be zero.
fn period(settings: &Reader<'_>, key: &'static str, usual: Duration) -> Duration {
    let period = settings.duration(key).unwrap_or(usual);
    if period.is_zero() {
        settings.problem(key, "must be longer than nothing: write for example \"1m\"");
    }
    period
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// An auth method and its settings.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Method {
            $($(#[$doc])* $name($name),)*
        }

        impl Method {
            /// The names of the methods we have.
            pub(crate) const KNOWN: &'static [&'static str] = &[$($word),*];

            /// `None` for a name that we do not know.
            pub(crate) fn read(name: &str, settings: &Reader<'_>) -> Option<Self> {
                match name {
                    $($word => Some(Self::$name($name::read(settings))),)*
                    _ => None,
                }
            }

            /// The role of the login, for reports.
            #[must_use]
            pub fn role(&self) -> Option<&str> {
                match self {
                    $(Self::$name(method) => method.role(),)*
                }
            }

            /// The files that a login reads, afresh each time.
            #[must_use]
            pub fn materials(&self) -> Vec<Material> {
                match self {
                    $(Self::$name(method) => method.materials(),)*
                }
            }

            /// The proof for Vault, from the contents of [`Self::materials`] in the same order.
            ///
            /// # Errors
            /// A file does not hold the right content.
            pub fn proof(&self, contents: &[Body]) -> Result<Proof, UnusableFile> {
                match self {
                    $(Self::$name(method) => method.proof(contents),)*
                }
            }

            /// How often its files are looked at for new credentials: the first of [`Self::materials`], or those of its
            /// connection.
            #[must_use]
            pub fn watch(&self) -> Option<Duration> {
                match self {
                    $(Self::$name(method) => method.watch(),)*
                }
            }
        }
    };
}

methods! {
    /// A role id and a secret id.
    AppRole = "approle",
    /// A role or an instance of Amazon's cloud.
    Aws = "aws",
    /// A managed identity of Microsoft's cloud.
    Azure = "azure",
    /// A TLS client certificate.
    Cert = "cert",
    /// An instance or a service account of Google's cloud.
    Gcp = "gcp",
    /// A token of another issuer.
    Jwt = "jwt",
    /// The pod's ServiceAccount token.
    Kubernetes = "kubernetes",
    /// A user of a directory.
    Ldap = "ldap",
    /// A token that was made elsewhere.
    TokenFile = "token_file",
}

#[cfg(test)]
mod tests;
