//! The mark of a file that could not be written anew: its mode, which needs no room on the disk.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The owner may read it. Nobody may write it.
const DOUBTED: u32 = 0o400;

/// Marks the content of the file as old. If there is no file, an empty one says that there should be one.
pub(crate) fn doubt(path: &Path) -> io::Result<()> {
    match fs::set_permissions(path, Permissions::from_mode(DOUBTED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = OpenOptions::new();
            let empty = options.write(true).create_new(true).mode(DOUBTED);
            empty.open(path).map(drop)
        }
        marked => marked,
    }
}

/// Whether the file is marked as old.
pub(crate) fn is_doubted(path: &Path) -> bool {
    let found = fs::metadata(path);
    found.is_ok_and(|it| it.permissions().mode() & 0o777 == DOUBTED)
}
