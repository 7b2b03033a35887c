//! Go's `fmt`: how values become text, verb by verb.

mod float;
mod integer;
mod printf;

use planescape_vault::Text;

use crate::error::Failure;
use crate::meter::check_length;
use crate::object::Object;
use crate::quote;
use crate::unicode;
use crate::value::{Kind, Place, Type, Value};

pub(crate) use float::shortest;
pub(crate) use printf::printf;

/// The address that every pointer prints as; the real one would change with every pass.
const ADDRESS: u64 = 0xc00_0000_0000;

/// Room for most of what is printed, so that it grows seldom.
pub(crate) const USUAL: usize = 32;

/// How deep printed values may nest.
const MAX_DEPTH: usize = 1_000;

/// The flags of one verb.
#[derive(Clone, Copy, Default)]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`.
    plus_v: bool,
    /// `%#v`.
    sharp_v: bool,
}

struct Printer<'o> {
    out: &'o mut Vec<u8>,
    /// Nothing is written past this length.
    limit: usize,
    flags: Flags,
}

/// Writes a value as an action does: `%v`, except that a pointer's target is shown and nil has a word of its own.
pub(crate) fn print(out: &mut Vec<u8>, value: &Value, limit: usize) -> Result<(), Failure> {
    match value {
        Value::Nil => out.extend_from_slice(b"<no value>"),
        Value::Text(text) | Value::Number(text) => out.extend_from_slice(text),
        Value::Object(object) => {
            let mut printer = Printer::new(out, limit);
            match &**object {
                Object::Struct { of, .. } if of.kind() == Kind::Pointer && *of != Type::Version => {
                    printer.structure(object, 'v', 0);
                }
                _ => printer.value(value, 'v', 0),
            }
        }
        _ => Printer::new(out, limit).arg(value, 'v'),
    }
    check_length(out.len(), limit)
}

/// `fmt.Sprint`.
pub(crate) fn sprint(places: &[Place], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(USUAL);
    let mut after_text = true;
    for (index, place) in places.iter().enumerate() {
        let is_text = place.value.kind() == Kind::Text;
        if index > 0 && !is_text && !after_text {
            out.push(b' ');
        }
        Printer::new(&mut out, limit).arg(&place.value, 'v');
        after_text = is_text;
    }
    check_length(out.len(), limit)?;
    Ok(out)
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(places: &[Place], limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(USUAL);
    for (index, place) in places.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        Printer::new(&mut out, limit).arg(&place.value, 'v');
    }
    out.push(b'\n');
    check_length(out.len(), limit)?;
    Ok(out)
}

/// `%v` of one value.
pub(crate) fn display(value: &Value, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(USUAL);
    Printer::new(&mut out, limit).arg(value, 'v');
    check_length(out.len(), limit)?;
    Ok(out)
}

