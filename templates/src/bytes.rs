//! Searching in byte strings.

use memchr::memmem::{self, Finder};

/// The place where `needle` starts, as `strings.Index` finds it; in time linear in both.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memmem::find(text, needle)
}

pub(crate) fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

/// `strings.SplitN` with a separator that is not empty.
pub(crate) fn split<'t>(text: &'t [u8], separator: &[u8], pieces: usize) -> Vec<&'t [u8]> {
    let mut found = Vec::new();
    let mut rest = text;
    let finder = Finder::new(separator);
    while found.len() + 1 < pieces
        && let Some(at) = finder.find(rest)
    {
        found.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    found.push(rest);
    found
}

/// `strings.Replace`; an empty `from` matches before every character and at the end.
pub(crate) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    if from.is_empty() {
        for unit in crate::unicode::units(text) {
            out.extend_from_slice(to);
            out.extend_from_slice(unit);
        }
        out.extend_from_slice(to);
        return out;
    }
    let mut rest = text;
    let finder = Finder::new(from);
    while let Some(at) = finder.find(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// How many pieces `strings.Split` makes.
pub(crate) fn count(text: &[u8], separator: &[u8]) -> usize {
    if separator.is_empty() {
        return crate::unicode::units(text).count();
    }
    memmem::find_iter(text, separator).count() + 1
}

/// How long the piece before the next separator is; characters are pieces if there is none.
pub(crate) fn next_piece(text: &[u8], separator: &[u8]) -> Option<usize> {
    match separator.is_empty() {
        true => (!text.is_empty()).then(|| crate::unicode::decode(text).1),
        false => find(text, separator),
    }
}
