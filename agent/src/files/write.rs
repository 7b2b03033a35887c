//! Writes a file whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use planescape_agent_contract::FileMode;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::folder::Place;
use super::regular;

/// Unfinished files have this in their name, so that a later life can tell them from a job's.
const PREFIX: &str = ".planescape-unfinished-";

/// How a file is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    /// Without it, the existing file's mode, else 0644.
    pub(crate) mode: Option<FileMode>,
    pub(crate) create_parents: bool,
}

/// Makes the file hold these bytes; one that does already stays untouched. A reader sees the old
/// file or the new one, never a part. Folders in `shared` can be written by others, who may put
/// links and pipes in our way: below them no link is followed, and nothing is taken over from a
/// file that exists. Says whether the file was written.
pub(crate) fn write(target: &Target, shared: &[PathBuf], contents: &[u8]) -> io::Result<bool> {
    let place = Place::of(&target.path, shared, target.create_parents)?;
    let existing = existing(&place)?;
    let kept = existing.as_ref().filter(|_| !place.is_shared);
    let mode = match (target.mode, kept) {
        (Some(mode), _) => mode.bits(),
        (None, Some(old)) => old.st_mode & 0o7777,
        (None, None) => FileMode::RENDERED.bits(),
    };
    let is_same = existing.is_some_and(|old| {
        old.st_mode & 0o7777 == mode && holds(&place, &old, contents).unwrap_or(false)
    });
    if !is_same {
        replace(&place, contents, mode, kept)?;
    }
    Ok(!is_same)
}

/// The file that is there; a link or a pipe in its place is replaced like nothing.
fn existing(place: &Place) -> io::Result<Option<Stat>> {
    let stat = match statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "is a directory",
        )),
        FileType::RegularFile => Ok(Some(stat)),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Ok(None),
    }
}