/// The order in which `range` and printing visit a map with keys of any type: first by type, in the order of
/// the addresses that Go's types have in the original program, then by value.
pub(crate) fn compare_keys(a: &Value, b: &Value) -> std::cmp::Ordering {
    let rank = |value: &Value| match value {
        Value::Nil => 0,
        Value::Text(_) => 1,
        Value::Uint64(_) => 2,
        Value::Int(_) => 3,
        Value::Float(_) => 4,
        Value::Bool(_) => 5,
        _ => 6,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint64(a), Value::Uint64(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a
            .partial_cmp(b)
            .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
        _ => rank(a).cmp(&rank(b)),
    }
}

impl<'o> Printer<'o> {
    fn new(out: &'o mut Vec<u8>, limit: usize) -> Self {
        Self {
            out,
            limit,
            flags: Flags::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() > self.limit
    }

    /// How much may still be written and be refused for its length: more need not be made.
    fn room(&self) -> usize {
        self.limit.saturating_add(1).saturating_sub(self.out.len())
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn padding(&mut self, count: usize) {
        let byte = if self.flags.zero && !self.flags.minus {
            b'0'
        } else {
            b' '
        };
        self.out.extend(std::iter::repeat_n(byte, count));
    }

    fn pad(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(self.room())];
        let width = self.flags.width.unwrap_or(0);
        let missing = if width == 0 {
            0
        } else {
            width.saturating_sub(unicode::units(text).count())
        };
        if !self.flags.minus {
            self.padding(missing);
        }
        self.out.extend_from_slice(text);
        if self.flags.minus {
            self.padding(missing);
        }
    }

    fn pad_with_spaces(&mut self, text: &[u8]) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text);
        self.flags.zero = zero;
    }

    /// One operand.
    fn arg(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil, _) => self.bad_verb(value, verb),
            // An error would be wrapped, and nothing here is one.
            (_, 'w') => self.bad_verb(value, verb),
            (_, 'T') => self.text(value.type_name().as_bytes(), 's', value),
            (_, 'p') => self.pointer(value, 'p'),
            _ => self.value(value, verb, 0),
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.raw("%!");
        unicode::push(self.out, verb);
        self.raw("(");
        if value.is_nil() {
            self.raw("<nil>");
        } else {
            self.raw(value.type_name());
            self.raw("=");
            self.arg(value, 'v');
        }
        self.raw(")");
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.is_full() || depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Nil => match (verb, self.flags.sharp_v) {
                (_, true) => self.raw("interface {}(nil)"),
                (_, false) => self.raw("<nil>"),
            },
            Value::TypedNil(of) => self.typed_nil(*of, value, verb),
            Value::Bool(truth) => match verb {
                't' | 'v' => self.pad(if *truth { b"true" } else { b"false" }),
                _ => self.bad_verb(value, verb),
            },
            Value::Int(n) | Value::Int64(n) => {
                self.integer(n.unsigned_abs(), Some(*n < 0), verb, value);
            }
            Value::Uint64(n) => self.integer(*n, None, verb, value),
            Value::Uint8(n) => self.integer(u64::from(*n), None, verb, value),
            Value::Float(n) => self.float(*n, verb, value),
            Value::Complex(parts) => self.complex(**parts, verb, value),
            Value::Text(text) | Value::Number(text) => self.text(text, verb, value),
            Value::List(items) => self.list(value, items.iter().cloned(), verb, depth),
            Value::Lists(items) => self.list(value, items.iter().cloned(), verb, depth),
            Value::Strings(items) => {
                self.list(value, items.texts().map(Value::Text), verb, depth);
            }
            Value::Ints(items) => {
                self.list(value, items.iter().copied().map(Value::Int), verb, depth);
            }
            Value::Map(map) => {
                let entries = map.borrow();
                let entries = entries
                    .iter()
                    .map(|(key, item)| (Value::Text(key.clone()), item.clone()));
                self.map(value, entries, verb, depth);
            }
            Value::StringMap(map) => {
                let entries = map
                    .iter()
                    .map(|(key, item)| (Value::Text(key.clone()), Value::Text(item.clone())));
                self.map(value, entries, verb, depth);
            }
            Value::AnyMap(entries) => self.map(value, entries.iter().cloned(), verb, depth),
            Value::Object(object) => self.object(value, object, verb, depth),
            Value::Channel(_) => self.pointer(value, verb),
        }
    }

    fn typed_nil(&mut self, of: Type, value: &Value, verb: char) {
        match of.kind() {
            Kind::Pointer if self.flags.sharp_v => {
                self.raw(&format!("({})(nil)", of.name()));
            }
            _ if self.flags.sharp_v => self.raw(&format!("{}(nil)", of.name())),
            Kind::List => self.raw("[]"),
            Kind::Map => self.raw("map[]"),
            _ => self.pointer(value, verb),
        }
    }

    fn object(&mut self, value: &Value, object: &Object, verb: char, depth: usize) {
        if !self.flags.sharp_v
            && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
            && let Some(text) = crate::object::stated(object)
        {
            return self.text(text.as_bytes(), verb, value);
        }
        match object {
            Object::Time(time) if verb == 'v' && self.flags.sharp_v => {
                self.raw(&time.source());
            }
            _ if object.type_of().kind() == Kind::Pointer && depth > 0 => {
                self.pointer(value, verb);
            }
            _ => {
                if object.type_of().kind() == Kind::Pointer {
                    self.raw("&");
                }
                self.structure(object, verb, depth);
            }
        }
    }

    fn structure(&mut self, object: &Object, verb: char, depth: usize) {
        let flags = self.flags;
        if flags.sharp_v {
            self.raw(object.type_of().name().trim_start_matches('*'));
        }
        self.raw("{");
        for (index, (name, field)) in object.fields().iter().enumerate() {
            if index > 0 {
                self.raw(if flags.sharp_v { ", " } else { " " });
            }
            if flags.plus_v || flags.sharp_v {
                self.raw(name);
                self.raw(":");
            }
            self.value(field, verb, depth + 1);
        }
        self.raw("}");
    }

    fn list(&mut self, list: &Value, items: impl Iterator<Item = Value>, verb: char, depth: usize) {
        let (open, separator, close) = if self.flags.sharp_v {
            self.raw(list.type_name());
            ("{", ", ", "}")
        } else {
            ("[", " ", "]")
        };
        self.raw(open);
        for (index, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.raw(separator);
            }
            self.value(&item, verb, depth + 1);
        }
        self.raw(close);
    }

    fn map(
        &mut self,
        map: &Value,
        entries: impl Iterator<Item = (Value, Value)>,
        verb: char,
        depth: usize,
    ) {
        let (separator, close) = if self.flags.sharp_v {
            self.raw(map.type_name());
            self.raw("{");
            (", ", "}")
        } else {
            self.raw("map[");
            (" ", "]")
        };
        for (index, (key, item)) in entries.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.raw(separator);
            }
            self.value(&key, verb, depth + 1);
            self.raw(":");
            self.value(&item, verb, depth + 1);
        }
        self.raw(close);
    }

    fn pointer(&mut self, value: &Value, verb: char) {
        let has_address = matches!(
            value.kind(),
            Kind::Pointer | Kind::List | Kind::Map | Kind::Channel
        );
        if !has_address {
            return self.bad_verb(value, verb);
        }
        let address = match value {
            Value::TypedNil(_) => 0,
            _ => ADDRESS,
        };
        match verb {
            'v' if self.flags.sharp_v => {
                self.raw(&format!("({})({address:#x})", value.type_name()));
            }
            'v' if address == 0 => self.pad(b"<nil>"),
            'v' | 'p' => {
                let sharp = self.flags.sharp;
                self.flags.sharp = !sharp;
                self.digits(address, None, 'x');
                self.flags.sharp = sharp;
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(address, None, verb, value),
            _ => self.bad_verb(value, verb),
        }
    }

    fn text(&mut self, text: &[u8], verb: char, value: &Value) {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => {
                let text = self.truncated(text);
                self.pad(text);
            }
            'q' => self.quoted(text),
            'x' => self.hex(text, false),
            'X' => self.hex(text, true),
            _ => self.bad_verb(value, verb),
        }
    }

    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.flags.precision {
            Some(precision) => {
                let length = unicode::units(text)
                    .take(precision)
                    .map(<[u8]>::len)
                    .sum::<usize>();
                &text[..length]
            }
            None => text,
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        // In quotes it is never shorter.
        let text = &text[..text.len().min(self.room())];
        if self.flags.sharp && can_backquote(text) {
            let raw = [b"`", text, b"`"].concat();
            return self.pad(&raw);
        }
        let quoted = Text::from(quote::quoted_with(text, '"', self.flags.plus));
        self.pad(&quoted);
    }

    fn hex(&mut self, text: &[u8], upper: bool) {
        let length = self.flags.precision.unwrap_or(text.len()).min(text.len());
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut hex = String::new();
        for (index, byte) in text[..length].iter().enumerate() {
            if hex.len() >= self.room() {
                break;
            }
            if self.flags.space && index > 0 {
                hex.push(' ');
            }
            if self.flags.space || index == 0 {
                hex.push_str(prefix);
            }
            let digits = if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            };
            hex.push_str(&digits);
        }
        self.pad(hex.as_bytes());
    }

    fn float(&mut self, n: f64, verb: char, value: &Value) {
        let (shape, precision) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'f' | 'e' | 'E' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(precision);
        self.signed_float(n, shape, precision);
    }

    fn signed_float(&mut self, n: f64, shape: char, precision: Option<usize>) {
        let flags = self.flags;
        let mut text = float::format(n, shape, precision);
        let sign = match text.as_bytes()[0] {
            sign @ (b'-' | b'+') => {
                text.remove(0);
                sign
            }
            _ => b'+',
        };
        let sign = if flags.space && sign == b'+' && !flags.plus {
            b' '
        } else {
            sign
        };
        if !n.is_finite() {
            let is_bare = n.is_nan() && !flags.space && !flags.plus;
            if !is_bare {
                text.insert(0, char::from(sign));
            }
            return self.pad_with_spaces(text.as_bytes());
        }
        if flags.sharp && shape != 'b' {
            text = float::with_point(&text, shape, precision);
        }
        if !flags.plus && sign == b'+' {
            return self.pad(text.as_bytes());
        }
        let width = flags.width.unwrap_or(0);
        if flags.zero && !flags.minus && width > text.len() + 1 {
            self.out.push(sign);
            self.padding(width - text.len() - 1);
            return self.raw(&text);
        }
        text.insert(0, char::from(sign));
        self.pad(text.as_bytes());
    }

    fn complex(&mut self, (real, imaginary): (f64, f64), verb: char, value: &Value) {
        if !"vbgGxXfFeE".contains(verb) {
            return self.bad_verb(value, verb);
        }
        self.raw("(");
        self.float(real, verb, value);
        let plus = std::mem::replace(&mut self.flags.plus, true);
        self.float(imaginary, verb, value);
        self.raw("i)");
        self.flags.plus = plus;
    }
}

fn can_backquote(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars()
            .all(|c| c == '\t' || c >= ' ' && c != '`' && c != '\x7f' && c != '\u{feff}')
    })
}
