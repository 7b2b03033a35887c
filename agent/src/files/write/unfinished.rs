//! A file beside its target, until it is whole.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::super::folder::Place;

/// Unfinished files have this in their name, so that a later life can tell them from a job's.
const PREFIX: &str = ".planescape-unfinished-";

/// A file that is being written beside its target; removed unless it is finished.
pub(super) struct Unfinished<'a> {
    place: &'a Place,
    name: OsString,
    pub(super) file: File,
    is_finished: bool,
}

impl<'a> Unfinished<'a> {
    pub(super) fn create(place: &'a Place) -> io::Result<Self> {
        let chance = RandomState::new().hash_one(&place.name);
        let name: OsString = format!("{}{chance:016x}", prefix(&place.name)).into();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC;
        let file = openat(&place.folder, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self {
            place,
            name,
            file: file.into(),
            is_finished: false,
        })
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let folder = &self.place.folder;
        match renameat(folder, &self.name, folder, &self.place.name) {
            Ok(()) => {
                self.is_finished = true;
                Ok(())
            }
            Err(Errno::BUSY) => Err(io::Error::other(
                "is a mount of its own, which cannot be replaced: mount its folder instead",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // The next life removes it too.
            let _ = unlinkat(&self.place.folder, &self.name, AtFlags::empty());
        }
    }
}

/// The same for every life, and another for each file.
pub(super) fn prefix(name: &std::ffi::OsStr) -> String {
    let mut hash = DefaultHasher::new();
    name.as_bytes().hash(&mut hash);
    format!("{PREFIX}{:016x}-", hash.finish())
}

/// Removes what a life that was killed in the middle of a write left beside this file.
pub(crate) fn remove_unfinished(path: &std::path::Path, shared: &[PathBuf]) {
    let Ok(place) = Place::of(path, shared, false) else {
        return;
    };
    let prefix = prefix(&place.name);
    for name in names(&place) {
        if name.to_string_lossy().starts_with(&prefix) {
            // A file that cannot be removed does no harm.
            let _ = unlinkat(&place.folder, &name, AtFlags::empty());
        }
    }
}

/// A folder that cannot be read keeps what it has.
fn names(place: &Place) -> Vec<OsString> {
    let folder = place.readable().and_then(|it| Ok(Dir::new(it)?));
    let entries = folder.into_iter().flatten().flatten();
    entries
        .map(|entry| std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .collect()
}
