//! Removes a file that was read.

use std::path::Path;
use std::{fs, io};

use planescape_agent_contract::Removal;

/// A file that is gone already is as good as removed.
pub(crate) fn remove(path: &Path, removal: Removal) -> io::Result<()> {
    let removed = match removal {
        Removal::Never => return Ok(()),
        Removal::Name => fs::remove_file(path),
        Removal::Target => fs::canonicalize(path).and_then(fs::remove_file),
    };
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
