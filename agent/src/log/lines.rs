//! The way of a line to its outlets.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::outlet::{Outlet, Place};

/// The lock is held for a moment only: no outlet waits.
static OUTLETS: Mutex<Vec<Outlet>> = Mutex::new(Vec::new());

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(500);
/// The pause between two looks whether they are written; a write takes microseconds.
const LAST_LOOK: Duration = Duration::from_micros(50);

/// From here on lines go to this place, too.
pub(super) fn go_to(place: Place) -> io::Result<()> {
    lock().push(Outlet::start(place)?);
    Ok(())
}

/// Opens the file anew.
pub(super) fn reopen_file() {
    lock().iter().for_each(Outlet::reopen);
}

/// Waits until the lines so far are written; not for a place that takes nothing.
pub(super) fn finish() {
    let begin = Instant::now();
    lock().iter().for_each(Outlet::hurry);
    while begin.elapsed() < LAST_LINES && !lock().iter().all(Outlet::is_idle) {
        std::thread::sleep(LAST_LOOK);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Outlet>> {
    OUTLETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes events. Characters that would break a line or talk to a terminal are written in letters.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line: Arc<[u8]> = Arc::from(&*harmless(event));
        for outlet in &*lock() {
            outlet.say(&line);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn harmless(event: &[u8]) -> Cow<'_, [u8]> {
    let (line, end) = match event.strip_suffix(b"\n") {
        Some(line) => (line, &b"\n"[..]),
        None => (event, &b""[..]),
    };
    // Nearly every line is so.
    if line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(event);
    }
    let mut out = Vec::with_capacity(event.len());
    for part in line.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '\n' => out.extend_from_slice(b"\\n"),
                it if it.is_control() => {
                    out.extend_from_slice(format!("\\x{:02x}", u32::from(it)).as_bytes());
                }
                it => out.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in part.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
    out.extend_from_slice(end);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        assert_eq!(
            harmless(b"path=\x1b[2Ja\nb\r\n").into_owned(),
            b"path=\\x1b[2Ja\\nb\\x0d\n"
        );
        // A byte that is not text, and a character that begins a command as the escape does.
        assert_eq!(
            harmless(b"\xff \xc2\x9b2J \xc3\xa9").into_owned(),
            b"\\xff \\x9b2J \xc3\xa9"
        );
    }
}
