//! Texts: case, trimming, quoting, encoding, hashing.

use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine;
use planescape_vault::Text;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::bytes;
use crate::fmt;
use crate::functions::case;
use crate::functions::text::{
    STANDARD, changed, decoded, hex, pieces, replace_all, split, trim_all, trim_prefix, trim_space,
    trim_suffix,
};
use crate::quote;
use crate::unicode;
use crate::value::{Place, Type, Value};

use super::{Context, Function, ONE, Outcome, TWO, done, int, lists, shown, text};

pub(super) const FUNCTIONS: &[Function] =
    &[
        Function::new("sprig_trim", ONE, trim_space),
        Function::new("sprig_trimAll", TWO, trim_all).weighing(16),
        Function::new("sprig_trimall", TWO, trim_all).weighing(16),
        Function::new("sprig_trimPrefix", TWO, trim_prefix),
        Function::new("sprig_trimSuffix", TWO, trim_suffix),
        Function::new("sprig_upper", ONE, |context, args| {
            changed(context, args, case::upper)
        })
        .weighing(8),
        Function::new("sprig_lower", ONE, |context, args| {
            changed(context, args, case::lower)
        })
        .weighing(8),
        Function::new("sprig_title", ONE, |context, args| {
            let mut after_word = false;
            let title = |c| {
                let starts = !after_word;
                after_word = !is_separator(c);
                if starts { unicode::title(c) } else { c }
            };
            changed(context, args, |whole| recased(whole, title))
        })
        .weighing(12),
        Function::new("sprig_untitle", ONE, |context, args| {
            let mut starts = true;
            let untitle = |c| {
                if unicode::is_space(c) {
                    starts = true;
                    c
                } else if std::mem::take(&mut starts) {
                    unicode::lower(c)
                } else {
                    c
                }
            };
            changed(context, args, |whole| recased(whole, untitle))
        })
        .weighing(12),
        Function::new("sprig_swapcase", ONE, |context, args| {
            changed(context, args, swapped)
        })
        .weighing(16),
        Function::new("sprig_nospace", ONE, |_, args| {
            // The original takes every byte for a character of its own, unless there is nothing to do.
            let whole = text(args, 0);
            let chars = || whole.iter().map(|&byte| char::from(byte));
            if !chars().any(unicode::is_space) {
                return done(whole.clone());
            }
            done(
                chars()
                    .filter(|c| !unicode::is_space(*c))
                    .collect::<String>(),
            )
        })
        .weighing(8),
        Function::new("sprig_initials", ONE, |_, args| {
            done(initials(text(args, 0)))
        })
        .weighing(8),
        Function::new("sprig_contains", TWO, |_, args| {
            Ok(Value::Bool(bytes::contains(text(args, 1), text(args, 0))))
        }),
        Function::new("sprig_hasPrefix", TWO, |_, args| {
            Ok(Value::Bool(text(args, 1).starts_with(text(args, 0))))
        }),
        Function::new("sprig_hasSuffix", TWO, |_, args| {
            Ok(Value::Bool(text(args, 1).ends_with(text(args, 0))))
        }),
        Function::new(
            "sprig_replace",
            &[Type::Text, Type::Text, Type::Text],
            |context, args| replace_all(context, text(args, 2), text(args, 0), text(args, 1)),
        ),
        Function::new("sprig_quote", &[], |context, args| {
            joined(context, args, |context, value| {
                let shown = shown(context, value)?;
                // No byte takes more than four in quotes.
                context.meter.makes(shown.len().saturating_mul(4))?;
                Ok(quote::quoted(&shown).into_bytes())
            })
        })
        .weighing(16)
        .writing()
        .rest(Type::Any),
        Function::new("sprig_squote", &[], |context, args| {
            joined(context, args, |context, value| {
                let mut shown = fmt::display(value, context.meter.output_limit())?;
                shown.insert(0, b'\'');
                shown.push(b'\'');
                Ok(shown)
            })
        })
        .writing()
        .rest(Type::Any),
        Function::new("sprig_cat", &[], |context, args| {
            joined(context, args, |context, value| {
                fmt::display(value, context.meter.output_limit())
            })
        })
        .writing()
        .rest(Type::Any),
        Function::new("sprig_join", &[Type::Text, Type::Any], |context, args| {
            done(lists::joined(context, &args[1].value, text(args, 0))?)
        })
        .writing(),
        Function::new("sprig_splitList", TWO, |context, args| {
            split(context, text(args, 1), text(args, 0))
        }),
        Function::new("sprig_split", TWO, |context, args| {
            context
                .meter
                .keep(bytes::count(text(args, 1), text(args, 0)).saturating_mul(NUMBERED))?;
            Ok(numbered(pieces(text(args, 1), text(args, 0))))
        })
        .weighing(64),
        Function::new(
            "sprig_splitn",
            &[Type::Text, Type::Int, Type::Text],
            |context, args| {
                context
                    .meter
                    .keep(bytes::count(text(args, 2), text(args, 0)).saturating_mul(NUMBERED))?;
                Ok(numbered(limited(
                    text(args, 2),
                    text(args, 0),
                    int(args, 1),
                )))
            },
        )
        .weighing(64),
        Function::new("sprig_shuffle", ONE, |context, args| {
            context
                .meter
                .keep(text(args, 0).len().saturating_mul(size_of::<char>()))?;
            let mut chars: Vec<char> = unicode::chars(text(args, 0)).collect();
            for last in (1..chars.len()).rev() {
                let other = next_random(context) % (last as u64 + 1);
                chars.swap(last, other as usize);
            }
            done(chars.into_iter().collect::<String>())
        })
        .weighing(24),
        Function::new("sprig_b64enc", ONE, |_, args| {
            done(STANDARD.encode(text(args, 0)))
        }),
        Function::new("sprig_b64dec", ONE, |_, args| {
            done(decoded(&STANDARD, text(args, 0)).unwrap_or_else(|at| {
                format!("illegal base64 data at input byte {at}").into_bytes()
            }))
        }),
        Function::new("sprig_b32enc", ONE, |context, args| {
            let whole = text(args, 0);
            context.meter.makes(whole.len().div_ceil(5) * 8)?;
            done(base32(whole))
        })
        .weighing(8),
        Function::new("sprig_b32dec", ONE, |_, args| {
            done(unbase32(text(args, 0)).unwrap_or_else(|at| {
                format!("illegal base32 data at input byte {at}").into_bytes()
            }))
        })
        .weighing(16),
        Function::new("sprig_sha1sum", ONE, |_, args| {
            done(hex(&Sha1::digest(text(args, 0))))
        })
        .weighing(4)
        .costing(256),
        Function::new("sprig_sha256sum", ONE, |_, args| {
            done(hex(&Sha256::digest(text(args, 0))))
        })
        .weighing(6)
        .costing(256),
        Function::new("sprig_sha512sum", ONE, |_, args| {
            done(hex(&Sha512::digest(text(args, 0))))
        })
        .weighing(4)
        .costing(384),
        Function::new("sprig_adler32sum", ONE, |_, args| {
            done(adler32(text(args, 0)).to_string())
        })
        .weighing(4),
    ];

