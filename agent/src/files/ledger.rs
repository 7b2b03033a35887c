//! The tokens that this agent and its earlier lives must revoke: a file that only the agent can
//! read, one token a line, written before the token is used. A life that is killed leaves it to
//! the next one, however often that happens.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use planescape_agent_core::{LeftLeases, LeftToken};
use planescape_agent_handover::Named;
use planescape_vault::SecretText;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Target, discard, doubt, is_doubted, read, regular, remove_unfinished, write};

/// The end of the name of the file with the leases, which is written anew each time.
const LEASES: &str = ".leases";
/// The end of the name of the mark that a token could not be written down.
const MISSES: &str = ".misses";

/// The ledger's file, if one is configured.
#[derive(Clone)]
pub(crate) struct Ledger {
    path: Option<PathBuf>,
    /// Whoever has it changes the file alone: what is added while that is written anew would be lost.
    turn: Arc<Mutex<Missed>>,
}

/// What this life could not write down yet.
#[derive(Default)]
struct Missed {
    lines: Vec<Zeroizing<Vec<u8>>>,
    /// Whether it has made the mark. One of an earlier life says that tokens are missing which nobody knows.
    has_marked: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    token: String,
    #[serde(default)]
    accessor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

impl Ledger {
    pub(crate) fn new(path: Option<&str>) -> Self {
        Self {
            path: path.map(Into::into),
            turn: Arc::default(),
        }
    }

    /// The tokens of earlier lives. A line that cannot be read is left out: its life was killed before it used the
    /// token.
    pub(crate) fn left_tokens(&self) -> io::Result<Vec<LeftToken>> {
        let Some(path) = &self.path else {
            return Ok(Vec::new());
        };
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(token).collect())
    }

    /// Writes a token down, with its namespace if a template's path has named it. It is on the disk when this returns.
    pub(crate) fn remember(
        &self,
        token: &SecretText,
        accessor: &str,
        namespace: Option<&str>,
    ) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let line = Line {
            token: token.expose().to_owned(),
            accessor: accessor.to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(token.expose().len() * 2 + 256));
        serde_json::to_writer(&mut *bytes, &line)?;
        let _wiped = Zeroizing::new(line.token);
        bytes.push(b'\n');
        let mut missed = self.turn();
        missed.lines.push(bytes);
        self.catch_up(path, &mut missed)
    }

    /// Writes down what is missing. The mark stands until nothing is.
    fn catch_up(&self, path: &Path, missed: &mut Missed) -> io::Result<()> {
        let mark = self.beside(MISSES);
        while let Some(line) = missed.lines.first() {
            if let Err(error) = add(path, line) {
                // Where the mark is denied, too, nothing is left to be done.
                let unmarked = mark.filter(|mark| !is_doubted(mark));
                missed.has_marked |= unmarked.is_some_and(|mark| doubt(&mark).is_ok());
                return Err(error);
            }
            missed.lines.remove(0);
        }
        if let Some(mark) = mark.filter(|_| missed.has_marked) {
            missed.has_marked = discard(&mark).is_err();
        }
        Ok(())
    }

    /// Whether a token could not be written down: it may live, and no later life knows it.
    pub(crate) fn misses_tokens(&self) -> bool {
        self.beside(MISSES).is_some_and(|mark| is_doubted(&mark))
    }

    /// Leaves tokens out. If the file cannot be written anew, all tokens stay in it.
    pub(crate) fn forget(&self, tokens: &[SecretText]) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut missed = self.turn();
        missed.lines.retain(|line| stays(line, tokens));
        // The mark goes with what was missing, whatever becomes of the file.
        let caught_up = self.catch_up(path, &mut missed);
        let bytes = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return caught_up,
            found => found?,
        };
        let mut kept = Zeroizing::new(Vec::with_capacity(bytes.len()));
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if stays(line, tokens) {
                kept.extend_from_slice(line);
            }
        }
        write(&Target::private(path.clone()), &[], &kept)?;
        caught_up
    }

    fn turn(&self) -> MutexGuard<'_, Missed> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leases of those tokens, as the last life has named them. Half-written files of that life are removed.
    pub(crate) fn left_leases(&self) -> Option<LeftLeases> {
        let path = self.beside(LEASES)?;
        let both = self.path.iter().chain([&path]);
        remove_unfinished(both.map(PathBuf::as_path), &[]);
        let Named { leases, more } = serde_json::from_slice(&read(&path).ok()?).ok()?;
        Some(LeftLeases { ids: leases, more })
    }

    /// Names them for the next life. What cannot be written must not leave what is no longer so. Where there is room again,
    /// tokens that are missing are written down, too.
    pub(crate) fn name_leases(&self, leases: &[String], more: usize) {
        let (Some(ledger), Some(path)) = (&self.path, self.beside(LEASES)) else {
            return;
        };
        // It was told when they came.
        let _ = self.catch_up(ledger, &mut self.turn());
        let named = Named {
            leases: leases.to_vec(),
            more,
        };
        let target = Target::private(path);
        let text = serde_json::to_vec(&named).map_err(io::Error::from);
        if let Err(error) = text.and_then(|text| write(&target, &[], &text)) {
            let path = target.path.display();
            tracing::debug!(%path, %error, "cannot name the leases for the next life");
            let _ = discard(&target.path);
        }
    }

    /// A file beside it.
    fn beside(&self, end: &str) -> Option<PathBuf> {
        let mut path = self.path.clone()?.into_os_string();
        path.push(end);
        Some(path.into())
    }

    /// Removes the ledger: no token in it lives on.
    pub(crate) fn forget_all(&self) {
        let mut missed = self.turn();
        *missed = Missed::default();
        for end in [LEASES, MISSES] {
            if let Some(path) = self.beside(end) {
                // Without a token the names say nothing.
                let _ = discard(&path);
            }
        }
        if let Some(path) = &self.path
            && let Err(error) = discard(path)
        {
            let path = path.display();
            tracing::warn!(%path, %error, "cannot remove the ledger, whose tokens are revoked");
        }
    }
}

