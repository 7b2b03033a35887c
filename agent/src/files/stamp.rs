//! Stamps that tell whether somebody else has changed a file.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::folder::clean;

/// The state of a file right after it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        // A folder that `..` leaves again need not be there.
        let found = path.symlink_metadata();
        let found = found.or_else(|_| clean(path).symlink_metadata()).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// The states of files right after they were written, by the numbers of their templates.
#[derive(Default)]
pub(crate) struct Stamps(Mutex<BTreeMap<usize, Option<Stamp>>>);

impl Stamps {
    /// The file of a template was written.
    pub(crate) fn keep(&self, template: usize, path: &Path) {
        let stamp = Stamp::of(path);
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.insert(template, stamp);
    }

    /// The template is gone.
    pub(crate) fn forget(&self, template: usize) {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.remove(&template);
    }

    /// Whether the file is still there as it was.
    pub(crate) fn is_intact(&self, template: usize, path: &Path) -> bool {
        let stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = stamps.get(&template).copied();
        drop(stamps);
        kept.is_none_or(|kept| kept == Stamp::of(path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_changed_replaced_or_gone_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let stamps = Stamps::default();
        assert!(stamps.is_intact(0, &path), "nobody has written it yet");
        // The second one goes through a folder that is not there.
        for named in [path.clone(), folder.path().join("d/../a")] {
            let written = || {
                fs::write(&path, "text").unwrap();
                stamps.keep(0, &named);
                assert!(stamps.is_intact(0, &named));
            };

            written();
            fs::write(&path, "longer text").unwrap();
            assert!(!stamps.is_intact(0, &named), "{named:?}");

            written();
            let other = folder.path().join("b");
            fs::write(&other, "text").unwrap();
            fs::rename(other, &path).unwrap();
            assert!(!stamps.is_intact(0, &named), "{named:?}");

            written();
            fs::remove_file(&path).unwrap();
            assert!(!stamps.is_intact(0, &named), "{named:?}");
        }
    }
}
