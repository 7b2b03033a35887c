//! Writes a file whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use planescape_agent_contract::{Config, FileMode};
use planescape_vault::SecretText;

/// What our unfinished files are called, so that a later life can tell them from a job's.
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
/// file or the new one, never a part.
pub(crate) fn write(target: &Target, contents: &[u8]) -> io::Result<()> {
    let existing = match fs::symlink_metadata(&target.path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "is a directory",
            ));
        }
        Ok(metadata) if metadata.is_file() => Some(metadata.permissions().mode() & 0o7777),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mode = match (target.mode, existing) {
        (Some(mode), _) => mode.bits(),
        (None, Some(bits)) => bits,
        (None, None) => FileMode::RENDERED.bits(),
    };
    if existing == Some(mode) && fs::read(&target.path).is_ok_and(|bytes| bytes == contents) {
        return Ok(());
    }
    let folder = folder_of(&target.path);
    if target.create_parents && !folder.exists() {
        fs::create_dir_all(folder)?;
    }
    replace(&target.path, folder, contents, mode)
}

fn replace(path: &Path, folder: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut unfinished = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder)?;
    unfinished.write_all(contents)?;
    unfinished
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Removes what a life that was killed in the middle of a write left beside this file.
pub(crate) fn remove_unfinished(path: &Path) {
    let Ok(entries) = fs::read_dir(folder_of(path)) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Whoever could write it can remove it; if not, it does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The token that an earlier life of this agent wrote into its first sink.
pub(crate) fn left_token(config: &Config) -> Option<SecretText> {
    let sink = config.auth.sinks.first()?;
    let text = fs::read_to_string(&sink.path).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| SecretText::new(token.to_owned()))
}

/// A file with the process id, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile(Option<PathBuf>);

impl PidFile {
    pub(crate) fn write(path: Option<&str>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let target = Target {
            path: path.into(),
            mode: FileMode::from_bits(0o600),
            create_parents: false,
        };
        write(&target, std::process::id().to_string().as_bytes())
            .map_err(|error| anyhow::anyhow!("error storing PID: {path}: {error}"))?;
        Ok(Self(Some(target.path)))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove the pid file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_with_the_mode_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("a/b/secret"), Some(0o400));

        write(&target, b"one").unwrap();
        write(&target, b"two").unwrap();

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
        write(&target, b"same").unwrap();
        let before = fs::metadata(&target.path).unwrap().modified().unwrap();

        write(&target, b"same").unwrap();

        assert_eq!(
            fs::metadata(&target.path).unwrap().modified().unwrap(),
            before
        );
    }

    #[test]
    fn without_a_mode_the_existing_files_mode_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path().join("secret"), None);
        write(&target, b"one").unwrap();
        assert_eq!(mode_of(&target.path), 0o644);
        fs::set_permissions(&target.path, Permissions::from_mode(0o600)).unwrap();

        write(&target, b"two").unwrap();

        assert_eq!(mode_of(&target.path), 0o600);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target {
            create_parents: false,
            ..target(folder.path().join("missing/secret"), None)
        };

        assert!(write(&target, b"one").is_err());
        assert!(!target.path.exists());
    }

    #[test]
    fn what_a_killed_life_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("{PREFIX}x"));
        let other = folder.path().join(".planescape-other");
        fs::write(&left, "half").unwrap();
        fs::write(&other, "kept").unwrap();

        remove_unfinished(&folder.path().join("secret"));

        assert!(!left.exists());
        assert!(other.exists());
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