/// Adds a line to the end.
fn add(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    // A life that was killed in the middle of a line must not spoil this one.
    if file.metadata()?.len() > 0 {
        file.write_all(b"\n")?;
    }
    file.write_all(line)?;
    file.sync_data()
}

fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    regular(openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Whether a line holds a token that is not among these.
fn stays(line: &[u8], gone: &[SecretText]) -> bool {
    token(line).is_some_and(|it| !gone.contains(&it.secret))
}

/// A token that HTTP cannot carry is none.
fn token(line: &[u8]) -> Option<LeftToken> {
    let Line {
        token,
        accessor,
        namespace,
    } = serde_json::from_slice(line).ok()?;
    Some(LeftToken {
        secret: SecretText::token(token)?,
        accessor,
        namespace,
        lasts: None,
        is_written: true,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_token_of_every_life_is_found_again() {
        let (_folder, path, ledger) = ledger();
        ledger.remember(&secret("t1"), "a1", None).unwrap();
        // This life is killed while it writes.
        let mut file = open(&path).unwrap();
        file.write_all(b"{\"token\":\"t").unwrap();
        ledger.remember(&secret("t2"), "a2", Some("team/")).unwrap();
        ledger.remember(&secret("t3"), "", None).unwrap();

        let left = ledger.left_tokens().unwrap().into_iter();
        let left = left.map(|it| {
            let namespace = it.namespace.unwrap_or_default();
            format!("{} {} {namespace}", it.secret.expose(), it.accessor)
        });
        assert!(left.eq(["t1 a1 ", "t2 a2 team/", "t3  "]));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        ledger.forget_all();
        assert!(ledger.left_tokens().unwrap().is_empty());
    }

    #[test]
    fn tokens_that_have_ended_are_left_out_and_all_others_stay() {
        let (folder, path, ledger) = ledger();
        ledger.forget(&[secret("t1")]).unwrap();
        assert!(!path.exists(), "nothing stood there");
        for name in ["t1", "t2", "t3"] {
            ledger.remember(&secret(name), name, None).unwrap();
        }

        ledger.forget(&[secret("t1"), secret("t3")]).unwrap();

        ledger.remember(&secret("t4"), "a4", None).unwrap();
        assert_eq!(names(&ledger), "t2 t4");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // It cannot be written anew.
        out_of_place(&path, || assert!(ledger.forget(&[secret("t2")]).is_err()));
        assert_eq!(names(&ledger), "t2 t4");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Two threads change the ledger, as on the pool.
    #[test]
    fn what_is_added_while_others_are_left_out_is_not_lost() {
        let (_folder, _, ledger) = ledger();
        let other = ledger.clone();
        let adding = std::thread::spawn(move || {
            for number in 0..200 {
                let name = format!("t{number}");
                other.remember(&secret(&name), "", None).unwrap();
            }
        });
        while !adding.is_finished() {
            ledger.forget(&[secret("x")]).unwrap();
        }
        adding.join().unwrap();

        assert_eq!(ledger.left_tokens().unwrap().len(), 200);
    }

    #[test]
    fn what_is_no_token_is_left_out() {
        let (_folder, path, ledger) = ledger();
        fs::write(
            &path,
            "{\"token\":\"a\\u0000b\"}\n{\"token\":\"a\\nb\"}\n{\"token\":\"\"}\nx\n\n{\"token\":\"good\"}\n",
        )
        .unwrap();

        let left = ledger.left_tokens().unwrap();

        assert_eq!(left.len(), 1);
        assert_eq!(left[0].secret.expose(), "good");
    }

    #[test]
    fn the_leases_that_were_named_last_are_found_again() {
        let (folder, _, ledger) = ledger();
        assert_eq!(ledger.left_leases(), None);
        ledger.name_leases(&["db/1".to_owned(), "db/2".to_owned()], 3);
        ledger.name_leases(&["db/2".to_owned()], 0);

        let left = ledger.left_leases().unwrap();

        assert_eq!((left.ids, left.more), (vec!["db/2".to_owned()], 0));
        ledger.forget_all();
        assert_eq!(ledger.left_leases(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Its life is killed while something else is in the ledger's place.
    #[test]
    fn a_token_that_could_not_be_written_down_is_missed_until_all_is_forgotten() {
        let (folder, path, ledger) = ledger();
        ledger.remember(&secret("t1"), "a1", None).unwrap();
        assert!(!ledger.misses_tokens());
        out_of_place(&path, || {
            ledger.remember(&secret("t2"), "a2", None).unwrap_err();
        });

        let next = Ledger::new(path.to_str());
        out_of_place(&path, || {
            next.remember(&secret("t3"), "a3", None).unwrap_err();
        });
        next.name_leases(&[], 0);

        assert!(next.misses_tokens(), "nobody knows the second one");
        assert_eq!(names(&next), "t1 t3");
        next.forget_all();
        assert!(!next.misses_tokens());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_could_not_be_written_down_is_as_soon_as_the_ledger_can_be_written_again() {
        type Write = fn(&Ledger);
        let again: [(Write, &str); 3] = [
            (|ledger| ledger.name_leases(&[], 0), "t0 t1 t3"),
            (|ledger| ledger.forget(&[secret("t0")]).unwrap(), "t1 t3"),
            (
                |ledger| ledger.remember(&secret("t4"), "a4", None).unwrap(),
                "t0 t1 t3 t4",
            ),
        ];
        for (write_again, expected) in again {
            let (_folder, path, ledger) = ledger();
            ledger.remember(&secret("t0"), "a0", None).unwrap();
            out_of_place(&path, || {
                for name in ["t1", "t2", "t3"] {
                    ledger.remember(&secret(name), name, None).unwrap_err();
                }
                // It is over by then.
                ledger.forget(&[secret("t2")]).unwrap_err();
                ledger.name_leases(&[], 0);
                assert!(ledger.misses_tokens());
            });

            write_again(&ledger);

            assert_eq!(names(&ledger), expected);
            assert!(!ledger.misses_tokens());
        }
    }

    #[test]
    fn the_mark_goes_with_the_tokens_that_are_missing_though_the_file_cannot_be_read() {
        let (_folder, path, ledger) = ledger();
        fs::create_dir(&path).unwrap();
        for name in ["t1", "t2"] {
            ledger.remember(&secret(name), name, None).unwrap_err();
        }

        ledger.forget(&[secret("t1")]).unwrap_err();
        assert!(ledger.misses_tokens());
        ledger.forget(&[secret("t2")]).unwrap_err();

        assert!(!ledger.misses_tokens());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let (folder, path, ledger) = ledger();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();

        assert!(ledger.remember(&secret("t1"), "a1", None).is_err());
        assert!(!elsewhere.exists());
    }

    /// Does something while a folder is where the ledger was.
    fn out_of_place(path: &Path, act: impl FnOnce()) {
        let before = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        act();
        fs::remove_dir(path).unwrap();
        fs::write(path, before).unwrap();
    }

    fn names(ledger: &Ledger) -> String {
        let left = ledger.left_tokens().unwrap().into_iter();
        let names = left.map(|it| it.secret.expose().to_owned());
        names.collect::<Vec<_>>().join(" ")
    }

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    fn ledger() -> (tempfile::TempDir, PathBuf, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::new(path.to_str());
        (folder, path, ledger)
    }
}
