//! What Go's `unicode` and `utf8` packages say, byte for byte, which is not always what Rust's `char` says:
//! Go maps case one code point to one, and knows Unicode 15.

pub(crate) mod classes;
mod tables;

/// First character of `bytes` and how many bytes it takes; an invalid sequence takes one byte and gives `None`.
pub(crate) fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(&first) = bytes.first() else {
        return (None, 0);
    };
    let width = match first {
        0..0x80 => return (Some(char::from(first)), 1),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        0x80..0xc2 | 0xf5..=0xff => return (None, 1),
    };
    match bytes
        .get(..width)
        .and_then(|head| std::str::from_utf8(head).ok())
    {
        Some(head) => (head.chars().next(), width),
        None => (None, 1),
    }
}

/// The characters of `bytes` as Go's `range` yields them: U+FFFD for each invalid byte.
pub(crate) fn chars(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let broken = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
        chunk.valid().chars().chain(broken)
    })
}

/// The pieces of `bytes`, one for each character or invalid byte.
pub(crate) fn units(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let (unit, rest) = bytes.split_at(decode(bytes).1);
        bytes = rest;
        Some(unit)
    })
}

/// Runs lie in order; a character is inside one if an odd number of bounds come before or at it.
fn within(table: &[u32], c: char) -> bool {
    let code = u32::from(c);
    let bounds = table.partition_point(|&bound| bound < code);
    bounds % 2 == 1 || table.get(bounds) == Some(&code)
}

pub(crate) fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii() && within(tables::LETTERS, c)
}

pub(crate) fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && within(tables::DIGITS, c)
}

/// `unicode.IsPrint`: what quoting leaves as it is.
pub(crate) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    within(tables::PRINTED, c)
}

/// `unicode.IsSpace`.
pub(crate) fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}'
            | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Simple upper-case mapping.
pub(crate) fn upper(c: char) -> char {
    match c {
        '\u{19b}' | '\u{264}' => c,
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shift(c, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shift(c, 9),
        _ => single(c, c.to_uppercase()),
    }
}

/// Simple lower-case mapping.
pub(crate) fn lower(c: char) -> char {
    match c {
        'İ' => 'i',
        _ => single(c, c.to_lowercase()),
    }
}

/// Simple title-case mapping.
pub(crate) fn title(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        _ => upper(c),
    }
}

/// The title case of a character that has none in one character.
pub(crate) fn long_title(c: char) -> Option<String> {
    let mut upper = c.to_uppercase();
    let is_title = matches!(
        c,
        '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}'
            | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}'
    );
    if c.is_ascii() || is_title || upper.len() < 2 || title(c) != c {
        return None;
    }
    if c == '\u{149}' {
        return Some("\u{2bc}N".to_owned());
    }
    let is_greek = ('\u{1f00}'..='\u{1fff}').contains(&c);
    let mut out: String = upper.next().into_iter().collect();
    for rest in upper {
        match rest {
            // The iota stays below.
            '\u{399}' if is_greek => out.push('\u{345}'),
            rest => out.extend(rest.to_lowercase()),
        }
    }
    Some(out)
}

fn shift(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

/// The mapping, if it is one character and both are known to Unicode 15.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if one.is_ascii() || is_print(one) && is_print(c) => one,
        _ => c,
    }
}

/// Applies a mapping to every character; invalid bytes become U+FFFD.
pub(crate) fn mapped(bytes: &[u8], map: impl Fn(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for c in chars(bytes) {
        push(&mut out, map(c));
    }
    out
}

pub(crate) fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `strings.TrimSpace`.
pub(crate) fn trim_space(bytes: &[u8]) -> &[u8] {
    trim(bytes, is_space)
}

/// Strips the characters that `strip` names from both ends.
pub(crate) fn trim(bytes: &[u8], strip: impl Fn(char) -> bool) -> &[u8] {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (c, width) = decode(rest);
        if !strip(c.unwrap_or(char::REPLACEMENT_CHARACTER)) {
            break;
        }
        rest = &rest[width..];
    }
    while !rest.is_empty() {
        let width = last_width(rest);
        let (c, _) = decode(&rest[rest.len() - width..]);
        if !strip(c.unwrap_or(char::REPLACEMENT_CHARACTER)) {
            break;
        }
        rest = &rest[..rest.len() - width];
    }
    rest
}

/// How many bytes the last character takes.
pub(crate) fn last_width(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(4))
        .find(|&width| {
            decode(&bytes[bytes.len() - width..]) != (None, 1) && {
                decode(&bytes[bytes.len() - width..]).1 == width
            }
        })
        .unwrap_or(1)
}
