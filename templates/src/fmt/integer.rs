//! Integers: bases, signs, padding, characters.

use crate::quote;
use crate::unicode;
use crate::value::Value;

use super::Printer;

impl Printer<'_> {
    /// `negative` is nothing for unsigned integers.
    pub(super) fn integer(
        &mut self,
        magnitude: u64,
        negative: Option<bool>,
        verb: char,
        value: &Value,
    ) {
        let code = match negative {
            Some(true) => magnitude.wrapping_neg(),
            _ => magnitude,
        };
        match verb {
            'v' if self.flags.sharp_v && negative.is_none() => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(magnitude, negative, 'x');
                self.flags.sharp = sharp;
            }
            'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.digits(magnitude, negative, verb),
            'c' => {
                let c = character(code);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' => {
                let c = character(code);
                let plus = self.flags.plus;
                let quoted = quote::quoted_with(c.encode_utf8(&mut [0; 4]).as_bytes(), '\'', plus);
                self.pad(quoted.as_bytes());
            }
            'U' => self.code_point(code),
            _ => self.bad_verb(value, verb),
        }
    }

    fn code_point(&mut self, code: u64) {
        let precision = self.flags.precision.unwrap_or(4).max(4);
        let mut text = format!("U+{code:0precision$X}");
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(c) = c.filter(|&c| self.flags.sharp && unicode::is_print(c)) {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_with_spaces(text.as_bytes());
    }

    pub(super) fn digits(&mut self, magnitude: u64, negative: Option<bool>, verb: char) {
        let flags = self.flags;
        let is_negative = negative == Some(true);
        let is_signed = is_negative || flags.plus || flags.space;
        let precision = match (flags.precision, flags.width) {
            (Some(0), width) if magnitude == 0 => {
                let zero = std::mem::take(&mut self.flags.zero);
                self.padding(width.unwrap_or(0));
                self.flags.zero = zero;
                return;
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => {
                width.saturating_sub(usize::from(is_signed))
            }
            (None, _) => 0,
        };
        let (base, prefix) = match verb {
            'b' => (2, "0b"),
            'o' | 'O' => (8, "0"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        let mut space = [0; 64];
        let digits = in_base(magnitude, base, verb == 'X', &mut space);
        let sign = match (is_negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (.., true) => " ",
            _ => "",
        };
        let zeros = precision.saturating_sub(digits.len());
        let octal = if verb == 'O' { "0o" } else { "" };
        let is_octal = matches!(verb, 'o' | 'O');
        let shows_prefix = flags.sharp && !(is_octal && (zeros > 0 || digits[0] == b'0'));
        let prefix = if shows_prefix { prefix } else { "" };

        let length = sign.len() + octal.len() + prefix.len() + zeros + digits.len();
        let missing = flags.width.unwrap_or(0).saturating_sub(length);
        let spaces = std::iter::repeat_n(b' ', missing);
        if !flags.minus {
            self.out.extend(spaces.clone());
        }
        self.raw(sign);
        self.raw(octal);
        self.raw(prefix);
        self.out.extend(std::iter::repeat_n(b'0', zeros));
        self.out.extend_from_slice(digits);
        if flags.minus {
            self.out.extend(spaces);
        }
    }
}

/// The digits of a number, at the end of `space`.
fn in_base(mut number: u64, base: u64, is_upper: bool, space: &mut [u8; 64]) -> &[u8] {
    let letters = if is_upper { b'A' } else { b'a' };
    let mut start = space.len();
    loop {
        let digit = (number % base) as u8;
        start -= 1;
        space[start] = if digit < 10 {
            b'0' + digit
        } else {
            letters + digit - 10
        };
        number /= base;
        if number == 0 {
            return &space[start..];
        }
    }
}

fn character(code: u64) -> char {
    u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}
