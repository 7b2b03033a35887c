//! The temporary folder of one run, and the tidying up after it.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// Files and cgroups of one run all carry this at the start of their names.
const PREFIX: &str = "planescape-";
/// Locked by the owner for as long as it lives.
const LOCK: &str = "owner.lock";
/// No number comes twice in a process: those who tidy up know a folder by its name alone, and may
/// be late.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Waits until the owner is gone (its end of the pipe closes, however it died), then removes
/// what the run has left. The servers die at the same moment, so removal is tried for a while.
const TIDY: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for attempt in $(seq 100); do
  find /sys/fs/cgroup -depth -type d -path "*/$2/*" -exec rmdir {} + 2>/dev/null
  find /sys/fs/cgroup -depth -type d -name "$2" -exec rmdir {} + 2>/dev/null
  if [ -z "$(find /sys/fs/cgroup -name "$2" 2>/dev/null)" ]; then
    rm -rf "$1" 2>/dev/null
    [ -e "$1" ] || exit 0
  fi
  sleep 0.1
done
"#;

/// A folder that goes away, with all that was made under its name, when its owner does.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    tidier: Child,
    _lock: File,
}

impl RunFolder {
    /// Makes a new folder, and removes those that killed runs have left behind.
    pub fn create() -> Result<Self> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let next = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
        let path = create_unique(&parent, &format!("{PREFIX}{}", std::process::id()), next)?;
        // Servers that do not run as root have to get through.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        let lock = lock(&path)?;
        let tidier = start_tidier(&path)?;
        Ok(Self {
            path,
            tidier,
            _lock: lock,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last component: unique on this machine, fit for cgroups and the like.
    pub fn name(&self) -> &str {
        name_of(&self.path)
    }

    /// Makes a folder within, whose name starts with `name`.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf> {
        create_unique(&self.path, name, 1..)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        drop(self.tidier.stdin.take());
        let _ = self.tidier.wait();
    }
}

/// Makes `name` with the first of `numbers` that nobody has.
fn create_unique(
    parent: &Path,
    name: &str,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<PathBuf> {
    for number in numbers {
        let path = parent.join(format!("{name}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("create {}", path.display()));
            }
        }
    }
    bail!("no number is left for {name} in {}", parent.display())
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a run folder is named by us")
}

/// The lock appears under its name only when it is held: others never see it free too early.
fn lock(folder: &Path) -> Result<File> {
    let unnamed = folder.join("new.lock");
    let file = File::create(&unnamed)?;
    file.lock()?;
    fs::rename(unnamed, folder.join(LOCK))?;
    Ok(file)
}

fn start_tidier(folder: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", TIDY, "tidy"])
        .arg(folder)
        .arg(name_of(folder))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the tidying shell")
}

fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let is_ours = folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let Ok(lock) = File::open(folder.join(LOCK)) else {
            continue;
        };
        if is_ours
            && lock.try_lock().is_ok()
            && let Ok(mut tidier) = start_tidier(&folder)
        {
            drop(tidier.stdin.take());
            let _ = tidier.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_loses_a_folder_while_others_come_and_go() {
        let come_and_go = || {
            for _ in 0..40 {
                let folder = RunFolder::create().unwrap();
                fs::write(folder.path().join("file"), "").unwrap();
                std::thread::yield_now();
                assert!(folder.path().join("file").exists(), "{:?}", folder.path());
            }
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(come_and_go)).collect();
            for one in all {
                one.join().unwrap();
            }
        });
    }
}
