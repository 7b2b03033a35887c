//! A digest of the contents of files, which tells whether they have changed.

use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};

use super::read;

/// Each content has another digest.
pub(crate) type Digest = [u8; 32];

/// The digest of all these files, in their order.
pub(crate) fn digest<'a>(paths: impl IntoIterator<Item = &'a String>) -> anyhow::Result<Digest> {
    let mut digest = Context::new(&SHA256);
    for path in paths {
        let content = read(Path::new(path)).with_context(|| path.clone())?;
        digest.update(&(content.len() as u64).to_le_bytes());
        digest.update(&content);
    }
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest.finish().as_ref());
    Ok(bytes)
}
