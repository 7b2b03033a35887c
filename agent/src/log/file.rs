//! A log file that is put aside when it is long or old.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use planescape_agent_contract::{Keep, LogFile};

use crate::files::append;

/// The open file, and the bytes that were written to it since.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    rotate_bytes: u64,
    rotate_duration: Duration,
    keep: Keep,
    file: File,
    written: u64,
    opened: Instant,
}

impl Rotating {
    pub(super) fn open(settings: &LogFile) -> io::Result<Self> {
        let path = PathBuf::from(&settings.path);
        let rotating = Self {
            file: open(&path)?,
            path,
            rotate_bytes: settings.rotate_bytes,
            rotate_duration: settings.rotate_duration,
            keep: settings.keep,
            written: 0,
            opened: Instant::now(),
        };
        rotating.prune();
        Ok(rotating)
    }

    /// A file that somebody moved away gets a new one in its place.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.written = 0;
        self.opened = Instant::now();
        Ok(())
    }

    /// The line is written whether or not the file could be put aside.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let is_long = self.rotate_bytes > 0 && self.written >= self.rotate_bytes;
        let is_due = is_long || self.opened.elapsed() >= self.rotate_duration;
        let rotated = if is_due { self.rotate() } else { Ok(()) };
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        rotated
    }

    /// Puts the file aside. After a failure it tries again when the file is due once more.
    fn rotate(&mut self) -> io::Result<()> {
        self.written = 0;
        self.opened = Instant::now();
        let (base, end) = self.name();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let aside = self.path.with_file_name(format!("{base}-{now}{end}"));
        match fs::rename(&self.path, aside) {
            // Somebody else has put it aside.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => self.reopen()?,
        }
        self.prune();
        Ok(())
    }

    /// The file's name without its end, and the end.
    fn name(&self) -> (String, String) {
        let part =
            |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let end = part(self.path.extension());
        let end = end.map_or_else(|| ".log".to_owned(), |end| format!(".{end}"));
        (part(self.path.file_stem()).unwrap_or_default(), end)
    }

    /// Removes the oldest files. A failed removal does no harm.
    fn prune(&self) {
        let Keep::Newest(count) = self.keep else {
            return;
        };
        let (base, end) = self.name();
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut aside: Vec<(String, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let time = name.strip_prefix(&base)?.strip_prefix('-')?;
                let time = time.strip_suffix(&end)?;
                let is_time = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit());
                is_time.then(|| (time.to_owned(), entry.path()))
            })
            .collect();
        aside.sort_unstable_by(|one, other| other.cmp(one));
        for (_, path) in aside.into_iter().skip(count) {
            let _ = fs::remove_file(path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    append(path, 0o640)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_long_file_is_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("agent-x.log"), "kept").unwrap();
        let mut log = open_in(folder.path(), 5, Keep::Newest(2));

        for line in [
            "one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n",
        ] {
            log.write(line.as_bytes()).unwrap();
        }

        assert_eq!(fs::read_to_string(&log.path).unwrap(), "six\nseven\n");
        let mode = fs::metadata(&log.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let mut aside: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        aside.sort();
        assert_eq!(aside, ["five\n", "four\n", "kept", "six\nseven\n"]);
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open_in(folder.path(), 0, Keep::All);
        log.write(b"old\n").unwrap();
        fs::rename(&log.path, folder.path().join("moved")).unwrap();

        log.reopen().unwrap();
        log.write(b"new\n").unwrap();

        assert_eq!(fs::read_to_string(&log.path).unwrap(), "new\n");
    }

    #[test]
    fn a_file_that_somebody_else_has_put_aside_is_due_in_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open_in(folder.path(), 3, Keep::All);
        log.write(b"old\n").unwrap();
        fs::rename(&log.path, folder.path().join("moved")).unwrap();

        log.write(b"new\n").unwrap();

        assert_eq!(fs::read_to_string(&log.path).unwrap(), "new\n");
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_is_written_on_and_told_once_each_time_it_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open_in(folder.path(), 5, Keep::All);
        // With the time in it, the name is too long for a file.
        let long = folder.path().join(format!("{}.log", "x".repeat(250)));
        fs::rename(&log.path, &long).unwrap();
        log.path = long;

        let told: Vec<bool> = (0..5).map(|_| log.write(b"abc\n").is_err()).collect();

        assert_eq!(told, [false, false, true, false, true]);
        assert_eq!(fs::read_to_string(&log.path).unwrap().len(), 20);
    }

    fn open_in(folder: &Path, rotate_bytes: u64, keep: Keep) -> Rotating {
        Rotating::open(&LogFile {
            path: folder.join("agent.log").display().to_string(),
            rotate_bytes,
            rotate_duration: Duration::from_secs(3600),
            keep,
        })
        .unwrap()
    }
}
