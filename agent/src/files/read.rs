//! Reads a file that may be anything: a pipe without a writer must not hold the agent up.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::folder::Place;
use super::regular;

const READING: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// More than any token, certificate or text.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The content of a file, links followed.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    content(regular(openat(CWD, path, READING, Mode::empty())?)?)
}

/// The content of a file that lies, with all links resolved, in each of these folders.
pub(crate) fn read_within(path: &Path, folders: &[String]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut last = None;
    for folder in folders {
        let below = path.strip_prefix(folder).map_err(|_| outside(folder))?;
        let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, folder.as_str(), root, Mode::empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let found = match openat2(root, below, READING, Mode::empty(), resolve) {
            Err(Errno::NOSYS) => without_links(path, folder)?,
            Err(Errno::XDEV) => return Err(outside(folder)),
            other => other?,
        };
        last = Some(found);
    }
    match last {
        Some(found) => content(regular(found)?),
        None => read(path),
    }
}

/// The content of a file that this agent wrote. In a folder that others can write, a file is refused if others can
/// write it or own it: they could have written anything into it.
pub(crate) fn read_own(path: &Path, shared: &[PathBuf]) -> io::Result<Zeroizing<Vec<u8>>> {
    let place = Place::of(path, shared, false)?;
    // The file is opened where it was written: the path as it stands may go through a folder that is not there.
    if !place.is_shared {
        let found = openat(&place.folder, &place.name, READING, Mode::empty())?;
        return content(regular(found)?);
    }
    let flags = READING | OFlags::NOFOLLOW;
    let found = openat(&place.folder, &place.name, flags, Mode::empty())?;
    let stat = fstat(&found)?;
    if stat.st_uid != geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let message = "could have been written by others: it is not read";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    content(regular(found)?)
}

/// Before Linux 5.6 links that leave the folder cannot be told from others, so no link is followed.
fn without_links(path: &Path, folder: &str) -> io::Result<OwnedFd> {
    let place = Place::of(path, &[folder.into()], false)?;
    let flags = READING | OFlags::NOFOLLOW;
    Ok(openat(&place.folder, &place.name, flags, Mode::empty())?)
}

fn outside(folder: &str) -> io::Error {
    let message = format!("leads out of sandbox_path {folder}");
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// The whole content of a file that is not too long.
pub(super) fn content(mut file: std::fs::File) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length > LONGEST {
        let message = "is longer than 16 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    // The room is one byte more than the file: a vector that grows leaves copies behind.
    let room = usize::try_from(length).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    (&mut file).take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_pipe_is_refused_and_does_not_hold_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();

        let error = read(&pipe).unwrap_err();

        assert_eq!(error.to_string(), "is not a regular file");
        assert!(read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn a_link_may_stay_in_the_sandbox_and_not_leave_it() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = folder.path().join("safe");
        fs::create_dir(&sandbox).unwrap();
        fs::write(sandbox.join("real"), "in").unwrap();
        fs::write(folder.path().join("secret"), "out").unwrap();
        symlink("real", sandbox.join("inside")).unwrap();
        symlink("../secret", sandbox.join("outside")).unwrap();
        symlink("..", sandbox.join("up")).unwrap();
        let folders = [sandbox.to_str().unwrap().to_owned()];

        assert!(without_links(&sandbox.join("real"), &folders[0]).is_ok());
        assert!(without_links(&sandbox.join("inside"), &folders[0]).is_err());
        let inside = read_within(&sandbox.join("inside"), &folders).unwrap();
        assert_eq!(&**inside, b"in");
        for name in ["outside", "up/secret"] {
            let error = read_within(&sandbox.join(name), &folders).unwrap_err();
            assert!(error.to_string().starts_with("leads out of"), "{error}");
        }
    }

    #[test]
    fn where_others_can_write_only_what_nobody_else_wrote_is_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let shared = [folder.path().to_owned()];
        let own = folder.path().join("own");
        let open = folder.path().join("open");
        let link = folder.path().join("link");
        for (path, mode) in [(&own, 0o644), (&open, 0o666)] {
            fs::write(path, "certificate").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink(&own, &link).unwrap();

        assert_eq!(&**read_own(&own, &shared).unwrap(), b"certificate");
        assert!(read_own(&open, &shared).is_err());
        assert!(read_own(&link, &shared).is_err());
        for path in [&open, &link] {
            assert_eq!(&**read_own(path, &[]).unwrap(), b"certificate");
        }
        let around = folder.path().join("no-folder/../own");
        for shared in [&shared[..], &[][..]] {
            assert_eq!(&**read_own(&around, shared).unwrap(), b"certificate");
        }
        if geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(1), None).unwrap();
            assert!(read_own(&own, &shared).is_err());
        }
    }
}
