//! `aws`: a role or an instance of Amazon's cloud.

use planescape_vault::SecretText;
use planescape_vault::wire::Body;

use super::{Cloud, Login, Proof, UnusableFile, required};
use crate::reader::Reader;

/// Settings of the `aws` method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aws {
    /// The role.
    pub role: String,
    /// The proof of the agent's identity.
    pub kind: AwsKind,
}

/// The proof of the agent's identity.
#[derive(Clone, PartialEq, Eq)]
pub enum AwsKind {
    /// A signed question to Amazon, which Vault asks in our place.
    Iam {
        /// Access key, secret key and session token, if they do not come from the environment.
        keys: Option<(String, SecretText, Option<SecretText>)>,
        /// The region of the service that is asked; the whole world's service unless said otherwise.
        region: Option<String>,
        /// The value of `X-Vault-AWS-IAM-Server-ID`.
        header_value: Option<String>,
    },
    /// The instance's own document.
    Ec2 {
        /// A value that the role's later logins must bring, too.
        nonce: Option<String>,
    },
}

impl std::fmt::Debug for AwsKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Iam { .. } => "Iam",
            Self::Ec2 { .. } => "Ec2",
        })
    }
}

impl Login for Aws {
    fn read(settings: &Reader<'_>) -> Self {
        let kind = settings.string("type");
        let secret = |key| settings.string(key).map(SecretText::new);
        let keys = (
            settings.string("access_key"),
            secret("secret_key"),
            secret("session_token"),
        );
        let region = settings.string("region");
        let header_value = settings.string("header_value");
        let nonce = settings.string("nonce");
        settings.ignore(&["credential_poll_interval"]);
        let kind = match kind.as_deref() {
            Some("iam") => AwsKind::Iam {
                keys: match keys {
                    (Some(access), Some(secret), session) => Some((access, secret, session)),
                    (None, None, _) => None,
                    (Some(_), None, _) | (None, Some(_), _) => {
                        settings.problem("secret_key", "access_key and secret_key go together");
                        None
                    }
                },
                region,
                header_value,
            },
            Some("ec2") => AwsKind::Ec2 { nonce },
            Some(other) => {
                settings.problem(
                    "type",
                    format!("unknown type \"{other}\": write iam or ec2"),
                );
                AwsKind::Ec2 { nonce }
            }
            None => {
                settings.problem("type", "missing 'type' value");
                AwsKind::Ec2 { nonce }
            }
        };
        Self {
            role: required(settings, "role"),
            kind,
        }
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    fn proof(&self, _: &[Body]) -> Result<Proof, UnusableFile> {
        Ok(Proof::Cloud(Cloud::Aws(self.clone())))
    }
}
