//! Seals with a key that is derived from the token of the ServiceAccount: the file alone cannot be read.

use anyhow::{anyhow, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

/// The first bytes of the file.
const FORM: &[u8] = b"planescape-agent-cache 1\n";
const SALT: usize = 32;

/// A salt and a nonce, which must be new and unpredictable.
pub type Random = [u8; SALT + NONCE_LEN];

/// The form, a salt, a nonce, and the sealed bytes with their tag.
pub(super) fn seal(
    plain: &[u8],
    service_account: &[u8],
    random: &Random,
) -> anyhow::Result<Vec<u8>> {
    let (salt, nonce) = random.split_at(SALT);
    let key = key(service_account, salt)?;
    let mut sealed = plain.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    key.seal_in_place_append_tag(nonce, Aad::from(FORM), &mut sealed)?;
    Ok([FORM, random, &sealed].concat())
}

pub(super) fn open(bytes: &[u8], service_account: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let Some(rest) = bytes.strip_prefix(FORM) else {
        bail!("is not a cache of this agent");
    };
    let Some((random, sealed)) = rest.split_at_checked(SALT + NONCE_LEN) else {
        bail!("is cut off");
    };
    let (salt, nonce) = random.split_at(SALT);
    let key = key(service_account, salt)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let opened = key.open_in_place(nonce, Aad::from(FORM), &mut plain);
    let length = opened
        .map_err(|_| anyhow!("was sealed with another token of the ServiceAccount, or is damaged"))?
        .len();
    plain.truncate(length);
    Ok(plain)
}

fn key(service_account: &[u8], salt: &[u8]) -> anyhow::Result<LessSafeKey> {
    let key = Salt::new(HKDF_SHA256, salt).extract(service_account);
    let key = key.expand(&[FORM], &AES_256_GCM)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_opens_it() {
        let sealed = seal(b"t", b"jwt", &[7; 44]).unwrap();

        assert_eq!(open(&sealed, b"jwt").unwrap().as_slice(), b"t");
        assert!(open(&sealed, b"another").is_err());
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let sealed = seal(b"secret", b"jwt", &[7; 44]).unwrap();

        for length in 0..sealed.len() {
            assert!(open(&sealed[..length], b"jwt").is_err(), "{length}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(open(&damaged, b"jwt").is_err(), "{at}");
        }
    }
}
