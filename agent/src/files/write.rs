//! Writes a file whole or not at all.

mod owner;
mod unfinished;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use planescape_agent_contract::{FileMode, Owner};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, linkat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::folder::Place;
use super::regular;
use owner::Ids;
use unfinished::Unfinished;

pub(crate) use owner::give;
pub(crate) use unfinished::remove_unfinished;

/// How a file is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    /// Without it, the existing file's mode, else 0644.
    pub(crate) mode: Option<FileMode>,
    pub(crate) create_parents: bool,
    pub(crate) owner: Owner,
    /// Whether the file that was there before stays beside it, with `.bak` at its name's end.
    pub(crate) backup: bool,
}

impl Target {
    /// A file for this agent alone.
    pub(crate) fn private(path: PathBuf) -> Self {
        Self {
            path,
            mode: Some(FileMode::PRIVATE),
            create_parents: false,
            owner: Owner::default(),
            backup: false,
        }
    }
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
    let ids = Ids::of(&target.owner)?;
    let is_same = existing.as_ref().is_some_and(|old| {
        old.st_mode & 0o7777 == mode
            && ids.are_of(old)
            && holds(&place, old, contents).unwrap_or(false)
    });
    if is_same {
        return Ok(false);
    }
    let unfinished = Unfinished::create(&place)?;
    let mut file = &unfinished.file;
    file.write_all(contents)?;
    if let Some(old) = kept {
        owner::keep(file, old)?;
    }
    ids.take(file)?;
    // After the owner, since a change of owner takes set-id bits away.
    fchmod(file, Mode::from_raw_mode(mode))?;
    file.sync_all()?;
    if target.backup
        && kept.is_some()
        && let Err(error) = back_up(&place)
    {
        let path = target.path.display();
        tracing::warn!(%path, %error, "the old file is not kept: no second name can be given to it here");
    }
    unfinished.finish()?;
    // Some folders and file systems cannot be synced; the file is there all the same.
    let _ = place.sync();
    Ok(true)
}

/// Checks that a file could be written, without writing it.
pub(crate) fn check(target: &Target, shared: &[PathBuf]) -> io::Result<()> {
    let place = Place::of(&target.path, shared, target.create_parents)?;
    existing(&place)?;
    Ids::of(&target.owner)?;
    Unfinished::create(&place).map(drop)
}

