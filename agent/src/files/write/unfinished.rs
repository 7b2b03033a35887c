//! A file beside its target, until it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::super::folder::Place;

/// Unfinished files have this in their name, so that a later life can tell them from a job's.
const PREFIX: &str = ".planescape-unfinished-";

/// The length of the prefix with the part for one file.
const PREFIXED: usize = PREFIX.len() + 17;

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

/// The prefix is the same for every life, and another for each file.
pub(super) fn prefix(name: &OsStr) -> String {
    let mut hash = DefaultHasher::new();
    name.as_bytes().hash(&mut hash);
    format!("{PREFIX}{:016x}-", hash.finish())
}

/// Removes the unfinished files that a killed life left beside these files. Each folder is read once, even if many of
/// them are in it.
pub(crate) fn remove_unfinished<'a>(paths: impl Iterator<Item = &'a Path>, shared: &[PathBuf]) {
    let mut folders: BTreeMap<Option<&Path>, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        folders.entry(path.parent()).or_default().push(path);
    }
    for paths in folders.values() {
        let Ok(place) = Place::of(paths[0], shared, false) else {
            continue;
        };
        let files = paths.iter().filter_map(|path| path.file_name());
        let prefixes: BTreeSet<String> = files.map(prefix).collect();
        for name in names(&place) {
            let of = name.to_str().and_then(|name| name.get(..PREFIXED));
            if of.is_some_and(|of| prefixes.contains(of)) {
                // A file that cannot be removed does no harm.
                let _ = unlinkat(&place.folder, &name, AtFlags::empty());
            }
        }
    }
}

/// The names in a folder; none if it cannot be read.
fn names(place: &Place) -> Vec<OsString> {
    let folder = place.readable().and_then(|it| Ok(Dir::new(it)?));
    let entries = folder.into_iter().flatten().flatten();
    entries
        .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .collect()
}