/// The next number of the pass: splitmix64, from the seed the caller gave.
pub(super) fn next_random(context: &mut Context<'_>) -> u64 {
    context.random = context.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = context.random;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn recased(whole: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len());
    for c in unicode::chars(whole) {
        unicode::push(&mut out, map(c));
    }
    out
}

/// Whether `strings.Title` takes it for the end of a word.
fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !(unicode::is_letter(c) || unicode::is_digit(c)) && unicode::is_space(c)
}

fn swapped(whole: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    recased(whole, |c| {
        let is_letter = unicode::is_letter(c);
        if is_letter && unicode::lower(c) != c {
            after_space = false;
            unicode::lower(c)
        } else if is_letter && unicode::upper(c) != c {
            if std::mem::take(&mut after_space) {
                unicode::title(c)
            } else {
                unicode::upper(c)
            }
        } else {
            after_space = unicode::is_space(c);
            c
        }
    })
}

/// The first byte of every word, each as a character of its own.
fn initials(whole: &[u8]) -> String {
    let mut after_gap = true;
    let mut out = String::new();
    for &byte in whole {
        let c = char::from(byte);
        if unicode::is_space(c) {
            after_gap = true;
        } else if std::mem::take(&mut after_gap) {
            out.push(c);
        }
    }
    out
}

