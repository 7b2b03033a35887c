//! The mark of a file that could not be written anew: its mode, which needs no room on the disk.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The owner may read it, and nobody write it.
const DOUBTED: u32 = 0o400;

/// Marks what stands in the file as old.
pub(crate) fn doubt(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(DOUBTED))
}

/// Whether it is marked so.
pub(crate) fn is_doubted(path: &Path) -> bool {
    let found = fs::metadata(path);
    found.is_ok_and(|it| it.permissions().mode() & 0o777 == DOUBTED)
}