fn holds(place: &Place, old: &Stat, contents: &[u8]) -> io::Result<bool> {
    if u64::try_from(old.st_size).ok() != Some(contents.len() as u64) {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = regular(openat(&place.folder, &place.name, flags, Mode::empty())?)?;
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(contents.len() + 1));
    file.take(contents.len() as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(**bytes == *contents)
}

fn replace(place: &Place, contents: &[u8], mode: u32, kept: Option<&Stat>) -> io::Result<()> {
    let unfinished = Unfinished::create(place)?;
    let mut file = &unfinished.file;
    file.write_all(contents)?;
    if let Some(old) = kept {
        keep_owner(file, old)?;
    }
    // After the owner, since a change of owner takes set-id bits away.
    fchmod(file, Mode::from_raw_mode(mode))?;
    file.sync_all()?;
    unfinished.finish()?;
    // Some folders and file systems cannot be synced; the file is there all the same.
    let _ = rustix::fs::fsync(&place.folder);
    Ok(())
}

/// Only root may give files away; for others the new file is theirs, as any file they write.
fn keep_owner(file: &File, old: &Stat) -> io::Result<()> {
    let own = rustix::fs::fstat(file)?;
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

/// A file that is being written beside its target; removed unless it is finished.
struct Unfinished<'a> {
    place: &'a Place,
    name: OsString,
    file: File,
    is_finished: bool,
}

impl<'a> Unfinished<'a> {
    fn create(place: &'a Place) -> io::Result<Self> {
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

    fn finish(mut self) -> io::Result<()> {
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
fn prefix(name: &std::ffi::OsStr) -> String {
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
    for name in names(&place.folder) {
        if name.to_string_lossy().starts_with(&prefix) {
            // A file that cannot be removed does no harm.
            let _ = unlinkat(&place.folder, &name, AtFlags::empty());
        }
    }
}

fn names(folder: &OwnedFd) -> Vec<OsString> {
    let entries = Dir::read_from(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    #[test]
    fn writes_with_the_mode_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("a/b/secret"), Some(0o400));

        write(&target, &[], b"one").unwrap();
        write(&target, &[], b"two").unwrap();

        assert_eq!(fs::read(&target.path).unwrap(), b"two");
        assert_eq!(mode_of(&target.path), 0o400);
        assert_eq!(
            fs::read_dir(target.path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn an_equal_file_stays_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("secret"), None);
        write(&target, &[], b"same").unwrap();
        let before = fs::metadata(&target.path).unwrap().modified().unwrap();

        assert!(!write(&target, &[], b"same").unwrap());

        assert_eq!(
            fs::metadata(&target.path).unwrap().modified().unwrap(),
            before
        );
    }

    #[test]
    fn without_a_mode_the_existing_files_mode_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("secret"), None);
        write(&target, &[], b"one").unwrap();
        assert_eq!(mode_of(&target.path), 0o644);
        fs::set_permissions(&target.path, Permissions::from_mode(0o600)).unwrap();

        write(&target, &[], b"two").unwrap();

        assert_eq!(mode_of(&target.path), 0o600);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target {
            create_parents: false,
            ..target(folder.path().join("missing/secret"), None)
        };

        assert!(write(&target, &[], b"one").is_err());
        assert!(!target.path.exists());
    }

    #[test]
    fn what_a_killed_life_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let left = folder
            .path()
            .join(format!("{}0", prefix("secret".as_ref())));
        let others = [
            format!("{}0", prefix("secret-2".as_ref())),
            ".planescape-other".to_owned(),
        ];
        fs::write(&left, "half").unwrap();
        for other in &others {
            fs::write(folder.path().join(other), "kept").unwrap();
        }

        remove_unfinished(&path, &[]);

        assert!(!left.exists());
        for other in &others {
            assert!(folder.path().join(other).exists(), "{other}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::set_permissions(&inside, Permissions::from_mode(0o300)).unwrap();

        write(&target(inside.join("secret"), None), &[], b"one").unwrap();

        fs::set_permissions(&inside, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read(inside.join("secret")).unwrap(), b"one");
    }

    #[test]
    fn the_owner_of_an_existing_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("secret"), None);
        write(&target, &[], b"one").unwrap();
        if std::os::unix::fs::chown(&target.path, Some(1234), Some(5678)).is_err() {
            return; // Only root can give files away.
        }

        write(&target, &[], b"two").unwrap();

        let metadata = fs::metadata(&target.path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678));
    }

    #[test]
    fn no_link_is_followed_in_a_folder_that_others_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("shared");
        let private = folder.path().join("private");
        fs::create_dir(&shared).unwrap();
        fs::create_dir(&private).unwrap();
        symlink(&private, shared.join("sub")).unwrap();
        symlink(private.join("secret"), shared.join("secret")).unwrap();
        let roots = [shared.clone()];

        let error = write(&target(shared.join("sub/secret"), None), &roots, b"x").unwrap_err();
        assert!(error.to_string().contains("is not followed"), "{error}");
        let climb = target(shared.join("a/../../private/secret"), None);
        assert!(write(&climb, &roots, b"x").is_err());
        write(&target(shared.join("secret"), None), &roots, b"x").unwrap();

        assert!(!private.join("secret").exists());
        assert_eq!(fs::read(shared.join("secret")).unwrap(), b"x");
        assert!(
            !fs::symlink_metadata(shared.join("secret"))
                .unwrap()
                .is_symlink()
        );
    }

    #[test]
    fn a_pipe_in_the_files_place_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();

        write(
            &target(path.clone(), None),
            &[folder.path().to_owned()],
            b"x",
        )
        .unwrap();

        assert_eq!(fs::read(path).unwrap(), b"x");
    }

    #[test]
    fn nothing_is_taken_over_from_a_file_that_somebody_else_may_have_made() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("secret"), None);
        fs::write(&target.path, "planted").unwrap();
        fs::set_permissions(&target.path, Permissions::from_mode(0o666)).unwrap();

        write(&target, &[folder.path().to_owned()], b"x").unwrap();

        assert_eq!(mode_of(&target.path), 0o644);
    }

    fn target(path: PathBuf, mode: Option<u32>) -> Target {
        Target {
            path,
            mode: mode.and_then(FileMode::from_bits),
            create_parents: true,
        }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }
}
