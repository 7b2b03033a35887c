//! Strings: cutting, joining, encoding, hashing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use memchr::memmem;
use planescape_vault::Text;
use sha2::{Digest, Sha256};

use crate::bytes;
use crate::error::Failure;
use crate::strings::Piece;
use crate::unicode;
use crate::value::{Place, Type, Value};

use super::{Context, Function, Outcome, case, done, int, text};

const ONE: &[Type] = &[Type::Text];
const TWO: &[Type] = &[Type::Text, Type::Text];
const THREE: &[Type] = &[Type::Text, Type::Text, Type::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64Decode", ONE, |_, args| {
        decode("base64Decode", &STANDARD, text(args, 0))
    })
    .costing(128),
    Function::new("base64Encode", ONE, |_, args| {
        done(STANDARD.encode(text(args, 0)))
    }),
    Function::new("base64URLDecode", ONE, |_, args| {
        decode("base64URLDecode", &URL_SAFE, text(args, 0))
    })
    .costing(128),
    Function::new("base64URLEncode", ONE, |_, args| {
        done(URL_SAFE.encode(text(args, 0)))
    }),
    Function::new("toLower", ONE, |context, args| {
        changed(context, args, case::lower)
    })
    .weighing(8),
    Function::new("toUpper", ONE, |context, args| {
        changed(context, args, case::upper)
    })
    .weighing(8),
    Function::new("toTitle", ONE, |context, args| {
        changed(context, args, case::titled)
    })
    .weighing(24),
    Function::new("trim", TWO, trim_all).weighing(16),
    Function::new("trimPrefix", TWO, trim_prefix),
    Function::new("trimSuffix", TWO, trim_suffix),
    Function::new("trimSpace", ONE, trim_space),
    Function::new("replaceAll", THREE, |context, args| {
        replace_all(context, text(args, 2), text(args, 0), text(args, 1))
    }),
    Function::new("regexMatch", TWO, |context, args| {
        let regex = context.patterns.regex(&mut context.meter, text(args, 0))?;
        Ok(Value::Bool(
            regex.is_match(&mut context.meter, text(args, 1))?,
        ))
    }),
    Function::new("regexReplaceAll", THREE, |context, args| {
        let regex = context.patterns.regex(&mut context.meter, text(args, 0))?;
        done(regex.replace_all(&mut context.meter, text(args, 2), text(args, 1))?)
    }),
    Function::new("indent", &[Type::Int, Type::Text], indent),
    Function::new("split", TWO, |context, args| {
        let whole = text(args, 1);
        let trimmed = unicode::trim_space(whole);
        if trimmed.is_empty() {
            return Ok(Value::strings(Vec::new()));
        }
        split(context, &whole.part(trimmed), text(args, 0))
    }),
    Function::new("join", &[Type::Text, Type::Strings], join),
    Function::new("splitToMap", THREE, |context, args| {
        /// The memory of one pair besides its place in the map: two texts, and a place in a list.
        const PAIR: usize = 96;
        let count = bytes::count(text(args, 2), text(args, 0));
        context.meter.keep(count.saturating_mul(PAIR))?;
        Ok(split_to_map(args))
    })
    .weighing(64),
    Function::new("sha256Hex", ONE, |_, args| {
        done(hex(&Sha256::digest(text(args, 0))))
    })
    .weighing(6)
    .costing(256),
    Function::new("md5sum", ONE, |_, args| {
        done(hex(&Md5::digest(text(args, 0))))
    })
    .weighing(4)
    .costing(256),
    Function::new("hmacSHA256Hex", TWO, |_, args| {
        let mut mac = Hmac::<Sha256>::new_from_slice(text(args, 1))
            .map_err(|_| Failure::new("invalid key"))?;
        mac.update(text(args, 0));
        done(hex(&mac.finalize().into_bytes()))
    })
    .weighing(8)
    .costing(640),
];

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
pub(super) const STANDARD: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
pub(super) const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);

pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .collect()
}

fn decode(name: &str, engine: &GeneralPurpose, encoded: &[u8]) -> Outcome {
    done(
        decoded(engine, encoded).map_err(|at| {
            Failure::new(format!("{name}: illegal base64 data at input byte {at}"))
        })?,
    )
}

/// Decodes, or says at which byte Go gives up.
pub(super) fn decoded(engine: &GeneralPurpose, encoded: &[u8]) -> Result<Vec<u8>, usize> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let outcome = if encoded.iter().any(is_break) {
        let compact: Vec<u8> = encoded.iter().copied().filter(|b| !is_break(b)).collect();
        engine.decode(&compact)
    } else {
        engine.decode(encoded)
    };
    outcome.map_err(|_| first_bad(engine, encoded))
}

/// Go counts line breaks, and blames the end of the input for a missing character.
fn first_bad(engine: &GeneralPurpose, encoded: &[u8]) -> usize {
    let is_url = engine.encode([0xff, 0xff, 0xff]).starts_with('_');
    let extra: &[u8] = if is_url { b"-_" } else { b"+/" };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    let mut filled = 0;
    let mut at = 0;
    while at < encoded.len() {
        let byte = encoded[at];
        at += 1;
        match byte {
            b'\r' | b'\n' => {}
            byte if is_digit(byte) => filled = (filled + 1) % 4,
            b'=' if filled >= 2 => return padding(encoded, at, filled),
            _ => return at - 1,
        }
    }
    encoded.len() - filled
}

