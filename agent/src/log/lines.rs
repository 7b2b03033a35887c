//! Where lines go: standard error or standard output, and a file if one is named.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::file::Rotating;

static FILE: Mutex<Option<Rotating>> = Mutex::new(None);

/// Names the file, or none.
pub(super) fn set_file(file: Option<Rotating>) {
    *lock() = file;
}

/// Opens the file anew.
pub(super) fn reopen_file() -> io::Result<()> {
    match &mut *lock() {
        Some(file) => file.reopen(),
        None => Ok(()),
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Rotating>> {
    FILE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes events; what would break a line or talk to a terminal is written in letters. A reader
/// that went away, or a full disk, is nothing that may end the agent.
pub(super) struct Lines {
    pub(super) to_stdout: bool,
}

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = harmless(event);
        let _ = if self.to_stdout {
            io::stdout().write_all(&line)
        } else {
            io::stderr().write_all(&line)
        };
        if let Some(file) = &mut *lock() {
            let _ = file.write(&line);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn harmless(event: &[u8]) -> Vec<u8> {
    let (line, end) = match event.strip_suffix(b"\n") {
        Some(line) => (line, &b"\n"[..]),
        None => (event, &b""[..]),
    };
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        assert_eq!(
            harmless(b"path=\x1b[2Ja\nb\r\n"),
            b"path=\\x1b[2Ja\\nb\\x0d\n"
        );
        // One byte that is no text, and one character that begins a command as the escape does.
        assert_eq!(
            harmless(b"\xff \xc2\x9b2J \xc3\xa9"),
            b"\\xff \\x9b2J \xc3\xa9"
        );
    }
}
