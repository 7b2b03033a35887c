//! The folder of a file, held by its descriptor, so that another folder cannot be put in its place.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use planescape_vault::path::clean_bytes;
use rustix::fs::{Mode, OFlags, fsync, mkdirat, open, openat};
use rustix::io::Errno;

/// A folder that may be entered and written need not be one that may be read.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::PATH).union(OFlags::CLOEXEC);
const NEW_FOLDER: Mode = Mode::from_raw_mode(0o755);

/// A folder, and the name of a file in it.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// Whether others can write the folder too.
    pub(super) is_shared: bool,
}

impl Place {
    /// Finds the folder of `path`. Below a folder of `shared` no link is followed.
    pub(super) fn of(path: &Path, shared: &[PathBuf], creates: bool) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let roots = shared.iter().filter(|root| parent.starts_with(root));
        let root = roots.max_by_key(|root| root.as_os_str().len());
        let folder = match root {
            Some(root) => {
                // No link is followed there, so that a path means what it says.
                let below = clean(parent.strip_prefix(root).unwrap_or(parent));
                descend(open(root, FOLDER, Mode::empty())?, &below, creates)?
            }
            None if parent.exists() => open(parent, FOLDER, Mode::empty())?,
            None => {
                // A folder that `..` leaves again need not be there, and is not made.
                let parent = clean(parent);
                if creates {
                    std::fs::create_dir_all(&parent)?;
                }
                open(&parent, FOLDER, Mode::empty())?
            }
        };
        Ok(Self {
            folder,
            name,
            is_shared: root.is_some(),
        })
    }

    /// Writes the changes in the folder to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(self.readable()?)?)
    }

    /// The folder, opened for a look at its entries.
    pub(super) fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(openat(&self.folder, ".", flags, Mode::empty())?)
    }
}

/// The shortest path of the same meaning, if no link is in it.
pub(super) fn clean(path: &Path) -> PathBuf {
    OsString::from_vec(clean_bytes(path.as_os_str().as_bytes())).into()
}

fn descend(mut folder: OwnedFd, below: &Path, creates: bool) -> io::Result<OwnedFd> {
    for part in below.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => folder = enter(&folder, name, creates)?,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let message = "climbs out of a folder that others can write";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
    }
    Ok(folder)
}

fn enter(folder: &OwnedFd, name: &OsStr, creates: bool) -> io::Result<OwnedFd> {
    let inside = || openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
    match inside() {
        Err(Errno::NOENT) if creates => {
            match mkdirat(folder, name, NEW_FOLDER) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            inside().map_err(Into::into)
        }
        Err(Errno::LOOP | Errno::NOTDIR) => Err(io::Error::other(format!(
            "{} is a link or a file, and others can write here: it is not followed",
            name.display()
        ))),
        other => other.map_err(Into::into),
    }
}
