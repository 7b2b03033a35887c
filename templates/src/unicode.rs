//! Go's `unicode` and `utf8` packages, byte for byte. Rust's `char` does not always say the same:
//! Go maps case one code point to one, and knows Unicode 15.

pub(crate) mod classes;
mod tables;

use std::sync::LazyLock;

/// First character of `bytes` and how many bytes it takes; an invalid sequence takes one byte and gives `None`.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> (Option<char>, usize) {
    match bytes {
        [] => (None, 0),
        [one @ 0..0x80, ..] => (Some(char::from(*one)), 1),
        _ => decode_long(bytes),
    }
}

/// A character beyond ASCII.
fn decode_long(bytes: &[u8]) -> (Option<char>, usize) {
    let low = |byte: u8| u32::from(byte & 0x3f);
    let (code, width) = match *bytes {
        [a @ 0xc2..0xe0, b @ 0x80..0xc0, ..] => (u32::from(a & 0x1f) << 6 | low(b), 2),
        [a @ 0xe0..0xf0, b @ 0x80..0xc0, c @ 0x80..0xc0, ..] => {
            (u32::from(a & 0xf) << 12 | low(b) << 6 | low(c), 3)
        }
        [
            a @ 0xf0..0xf5,
            b @ 0x80..0xc0,
            c @ 0x80..0xc0,
            d @ 0x80..0xc0,
            ..,
        ] => {
            let high = u32::from(a & 7) << 18 | low(b) << 12;
            (high | low(c) << 6 | low(d), 4)
        }
        _ => return (None, 1),
    };
    let shortest = [0, 0, 0x80, 0x800, 0x1_0000][width];
    match char::from_u32(code).filter(|_| code >= shortest) {
        Some(c) => (Some(c), width),
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

/// Whether it has case, also if there is only one of it.
pub(crate) fn is_cased(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphabetic(),
        false => {
            is_print(c) && (c.is_lowercase() || c.is_uppercase() || title(c) != c || lower(c) != c)
        }
    }
}

/// Whether one of it may stand between two letters of a word.
pub(crate) fn is_middle(c: char) -> bool {
    matches!(
        c,
        '\'' | '.'
            | ':'
            | '\u{b7}'
            | '\u{387}'
            | '\u{55f}'
            | '\u{5f4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{fe13}'
            | '\u{fe52}'
            | '\u{fe55}'
            | '\u{ff07}'
            | '\u{ff0e}'
            | '\u{ff1a}'
    )
}

/// Characters of these classes do not end a word, except letters of scripts that write no blanks between words.
fn within_word(c: char) -> bool {
    const SCRIPTS: [&str; 10] = [
        "Han", "Hiragana", "Katakana", "Thai", "Lao", "Myanmar", "Khmer", "Ahom", "Tangut", "Nushu",
    ];
    static INSIDE: LazyLock<Vec<(u32, u32)>> =
        LazyLock::new(|| classes::union(&["L", "Nd", "Nl", "M", "Cf", "Pc"]));
    static LETTERS: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| classes::union(&["Lo", "Lm"]));
    static OUTSIDE: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| classes::union(&SCRIPTS));
    match c {
        '\u{200b}'
        | '\u{1950}'..='\u{19c9}'
        | '\u{1a20}'..='\u{1a54}'
        | '\u{1aa7}'
        | '\u{3006}'
        | '\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3031}'..='\u{3035}'
        | '\u{3038}'..='\u{303a}'
        | '\u{30fc}'
        | '\u{aa80}'..='\u{aaaf}'
        | '\u{aab1}'
        | '\u{aab5}'
        | '\u{aab6}'
        | '\u{aab9}'..='\u{aabd}'
        | '\u{aac0}'
        | '\u{aac2}'
        | '\u{aadb}'..='\u{aadd}'
        | '\u{ff70}' => false,
        '\u{2c2}'..='\u{2d7}'
        | '\u{2de}'..='\u{2ff}'
        | '\u{55a}'..='\u{55c}'
        | '\u{55e}'
        | '\u{58a}'
        | '\u{5f3}'
        | '\u{66b}'
        | '\u{ece}'
        | '\u{202f}'
        | '\u{3005}'
        | '\u{303b}'
        | '\u{a708}'..='\u{a716}'
        | '\u{a720}'
        | '\u{a721}'
        | '\u{a789}'
        | '\u{a78a}'
        | '\u{ab5b}'
        | '\u{16fe3}'
        | '\u{1f3fb}'..='\u{1f3ff}' => true,
        c => {
            let has = |runs| classes::has(runs, c);
            has(&INSIDE) && !(has(&LETTERS) && has(&OUTSIDE))
        }
    }
}

/// Whether no word goes on behind it.
pub(crate) fn is_break(c: char) -> bool {
    match c.is_ascii() {
        true => !(c.is_ascii_alphanumeric() || c == '_' || is_middle(c)),
        false => !(is_cased(c) || is_middle(c) || within_word(c)),
    }
}

fn shift(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

/// The mapping, if it is one character and both are known to Unicode 15.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    /// All mappings below are older than Unicode 15.
    const SETTLED: char = '\u{250}';
    let is_known = |c: char| c < SETTLED || is_print(c);
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if one == c || is_known(one) && is_known(c) => one,
        _ => c,
    }
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
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    let is_first = |byte: &u8| !(0x80..0xc0).contains(byte);
    match tail.iter().rposition(is_first) {
        Some(at) if decode(&tail[at..]).1 == tail.len() - at => tail.len() - at,
        Some(_) | None => 1,
    }
}