/// The arguments that are not nil, with blanks between them.
fn joined(
    context: &mut Context<'_>,
    args: &[Place],
    show: impl Fn(&mut Context<'_>, &Value) -> Result<Vec<u8>, super::Failure>,
) -> Outcome {
    let mut out = Vec::new();
    for (index, place) in args
        .iter()
        .filter(|place| !place.value.is_nil())
        .enumerate()
    {
        let shown = show(context, &place.value)?;
        if index == 0 {
            context.meter.makes(shown.len())?;
            out = shown;
            continue;
        }
        out.push(b' ');
        context.meter.write(&mut out, &shown)?;
    }
    done(out)
}

/// The memory of one numbered piece: two texts and a place in a map.
const NUMBERED: usize = 200;

fn numbered(pieces: Vec<&[u8]>) -> Value {
    let entries: BTreeMap<Text, Text> = pieces
        .into_iter()
        .enumerate()
        .map(|(index, piece)| (Text::from(format!("_{index}")), Text::from(piece)))
        .collect();
    Value::StringMap(Rc::new(entries))
}

/// `strings.SplitN`.
fn limited<'t>(whole: &'t [u8], separator: &[u8], count: i64) -> Vec<&'t [u8]> {
    let count = match usize::try_from(count) {
        Ok(0) => return Vec::new(),
        Ok(count) => count,
        Err(_) => usize::MAX,
    };
    if !separator.is_empty() {
        return bytes::split(whole, separator, count);
    }
    let mut units: Vec<&[u8]> = unicode::units(whole).collect();
    if units.len() > count {
        let start: usize = units[..count - 1].iter().map(|unit| unit.len()).sum();
        units.truncate(count - 1);
        units.push(&whole[start..]);
    }
    units
}

fn adler32(whole: &[u8]) -> u32 {
    /// So many bytes cannot overflow the sums, as RFC 1950 works out.
    const BLOCK: usize = 5_552;
    let (mut a, mut b) = (1u32, 0u32);
    for block in whole.chunks(BLOCK) {
        for &byte in block {
            a += u32::from(byte);
            b += a;
        }
        (a, b) = (a % 65_521, b % 65_521);
    }
    b << 16 | a
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(whole: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len().div_ceil(5) * 8);
    for chunk in whole.chunks(5) {
        let mut block = [0; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for digit in 0..8 {
            out.push(if digit < digits {
                BASE32[(bits >> (35 - 5 * digit) & 31) as usize]
            } else {
                b'='
            });
        }
    }
    out
}

/// Decodes, or says at which byte Go gives up.
fn unbase32(encoded: &[u8]) -> Result<Vec<u8>, usize> {
    let kept: Vec<u8> = encoded
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut out = Vec::new();
    for (block, chunk) in kept.chunks(8).enumerate() {
        let start = block * 8;
        let is_last = start + 8 >= kept.len();
        let (mut bits, mut digits) = (0u64, 0);
        for (index, byte) in chunk.iter().enumerate() {
            if *byte == b'=' && index >= 2 && is_last {
                padding32(chunk, index).map_err(|at| start + at)?;
                break;
            }
            let value = BASE32.iter().position(|digit| digit == byte);
            bits = bits << 5 | value.ok_or(start + index)? as u64;
            digits += 1;
        }
        if digits == chunk.len() && digits < 8 {
            return Err(start);
        }
        let bits = bits << (5 * (8 - digits));
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + digits * 5 / 8]);
    }
    Ok(out)
}

/// Checks what follows the first `=`, which stands at `index`.
fn padding32(chunk: &[u8], index: usize) -> Result<(), usize> {
    if chunk.len() < 8 {
        return Err(chunk.len());
    }
    if let Some(bad) = chunk[index..].iter().position(|&byte| byte != b'=') {
        return Err(index + bad - 1);
    }
    match index {
        3 | 6 => Err(index),
        _ => Ok(()),
    }
}
