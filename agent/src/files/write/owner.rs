//! Gives a written file to its owner.

use std::fs::File;
use std::io;

use nix::unistd::{Group, User};
use planescape_agent_contract::{Id, Owner};
use rustix::fs::{Gid, Stat, Uid, fchown, fstat};
use rustix::io::Errno;

/// The numbers that the system has for a file's user and group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    user: Option<u32>,
    group: Option<u32>,
}

impl Ids {
    pub(super) fn of(owner: &Owner) -> io::Result<Self> {
        Ok(Self {
            user: owner.user.as_ref().map(user).transpose()?,
            group: owner.group.as_ref().map(group).transpose()?,
        })
    }

    /// Whether an existing file belongs to them.
    pub(super) fn are_of(self, file: &Stat) -> bool {
        self.user.is_none_or(|user| user == file.st_uid)
            && self.group.is_none_or(|group| group == file.st_gid)
    }

    /// Gives a file to them.
    pub(super) fn take(self, file: &File) -> io::Result<()> {
        if self.are_of(&fstat(file)?) {
            return Ok(());
        }
        let (user, group) = (self.user.map(Uid::from_raw), self.group.map(Gid::from_raw));
        fchown(file, user, group).map_err(|error| {
            let message = format!("cannot be given to its user and group: {error}");
            io::Error::new(io::Error::from(error).kind(), message)
        })
    }
}

/// Gives the file at a path to its owner, without following a link.
pub(crate) fn give(path: &std::path::Path, owner: &Owner) -> io::Result<()> {
    let ids = Ids::of(owner)?;
    std::os::unix::fs::lchown(path, ids.user, ids.group)
}

fn user(id: &Id) -> io::Result<u32> {
    match id {
        Id::Number(number) => Ok(*number),
        Id::Name(name) => match User::from_name(name) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            _ => Err(unknown("user", name)),
        },
    }
}

fn group(id: &Id) -> io::Result<u32> {
    match id {
        Id::Number(number) => Ok(*number),
        Id::Name(name) => match Group::from_name(name) {
            Ok(Some(group)) => Ok(group.gid.as_raw()),
            _ => Err(unknown("group", name)),
        },
    }
}

fn unknown(kind: &str, name: &str) -> io::Error {
    io::Error::other(format!("unknown {kind} \"{name}\": write its number"))
}

/// Keeps the old owner, if it may. Only root may give files away; the new file of another user is that user's.
pub(super) fn keep(file: &File, old: &Stat) -> io::Result<()> {
    let own = fstat(file)?;
    if (own.st_uid, own.st_gid) == (old.st_uid, old.st_gid) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
    match fchown(file, Some(user), Some(group)) {
        Ok(()) => Ok(()),
        Err(Errno::PERM | Errno::INVAL) => {
            // The group alone may be one of ours.
            let _ = fchown(file, None, Some(group));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
