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
    match separator {
        [byte] => memchr::memchr_iter(*byte, text).count() + 1,
        _ => memmem::find_iter(text, separator).count() + 1,
    }
}

/// Calls `found` with each place of a separator that is not empty. One byte, the usual one, is found quicker than more.
pub(crate) fn each_place(text: &[u8], separator: &[u8], found: impl FnMut(usize)) {
    match separator {
        [byte] => memchr::memchr_iter(*byte, text).for_each(found),
        _ => memmem::find_iter(text, separator).for_each(found),
    }
}

/// How many bytes come before the first special one.
#[inline]
pub(crate) fn plain(text: &[u8], is_special: impl Fn(u8) -> bool) -> usize {
    // Sixteen bytes are looked at without a branch, so that the compiler can compare them at once.
    let (blocks, _) = text.as_chunks::<16>();
    let special = |block: &&[u8; 16]| {
        let marks = block.map(|byte| u8::from(is_special(byte)));
        marks.iter().fold(0, |all, mark| all | mark) != 0
    };
    let at = blocks.iter().take_while(|block| !special(block)).count() * 16;
    let rest = &text[at..];
    let special = rest.iter().position(|&byte| is_special(byte));
    at + special.unwrap_or(rest.len())
}

/// Copies a text. At a special byte, `escape` writes something else, and says how many bytes that replaces.
#[inline]
pub(crate) fn escape(
    out: &mut Vec<u8>,
    text: &[u8],
    is_special: impl Fn(u8) -> bool + Copy,
    mut escape: impl FnMut(&mut Vec<u8>, &[u8]) -> usize,
) {
    let mut rest = text;
    loop {
        let (before, special) = rest.split_at(plain(rest, is_special));
        out.extend_from_slice(before);
        if special.is_empty() {
            return;
        }
        rest = &special[escape(out, special)..];
    }
}

/// Two digits, as escapes have them.
pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [byte >> 4, byte & 15].map(|bits| DIGITS[usize::from(bits)])
}
