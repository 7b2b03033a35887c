//! Seals a token so that only the holder of a private key can read it, in the form of `vault agent`:
//! Curve25519 for the key, AES-256-GCM for the token.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use planescape_agent_contract::{self as contract, Encryption};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files;

/// The public key for which a token is sealed, and the settings of the seal.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    public_key: PathBuf,
    derives_key: bool,
    aad: String,
}

/// The file of the reader's public key.
#[derive(Deserialize)]
struct PublicKey {
    curve25519_public_key: String,
}

#[derive(Serialize)]
struct Sealed {
    curve25519_public_key: String,
    nonce: String,
    encrypted_payload: String,
}

/// The length of a key of AES-256.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl Seal {
    /// Looks up the environment variable that the configuration names.
    pub(crate) fn new(encryption: &Encryption) -> Self {
        let aad = match &encryption.aad {
            contract::Aad::Text(text) => text.clone(),
            contract::Aad::Variable(name) => std::env::var(name).unwrap_or_default(),
        };
        Self {
            public_key: encryption.public_key.clone().into(),
            derives_key: encryption.derives_key,
            aad,
        }
    }

    /// The sealed bytes as a line of JSON, with a new key each time.
    pub(crate) fn seal(&self, contents: &[u8]) -> anyhow::Result<Vec<u8>> {
        let theirs = self.their_key()?;
        let random = SystemRandom::new();
        let secret = EphemeralPrivateKey::generate(&X25519, &random)?;
        let ours = secret.compute_public_key()?;
        let peer = UnparsedPublicKey::new(&X25519, &theirs);
        let failed = || anyhow!("is not a key of Curve25519");
        let key = agreement::agree_ephemeral(secret, peer, failed(), |shared| {
            self.key(shared, ours.as_ref(), &theirs)
        });
        let key = key.with_context(|| self.public_key.display().to_string())?;
        let mut nonce = [0; 12];
        random.fill(&mut nonce)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key)?);
        let mut payload = contents.to_vec();
        let aad = Aad::from(self.aad.as_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut payload)?;
        let sealed = Sealed {
            curve25519_public_key: BASE64_STANDARD.encode(ours.as_ref()),
            nonce: BASE64_STANDARD.encode(nonce),
            encrypted_payload: BASE64_STANDARD.encode(payload),
        };
        let mut line = serde_json::to_vec(&sealed)?;
        line.push(b'\n');
        Ok(line)
    }

    fn their_key(&self) -> anyhow::Result<Vec<u8>> {
        let path = self.public_key.display();
        let bytes = files::read(&self.public_key).with_context(|| path.to_string())?;
        let key: PublicKey = serde_json::from_slice(&bytes)
            .with_context(|| format!("{path}: is not {{\"curve25519_public_key\": \"…\"}}"))?;
        let key = BASE64_STANDARD
            .decode(key.curve25519_public_key)
            .with_context(|| format!("{path}: curve25519_public_key is not base64"))?;
        if key.len() != 32 {
            bail!(
                "{path}: a key of Curve25519 has 32 bytes, not {}",
                key.len()
            );
        }
        Ok(key)
    }

    /// The shared secret, or the key that both sides derive from it and from their public keys in order.
    fn key(
        &self,
        shared: &[u8],
        ours: &[u8],
        theirs: &[u8],
    ) -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        if self.derives_key {
            let (low, high) = (ours.min(theirs), ours.max(theirs));
            Salt::new(HKDF_SHA256, low)
                .extract(shared)
                .expand(&[high], Length)?
                .fill(&mut *key)?;
        } else {
            key.copy_from_slice(shared);
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_the_key_can_open_it_and_knows_what_was_said_beside_it() {
        for derives_key in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            let theirs = agreement::PrivateKey::generate(&X25519).unwrap();
            let public = theirs.compute_public_key().unwrap();
            let text = BASE64_STANDARD.encode(public.as_ref());
            std::fs::write(&path, format!(r#"{{"curve25519_public_key":"{text}"}}"#)).unwrap();
            let seal = Seal::new(&Encryption {
                public_key: path.display().to_string(),
                derives_key,
                aad: contract::Aad::Text("said".to_owned()),
            });

            let sealed = seal.seal(b"hvs.token").unwrap();

            assert!(sealed.ends_with(b"}\n"));
            let sealed: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
            let part = |name: &str| {
                BASE64_STANDARD
                    .decode(sealed[name].as_str().unwrap())
                    .unwrap()
            };
            let ours = part("curve25519_public_key");
            let peer = UnparsedPublicKey::new(&X25519, &ours);
            let key = agreement::agree(&theirs, peer, anyhow!("no key"), |shared| {
                seal.key(shared, &ours, public.as_ref())
            });
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key.unwrap()).unwrap());
            let nonce = || Nonce::try_assume_unique_for_key(&part("nonce")).unwrap();
            let mut payload = part("encrypted_payload");
            assert!(
                key.open_in_place(nonce(), Aad::from("else"), &mut payload)
                    .is_err()
            );
            let mut payload = part("encrypted_payload");
            let opened = key.open_in_place(nonce(), Aad::from("said"), &mut payload);
            assert_eq!(opened.unwrap(), b"hvs.token");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let seal = Seal::new(&Encryption {
            public_key: path.display().to_string(),
            derives_key: false,
            aad: contract::Aad::Text(String::new()),
        });
        for text in ["", "{}", r#"{"curve25519_public_key":"AAAA"}"#] {
            std::fs::write(&path, text).unwrap();

            let error = format!("{:#}", seal.seal(b"x").unwrap_err());

            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