/// The first bad byte from the first `=` on, which stands before `at`.
fn padding(encoded: &[u8], at: usize, filled: usize) -> usize {
    let rest =
        |from: usize| (from..encoded.len()).find(|&index| !matches!(encoded[index], b'\r' | b'\n'));
    if filled == 3 {
        return rest(at).unwrap_or(encoded.len());
    }
    match rest(at) {
        None => encoded.len(),
        Some(second) if encoded[second] != b'=' => second - 1,
        Some(second) => rest(second + 1).unwrap_or(encoded.len()),
    }
}

/// A text in which each character may become another one.
pub(super) fn changed(
    context: &mut Context<'_>,
    args: &[Place],
    change: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Outcome {
    let whole = text(args, 0);
    // What is no character takes three bytes then, and some letters among those that begin so take one more.
    let grows = |byte: &u8| matches!(byte, 0xc6..=0xca);
    let growth = whole.utf8_chunks().map(|chunk| {
        let letters = chunk.valid().as_bytes().iter().filter(|&byte| grows(byte));
        letters.count() + 2 * chunk.invalid().len()
    });
    let length = growth.fold(whole.len(), usize::saturating_add);
    context.meter.makes(length)?;
    done(change(whole))
}

pub(super) fn trim_all(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let mut cutset = BTreeSet::new();
    // One after another: a set that is collected holds each character again first.
    for c in unicode::chars(text(args, 0)) {
        cutset.insert(c);
    }
    let whole = text(args, 1);
    done(whole.part(unicode::trim(whole, |c| cutset.contains(&c))))
}

pub(super) fn trim_prefix(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let whole = text(args, 1);
    done(whole.part(whole.strip_prefix(&**text(args, 0)).unwrap_or(whole)))
}

pub(super) fn trim_suffix(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let whole = text(args, 1);
    done(whole.part(whole.strip_suffix(&**text(args, 0)).unwrap_or(whole)))
}

pub(super) fn trim_space(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let whole = text(args, 0);
    done(whole.part(unicode::trim_space(whole)))
}

pub(super) fn replace_all(
    context: &mut Context<'_>,
    whole: &[u8],
    from: &[u8],
    to: &[u8],
) -> Outcome {
    // How long the result may get is known before any memory is taken.
    let places = match from.is_empty() {
        true => whole.len() + 1,
        false if to.len() <= from.len() => 0,
        false => memmem::find_iter(whole, from).count(),
    };
    context
        .meter
        .makes(whole.len().saturating_add(places.saturating_mul(to.len())))?;
    done(bytes::replace(whole, from, to))
}

fn indent(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let spaces = usize::try_from(int(args, 0))
        .map_err(|_| Failure::new("indent value must be a positive integer"))?;
    let whole = text(args, 1);
    let lines = whole.iter().filter(|&&byte| byte == b'\n').count() + 1;
    context
        .meter
        .makes(spaces.saturating_mul(lines).saturating_add(whole.len()))?;
    let mut out = Vec::with_capacity(whole.len() + spaces * lines);
    for line in whole.split_inclusive(|&byte| byte == b'\n') {
        if line != b"\n" {
            out.extend(std::iter::repeat_n(b' ', spaces));
        }
        out.extend_from_slice(line);
    }
    done(out)
}

/// `strings.Split`.
pub(super) fn pieces<'t>(whole: &'t [u8], separator: &[u8]) -> Vec<&'t [u8]> {
    if separator.is_empty() {
        return unicode::units(whole).collect();
    }
    bytes::split(whole, separator, usize::MAX)
}

/// The pieces of a text, which share its bytes.
pub(super) fn split(context: &mut Context<'_>, whole: &Text, separator: &Text) -> Outcome {
    // Whoever looks for a separator reads it first: once to count, once to cut.
    context.meter.charge(separator.len().saturating_mul(8))?;
    let count = bytes::count(whole, separator);
    context.meter.charge(count.saturating_mul(PIECE))?;
    context
        .meter
        .keep(count.saturating_mul(size_of::<Piece>()))?;
    let mut places = Vec::with_capacity(count);
    let mut start = 0;
    if separator.is_empty() {
        for unit in unicode::units(whole) {
            places.push(Piece::new(start, start + unit.len()));
            start += unit.len();
        }
    } else {
        bytes::each_place(whole, separator, |at| {
            places.push(Piece::new(start, at));
            start = at + separator.len();
        });
        places.push(Piece::new(start, whole.len()));
    }
    Ok(Value::pieces(whole, places))
}

/// The cost of finding one piece of a text.
const PIECE: usize = 32;

fn join(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let separator = text(args, 0);
    let Value::Strings(items) = &args[1].value else {
        return done("");
    };
    context.meter.makes(items.joined_length(separator))?;
    done(items.join(separator))
}

fn split_to_map(args: &[Place]) -> Value {
    let whole = unicode::trim_space(text(args, 2));
    let mut map = BTreeMap::new();
    if !whole.is_empty() {
        let middle = text(args, 1);
        for piece in pieces(whole, text(args, 0)) {
            if let Some(at) = bytes::find(piece, middle) {
                let (key, value) = (&piece[..at], &piece[at + middle.len()..]);
                map.insert(Text::from(key), Text::from(value));
            }
        }
    }
    Value::StringMap(Rc::new(map))
}
