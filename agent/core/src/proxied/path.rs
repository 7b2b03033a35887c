//! One spelling for each path, as `vault agent` has it: without escapes, and the shortest path of the same meaning.

use planescape_vault::path::{clean_bytes, percent_decoded_bytes};

/// A path in its one spelling.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spelt {
    /// With the escapes that it needs.
    pub(super) sent: String,
    /// Without any.
    pub(super) meant: String,
}

impl Spelt {
    /// `None` where a `%` begins no escape.
    pub(super) fn read(path: &str) -> Option<Self> {
        let mut escapes = path.split('%').skip(1);
        let is_escape = |rest: &str| {
            let digits = rest.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if !escapes.all(is_escape) {
            return None;
        }
        let rooted = [b"/", &percent_decoded_bytes(path)[..]].concat();
        let clean = clean_bytes(&rooted);
        Some(Self {
            sent: escaped(&clean),
            meant: String::from_utf8_lossy(&clean).into_owned(),
        })
    }
}

/// Escapes each byte that could end the path, or make another one of it on its way.
fn escaped(path: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
    }
    escaped
}
