//! Reads a file that may be anything: a pipe that nobody writes must not hold us up.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
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

/// Before Linux 5.6 no link can be told from another: none is followed.
fn without_links(path: &Path, folder: &str) -> io::Result<OwnedFd> {
    let place = Place::of(path, &[folder.into()], false)?;
    let flags = READING | OFlags::NOFOLLOW;
    Ok(openat(&place.folder, &place.name, flags, Mode::empty())?)
}

fn outside(folder: &str) -> io::Error {
    let message = format!("leads out of sandbox_path {folder}");
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// All of a file that is not too long.
pub(super) fn content(mut file: std::fs::File) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length > LONGEST {
        let message = "is longer than 16 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    // Room for all of it and a byte more: a vector that grows leaves copies behind.
    let room = usize::try_from(length).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    (&mut file).take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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
}