/// Gives the old file a second name. A file that had this name before is replaced.
fn back_up(place: &Place) -> io::Result<()> {
    let named = |end: &str| {
        let mut name: OsString = place.name.clone();
        name.push(end);
        name
    };
    let (backup, half) = (named(".bak"), named(".old.bak"));
    let folder = &place.folder;
    match unlinkat(folder, &half, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    linkat(folder, &place.name, folder, &half, AtFlags::empty())?;
    Ok(renameat(folder, &half, folder, &backup)?)
}

/// The file that is there. A link or a pipe in its place is replaced as if there were no file.
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use planescape_agent_contract::Id;

    use super::unfinished::prefix;
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
    fn a_folder_that_the_path_leaves_again_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        for (shared, name) in [(vec![], "new"), (vec![folder.path().to_owned()], "own")] {
            let path = folder.path().join(format!("left/../{name}/./secret"));
            write(&target(path, None), &shared, b"one").unwrap();

            assert!(folder.path().join(name).join("secret").exists());
        }
        assert!(!folder.path().join("left").exists());
        // A folder that is there is entered as the system does it.
        fs::create_dir(outside.path().join("deep")).unwrap();
        symlink(outside.path().join("deep"), folder.path().join("link")).unwrap();
        let path = folder.path().join("link/../secret");
        write(&target(path, None), &[], b"one").unwrap();
        assert!(outside.path().join("secret").exists());
    }

    #[test]
    fn what_a_killed_life_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["secret", "more"].map(|name| folder.path().join(name));
        let left = ["secret", "more"].map(|name| {
            let name = format!("{}0", prefix(name.as_ref()));
            folder.path().join(name)
        });
        let others = [
            format!("{}0", prefix("secret-2".as_ref())),
            ".planescape-other".to_owned(),
        ];
        for left in &left {
            fs::write(left, "half").unwrap();
        }
        for other in &others {
            fs::write(folder.path().join(other), "kept").unwrap();
        }

        remove_unfinished(paths.iter().map(PathBuf::as_path), &[]);

        assert!(!left.iter().any(|left| left.exists()));
        for other in &others {
            assert!(folder.path().join(other).exists(), "{other}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_reason_to_fail() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inside) = (
            folder.path().join("outer"),
            folder.path().join("outer/inside"),
        );
        fs::create_dir_all(&inside).unwrap();
        for (folder, mode) in [(folder.path(), 0o711), (&outer, 0o711), (&inside, 0o333)] {
            fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        }

        let write_in = inside.clone();
        as_nobody(move || {
            write(&target(write_in.join("secret"), None), &[], b"one").unwrap();
            write(&target(write_in.join("shared"), None), &[outer], b"one").unwrap();
        });

        fs::set_permissions(&inside, Permissions::from_mode(0o700)).unwrap();
        for name in ["secret", "shared"] {
            assert_eq!(fs::read(inside.join(name)).unwrap(), b"one");
        }
    }

    /// Root may read every folder; a thread that takes another user for its files may not.
    fn as_nobody(work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            work();
        });
        thread.join().unwrap();
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
    fn a_file_is_given_to_who_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let owned = Target {
            owner: Owner {
                user: Some(Id::Number(1234)),
                group: Some(Id::Name("root".to_owned())),
            },
            ..target(folder.path().join("secret"), Some(0o400))
        };
        match write(&owned, &[], b"one") {
            Ok(is_written) => assert!(is_written),
            Err(error) => {
                // Only root can give files away, and no half file is left when that fails.
                assert!(error.to_string().starts_with("cannot be given"), "{error}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
                return;
            }
        }

        let metadata = fs::metadata(&owned.path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 0));
        std::os::unix::fs::chown(&owned.path, Some(1), None).unwrap();
        assert!(write(&owned, &[], b"one").unwrap());
        assert!(!write(&owned, &[], b"one").unwrap());
        let nobody = Owner {
            user: Some(Id::Name("no-such-user".to_owned())),
            group: None,
        };
        let error = write(
            &Target {
                owner: nobody,
                ..owned
            },
            &[],
            b"two",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown user \"no-such-user\": write its number"
        );
    }

    #[test]
    fn the_file_before_stays_beside_it_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let backed = Target {
            backup: true,
            ..target(folder.path().join("secret"), None)
        };

        for contents in ["one", "two", "three"] {
            write(&backed, &[], contents.as_bytes()).unwrap();
        }

        assert_eq!(fs::read(&backed.path).unwrap(), b"three");
        assert_eq!(fs::read(folder.path().join("secret.bak")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_is_written_although_the_old_one_cannot_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let backed = Target {
            backup: true,
            ..target(folder.path().join("secret"), None)
        };
        fs::create_dir(folder.path().join("secret.old.bak")).unwrap();

        for contents in ["one", "two"] {
            write(&backed, &[], contents.as_bytes()).unwrap();
        }

        assert_eq!(fs::read(&backed.path).unwrap(), b"two");
    }

    #[test]
    fn a_check_finds_what_would_fail_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let there = target(folder.path().join("secret"), None);
        let missing = Target {
            create_parents: false,
            ..target(folder.path().join("missing/secret"), None)
        };

        check(&there, &[]).unwrap();

        assert!(check(&missing, &[]).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
    fn a_link_that_is_swapped_meanwhile_leads_to_whole_files() {
        const LENGTH: usize = 64 << 10;
        let folder = tempfile::tempdir().unwrap();
        let (link, other_link) = (folder.path().join("link"), folder.path().join("other"));
        let folders = ["a", "b"].map(|name| folder.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        symlink(&folders[0], &link).unwrap();
        let is_over = AtomicBool::new(false);

        let written: Vec<io::Result<bool>> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for folder in &folders {
                        symlink(folder, &other_link).unwrap();
                        fs::rename(&other_link, &link).unwrap();
                    }
                }
            });
            let target = target(link.join("secret"), None);
            let write = |letter: u8| write(&target, &[], &[letter; LENGTH]);
            let written = (b'a'..=b'z').chain(b'A'..=b'Z').map(write).collect();
            is_over.store(true, Ordering::Relaxed);
            written
        });

        assert!(written.into_iter().all(|it| it.is_ok_and(|it| it)));
        for folder in &folders {
            for file in fs::read_dir(folder).unwrap() {
                let file = file.unwrap();
                assert_eq!(file.file_name(), "secret");
                let contents = fs::read(file.path()).unwrap();
                assert_eq!(contents, vec![contents[0]; LENGTH]);
            }
        }
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
            owner: Owner::default(),
            backup: false,
        }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }
}
