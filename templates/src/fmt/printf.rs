//! `fmt.Sprintf`: mistakes become part of the text, never an error.

use crate::error::Failure;
use crate::meter::check_length;
use crate::unicode;
use crate::value::{Place, Value};

use super::{Flags, Printer};

/// Widths and precisions beyond this are refused.
const MAX_NUMBER: usize = 1_000_000;

pub(crate) fn printf(format: &[u8], places: &[Place], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(super::USUAL.max(format.len()));
    let mut walk = Walk {
        format,
        at: 0,
        places,
        next: 0,
        reordered: false,
        index_is_good: true,
        after_index: false,
        has_no_close: false,
    };
    let mut printer = Printer::new(&mut out, limit);
    while walk.step(&mut printer) {
        check_length(printer.out.len(), limit)?;
    }
    walk.extra(&mut printer);
    check_length(out.len(), limit)?;
    Ok(out)
}

struct Walk<'p> {
    format: &'p [u8],
    at: usize,
    places: &'p [Place],
    next: usize,
    reordered: bool,
    index_is_good: bool,
    after_index: bool,
    /// Whether no `]` comes any more, so that it is looked for once and not for each `[`.
    has_no_close: bool,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn next_value(&self) -> Option<&Value> {
        self.places.get(self.next).map(|place| &place.value)
    }

    /// Text up to a verb, and the verb; false at the end.
    fn step(&mut self, printer: &mut Printer<'_>) -> bool {
        self.index_is_good = true;
        let rest = &self.format[self.at..];
        let text = rest
            .iter()
            .position(|&byte| byte == b'%')
            .unwrap_or(rest.len());
        printer.out.extend_from_slice(&rest[..text]);
        self.at += text;
        if self.at >= self.format.len() {
            return false;
        }
        self.at += 1;
        self.after_index = false;
        printer.flags = Flags::default();
        if self.simple(printer) {
            return true;
        }
        self.index();
        self.width(printer);
        self.precision(printer);
        if !self.after_index {
            self.index();
        }
        self.verb(printer)
    }

    /// Flags, then perhaps a plain verb at once.
    fn simple(&mut self, printer: &mut Printer<'_>) -> bool {
        loop {
            match self.peek() {
                Some(b'#') => printer.flags.sharp = true,
                Some(b'0') => printer.flags.zero = true,
                Some(b'+') => printer.flags.plus = true,
                Some(b'-') => printer.flags.minus = true,
                Some(b' ') => printer.flags.space = true,
                Some(verb @ b'a'..=b'z') if self.next < self.places.len() => {
                    self.at += 1;
                    self.print(printer, char::from(verb));
                    return true;
                }
                _ => return false,
            }
            self.at += 1;
        }
    }

    fn print(&mut self, printer: &mut Printer<'_>, verb: char) {
        if matches!(verb, 'v' | 'w') {
            let flags = &mut printer.flags;
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        let value = &self.places[self.next].value;
        self.next += 1;
        printer.arg(value, verb);
    }

    fn verb(&mut self, printer: &mut Printer<'_>) -> bool {
        let (verb, width) = unicode::decode(&self.format[self.at..]);
        if width == 0 {
            printer.raw("%!(NOVERB)");
            return false;
        }
        self.at += width;
        let verb = verb.unwrap_or(char::REPLACEMENT_CHARACTER);
        let mistake = match verb {
            '%' => {
                printer.raw("%");
                return true;
            }
            _ if !self.index_is_good => "(BADINDEX)",
            _ if self.next >= self.places.len() => "(MISSING)",
            _ => {
                self.print(printer, verb);
                return true;
            }
        };
        printer.raw("%!");
        unicode::push(printer.out, verb);
        printer.raw(mistake);
        true
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if number > MAX_NUMBER {
                self.at = self.format.len();
                return None;
            }
            number = number * 10 + usize::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    /// `[3]`: which operand comes next.
    fn index(&mut self) {
        if self.peek() != Some(b'[') {
            self.after_index = false;
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = match self.has_no_close {
            true => None,
            false => rest.iter().position(|&byte| byte == b']'),
        };
        self.has_no_close = close.is_none();
        let Some(close) = close.filter(|_| rest.len() >= 3) else {
            self.at += 1;
            self.after_index = false;
            self.index_is_good = false;
            return;
        };
        let digits = std::str::from_utf8(&rest[1..close]).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let index = digits.parse::<usize>().ok().filter(|_| is_number);
        self.at += close + 1;
        self.after_index = index.is_some();
        match index {
            Some(index @ 1..) if index <= self.places.len() => self.next = index - 1,
            _ => self.index_is_good = false,
        }
    }

    /// An operand used as a number.
    fn operand_number(&mut self) -> Option<i64> {
        let value = self.next_value()?;
        let number = value
            .as_int()
            .or_else(|| value.as_uint().and_then(|n| i64::try_from(n).ok()));
        self.next += 1;
        let number = number?;
        (number.unsigned_abs() <= MAX_NUMBER as u64).then_some(number)
    }

    fn width(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'*') {
            let width = self.number();
            if self.after_index && width.is_some() {
                self.index_is_good = false;
            }
            printer.flags.width = width;
            return;
        }
        self.at += 1;
        match self.operand_number() {
            None => printer.raw("%!(BADWIDTH)"),
            Some(width) => {
                if width < 0 {
                    printer.flags.minus = true;
                    printer.flags.zero = false;
                }
                printer.flags.width = Some(width.unsigned_abs() as usize);
            }
        }
        self.after_index = false;
    }

    fn precision(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.index_is_good = false;
        }
        self.index();
        if self.peek() != Some(b'*') {
            printer.flags.precision = Some(self.number().unwrap_or(0));
            return;
        }
        self.at += 1;
        match self.operand_number() {
            Some(precision @ 0..) => printer.flags.precision = Some(precision as usize),
            _ => printer.raw("%!(BADPREC)"),
        }
        self.after_index = false;
    }

    /// Operands that no verb used.
    fn extra(&mut self, printer: &mut Printer<'_>) {
        if self.reordered || self.next >= self.places.len() {
            return;
        }
        printer.flags = Flags::default();
        printer.raw("%!(EXTRA ");
        for (index, Place { value, .. }) in self.places[self.next..].iter().enumerate() {
            if index > 0 {
                printer.raw(", ");
            }
            if !value.is_nil() {
                printer.raw(value.type_name());
                printer.raw("=");
            }
            printer.arg(value, 'v');
        }
        printer.raw(")");
    }
}
