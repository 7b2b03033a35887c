//! Standard error, one event a line.

use std::io::{self, Write};

/// Writes events; what would break a line or talk to a terminal is written in letters. A reader
/// that went away is nothing that may end the agent.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(&harmless(event));
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
    for &byte in line {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            _ => out.push(byte),
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
    }
}
