//! Upper, lower and title case of whole texts.

use std::sync::LazyLock;

use crate::unicode;

/// Upper case; invalid bytes become U+FFFD.
pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    mapped(text, <[u8]>::make_ascii_uppercase, unicode::upper, &UPPER)
}

/// Lower case; invalid bytes become U+FFFD.
pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    mapped(text, <[u8]>::make_ascii_lowercase, unicode::lower, &LOWER)
}

/// The upper or lower case of characters of two bytes, by their code. Letters of most alphabets are among them, and
/// Unicode's own tables have to be searched.
type Pairs = [u16; 0x800];

static UPPER: LazyLock<Pairs> = LazyLock::new(|| pairs(unicode::upper));
static LOWER: LazyLock<Pairs> = LazyLock::new(|| pairs(unicode::lower));

fn pairs(map: fn(char) -> char) -> Pairs {
    // None of them is mapped to a character beyond the first 65,536.
    std::array::from_fn(|code| {
        let c = char::from_u32(code as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        u32::from(map(c)) as u16
    })
}

/// Runs of ASCII are mapped whole.
fn mapped(text: &[u8], map_ascii: fn(&mut [u8]), map: fn(char) -> char, pairs: &Pairs) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (ascii, foreign) = rest.split_at(ascii_length(rest));
        out.extend_from_slice(ascii);
        rest = match *foreign {
            [] => break,
            [a @ 0xc2..0xe0, b @ 0x80..0xc0, ..] => {
                push_pair(
                    &mut out,
                    pairs[usize::from(a & 0x1f) << 6 | usize::from(b & 0x3f)],
                );
                &foreign[2..]
            }
            _ => {
                let (c, width) = unicode::decode(foreign);
                unicode::push(&mut out, map(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
                &foreign[width..]
            }
        };
    }
    // Beyond ASCII everything is mapped already.
    map_ascii(&mut out);
    out
}

/// How many bytes come before the first one that is not ASCII; eight are looked at together.
fn ascii_length(text: &[u8]) -> usize {
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let high = u64::from_le_bytes(*word) & HIGH;
        if high != 0 {
            return index * 8 + high.trailing_zeros() as usize / 8;
        }
    }
    let foreign = rest.iter().position(|byte| !byte.is_ascii());
    words.len() * 8 + foreign.unwrap_or(rest.len())
}

fn push_pair(out: &mut Vec<u8>, code: u16) {
    match code {
        0x80..0x800 => {
            out.extend_from_slice(&[0xc0 | (code >> 6) as u8, 0x80 | (code & 0x3f) as u8])
        }
        _ => {
            let c = char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER);
            unicode::push(out, c);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_is_what_unicode_says() {
        type Mapping = (fn(&[u8]) -> Vec<u8>, fn(char) -> char);
        let mappings: [Mapping; 2] = [(upper, unicode::upper), (lower, unicode::lower)];
        for (text, character) in mappings {
            for c in (0..0x3000).filter_map(char::from_u32) {
                // Behind a run that ends within a block of eight, and before one that fills it.
                let whole = format!("aB{c}{c}cDefGhIjK");
                let expected: String = whole.chars().map(character).collect();
                assert_eq!(text(whole.as_bytes()), expected.as_bytes(), "{c:?}");
            }
        }
        assert_eq!(lower(b"A\xc3(B\xe9"), "a\u{fffd}(b\u{fffd}".as_bytes());
    }
}
