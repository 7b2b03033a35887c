//! Removes files.

use std::path::Path;
use std::{fs, io};

use planescape_agent_contract::Removal;

/// Removes a file of credentials that was read, if and as `removal` says.
pub(crate) fn remove(path: &Path, removal: Removal) -> io::Result<()> {
    match removal {
        Removal::Never => Ok(()),
        Removal::Name => discard(path),
        Removal::Target => as_removed(fs::canonicalize(path).and_then(fs::remove_file)),
    }
}

/// Removes a file that may be gone already.
pub(crate) fn discard(path: &Path) -> io::Result<()> {
    as_removed(fs::remove_file(path))
}

/// A file that is gone already is as good as removed.
fn as_removed(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_or_what_it_points_to_is_removed_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "x").unwrap();
        symlink(&file, &link).unwrap();

        remove(&link, Removal::Never).unwrap();
        assert!(link.exists());
        remove(&link, Removal::Target).unwrap();
        assert!(!file.exists() && link.is_symlink());
        remove(&link, Removal::Name).unwrap();
        remove(&link, Removal::Name).unwrap();
        assert!(!link.is_symlink());
    }
}
