//! Upper, lower and title case of whole texts.

use crate::bytes;
use crate::unicode;

/// Upper case; invalid bytes become U+FFFD.
pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    mapped(text, <[u8]>::make_ascii_uppercase, unicode::upper)
}

/// Lower case; invalid bytes become U+FFFD.
pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    mapped(text, <[u8]>::make_ascii_lowercase, unicode::lower)
}

/// Runs of ASCII are mapped whole.
fn mapped(text: &[u8], map_ascii: fn(&mut [u8]), map: fn(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    bytes::escape(
        &mut out,
        text,
        |byte| !byte.is_ascii(),
        |out, rest| {
            let (c, width) = unicode::decode(rest);
            unicode::push(out, map(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            width
        },
    );
    // What was copied, and what the other map gave, is as it should be beyond ASCII.
    map_ascii(&mut out);
    out
}

/// `cases.Title` without lowering: the first letter with case of every word.
pub(super) fn titled(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut inside = false;
    let mut after_middle = false;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_middle = unicode::is_middle(c);
            // One mark may stand within a word, two end it.
            inside &= !(is_middle && after_middle);
            after_middle = is_middle;
            let starts = !inside && unicode::is_cased(c);
            match starts.then(|| unicode::long_title(c)) {
                Some(Some(long)) => out.extend_from_slice(long.as_bytes()),
                Some(None) => unicode::push(&mut out, unicode::title(c)),
                None => unicode::push(&mut out, c),
            }
            inside = starts || inside && !unicode::is_break(c);
        }
        out.extend_from_slice(chunk.invalid());
        if !chunk.invalid().is_empty() {
            (inside, after_middle) = (false, false);
        }
    }
    out
}
