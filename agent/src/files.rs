//! Local files: read without being held up, written whole or not at all.
//!
//! All functions block, and belong on the blocking pool.

mod append;
mod beside;
mod digest;
mod doubt;
mod folder;
mod ledger;
mod pid_file;
mod read;
mod remove;
mod socket;
mod stamp;
mod umask;
mod write;

pub(crate) use append::append;
pub(crate) use beside::write_beside;
pub(crate) use digest::{Digest, digest};
pub(crate) use doubt::{doubt, is_doubted};
pub(crate) use ledger::Ledger;
pub(crate) use pid_file::PidFile;
pub(crate) use read::{read, read_own, read_within};
pub(crate) use remove::{discard, remove};
pub(crate) use socket::SocketFile;
pub(crate) use stamp::Stamps;
pub(crate) use umask::{note_umask, within_umask};
pub(crate) use write::{Target, check, remove_unfinished, write};

use std::os::fd::OwnedFd;
use std::{fs, io};

/// Takes a descriptor for a file, unless something else stands in its place that could hold us up.
fn regular(descriptor: OwnedFd) -> io::Result<fs::File> {
    let file = fs::File::from(descriptor);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "is a directory",
        ));
    }
    if !kind.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    Ok(file)
}
