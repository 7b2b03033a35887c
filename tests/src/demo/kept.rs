//! The testbed that `cargo demo --keep` has left up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::servers;

/// A testbed that another process holds.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub struct Kept {
    /// Its holder.
    pub process: u32,
    /// Its folder, which is removed with it.
    pub folder: PathBuf,
    /// The lines that a shell needs to reach it.
    #[serde(default)]
    pub exports: Vec<String>,
}

impl Kept {
    /// The one that is up, if it still is: its holder has a lock. An unreadable file was cut off, and nothing is up.
    ///
    /// # Errors
    /// There is no folder for it.
    pub fn find() -> Result<Option<Self>> {
        Ok(Self::read(&file()?))
    }

    /// Lets others find it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn leave(&self) -> Result<()> {
        let file = file()?;
        let half = file.with_extension("half");
        fs::write(&half, serde_json::to_vec(self)?)?;
        fs::rename(half, &file).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Removes it, so that nobody finds it any more.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget() -> Result<()> {
        Ok(fs::remove_file(file()?)?)
    }

    fn read(file: &Path) -> Option<Self> {
        let kept: Self = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let lock = File::open(kept.folder.join("owner.lock"));
        let is_held = lock.is_ok_and(|lock| lock.try_lock().is_err());
        is_held.then_some(kept)
    }
}

fn file() -> Result<PathBuf> {
    Ok(servers::cache_folder()?.join("demo.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::RunFolder;

    #[test]
    fn a_testbed_is_up_as_long_as_its_holder_has_the_lock() {
        let run = RunFolder::create().unwrap();
        let (file, folder) = (run.path().join("demo.json"), run.path().join("bed"));
        fs::create_dir(&folder).unwrap();
        let kept = Kept {
            process: 1,
            folder: folder.clone(),
            exports: vec!["export A=b".to_owned()],
        };

        assert_eq!(Kept::read(&file), None, "nobody has left one");
        fs::write(&file, "{\"process\":").unwrap();
        assert_eq!(Kept::read(&file), None, "it was cut off");
        fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        let lock = File::create(folder.join("owner.lock")).unwrap();
        assert_eq!(Kept::read(&file), None, "its holder was killed");
        lock.lock().unwrap();
        assert_eq!(Kept::read(&file), Some(kept));
    }
}
