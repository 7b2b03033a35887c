//! The emitter: block style, two blanks per level, lists under a key not indented.

use base64::Engine;
use planescape_vault::Text;

use crate::error::Failure;
use crate::fmt::shortest;
use crate::meter::check_length;
use crate::number::{Base, parse_float, parse_int};
use crate::object::Object;
use crate::unicode;
use crate::value::{Kind, Type, Value};

use super::order::natural_order;
use super::resolve::{self, Resolved};
use super::scalar::{self, Analysis};

/// Long lines are folded at the first blank after this column.
const BEST_WIDTH: usize = 80;
const INDENT: usize = 2;

/// How deep values may nest.
const MAX_DEPTH: usize = 1_000;

/// Longer keys, and keys of several lines, are written after a `?`.
const LONGEST_SIMPLE_KEY: usize = 128;

/// `limit` bounds the text.
pub(crate) fn encode(value: &Value, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut emitter = Emitter {
        out: Vec::new(),
        limit,
        column: 0,
        indent: None,
        after_blank: true,
        in_indentation: true,
        depth: 0,
    };
    emitter.node(value, Context::Root)?;
    emitter.out.push(b'\n');
    Ok(emitter.out)
}

const BINARY_TAG: &str = "!!binary";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    Key,
    SimpleKey,
    MappingValue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

struct Emitter {
    out: Vec<u8>,
    limit: usize,
    column: usize,
    /// Nothing before the first collection.
    indent: Option<usize>,
    after_blank: bool,
    /// Whether only indentation and `-`, `?`, `:` stand on this line.
    in_indentation: bool,
    depth: usize,
}

impl Emitter {
    fn put(&mut self, c: char) {
        unicode::push(&mut self.out, c);
        self.column += 1;
    }

    fn line_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
    }

    /// Writes a break of the text itself.
    fn own_break(&mut self, c: char) {
        if c == '\n' {
            self.line_break();
        } else {
            self.put(c);
            self.column = 0;
        }
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.in_indentation
            || self.column > indent
            || self.column == indent && !self.after_blank
        {
            self.line_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.after_blank = true;
        self.in_indentation = true;
    }

    fn indicator(&mut self, text: &str, needs_blank: bool, is_blank: bool, keeps_indent: bool) {
        if needs_blank && !self.after_blank {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.after_blank = is_blank;
        self.in_indentation &= keeps_indent;
    }

    fn node(&mut self, value: &Value, context: Context) -> Result<(), Failure> {
        check_length(self.out.len(), self.limit)?;
        match value {
            Value::List(items) | Value::Lists(items) => self.sequence(items, context),
            Value::Strings(_) | Value::Ints(_) => {
                let items = value.items().unwrap_or_default();
                self.sequence(&items, context)
            }
            Value::Map(map) => {
                let map = map.borrow();
                let entries = map
                    .iter()
                    .map(|(key, item)| (Value::Text(key.clone()), item.clone()));
                self.sorted_mapping(entries.collect())
            }
            Value::StringMap(map) => {
                let entries = map
                    .iter()
                    .map(|(key, item)| (Value::Text(key.clone()), Value::Text(item.clone())));
                self.sorted_mapping(entries.collect())
            }
            Value::AnyMap(entries) => self.sorted_mapping(entries.to_vec()),
            Value::TypedNil(of) if of.kind() == Kind::List => self.sequence(&[], context),
            Value::TypedNil(of) if of.kind() == Kind::Map => self.mapping(&[]),
            Value::Object(object) if object.type_of() == Type::Version => {
                let text = crate::object::marshalled(object).unwrap_or_default();
                self.text(&Text::from(text), context);
                Ok(())
            }
            Value::Object(object) => match &**object {
                Object::Time(time) => {
                    let text = time.format("2006-01-02T15:04:05.999999999Z07:00");
                    self.scalar(text.as_bytes(), Style::Plain, context);
                    Ok(())
                }
                Object::Struct { fields, .. } => {
                    let entries: Vec<_> = fields
                        .iter()
                        .map(|(name, item)| (Value::text(name.to_lowercase()), item.clone()))
                        .collect();
                    self.mapping(&entries)
                }
                Object::Scratch(_) => self.mapping(&[]),
            },
            Value::Text(text) => {
                self.text(text, context);
                Ok(())
            }
            _ => {
                let text = plain(value)?;
                self.scalar(text.as_bytes(), Style::Plain, context);
                Ok(())
            }
        }
    }

    fn sorted_mapping(&mut self, mut entries: Vec<(Value, Value)>) -> Result<(), Failure> {
        entries.sort_by(|(a, _), (b, _)| natural_order(a, b));
        self.mapping(&entries)
    }

    /// Goes one level in, and back out.
    fn indented(
        &mut self,
        by: usize,
        inner: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.depth == MAX_DEPTH {
            return Err(Failure::limit("yaml: value is nested too deeply"));
        }
        let outer = self.indent;
        self.indent = Some(outer.map_or(0, |indent| indent + by));
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        self.indent = outer;
        Ok(())
    }

    fn sequence(&mut self, items: &[Value], context: Context) -> Result<(), Failure> {
        if items.is_empty() {
            self.indicator("[", true, true, false);
            self.indicator("]", false, false, false);
            return Ok(());
        }
        let in_mapping = matches!(context, Context::MappingValue | Context::Key);
        let by = if in_mapping && !self.in_indentation {
            0
        } else {
            INDENT
        };
        self.indented(by, |emitter| {
            for item in items {
                emitter.write_indent();
                emitter.indicator("-", true, false, true);
                emitter.node(item, Context::Item)?;
            }
            Ok(())
        })
    }

    fn mapping(&mut self, entries: &[(Value, Value)]) -> Result<(), Failure> {
        if entries.is_empty() {
            self.indicator("{", true, true, false);
            self.indicator("}", false, false, false);
            return Ok(());
        }
        self.indented(INDENT, |emitter| {
            for (key, item) in entries {
                emitter.write_indent();
                if is_simple_key(key)? {
                    emitter.node(key, Context::SimpleKey)?;
                    emitter.indicator(":", false, false, false);
                } else {
                    emitter.indicator("?", true, false, true);
                    emitter.node(key, Context::Key)?;
                    emitter.write_indent();
                    emitter.indicator(":", true, false, true);
                }
                emitter.node(item, Context::MappingValue)?;
            }
            Ok(())
        })
    }

    fn text(&mut self, text: &Text, context: Context) {
        if std::str::from_utf8(text).is_err() {
            if !self.after_blank {
                self.put(' ');
            }
            BINARY_TAG.chars().for_each(|c| self.put(c));
            self.after_blank = false;
            self.in_indentation = false;
            let encoded = binary(text);
            let style = if encoded.contains(&b'\n') {
                Style::Literal
            } else {
                Style::Plain
            };
            return self.scalar(&encoded, style, context);
        }
        let is_text = matches!(resolve::resolve(text), Resolved::Text | Resolved::Merge);
        let style = if text.contains(&b'\n') {
            Style::Literal
        } else if is_text && !resolve::is_base60(text) {
            Style::Plain
        } else {
            Style::Double
        };
        self.scalar(text, style, context);
    }

    fn scalar(&mut self, text: &[u8], wanted: Style, context: Context) {
        let analysis = scalar::analyse(text);
        let style = select(text, analysis, wanted, context);
        let chars: Vec<char> = unicode::chars(text).collect();
        let outer = self.indent;
        self.indent = Some(outer.map_or(INDENT, |indent| indent + INDENT));
        let may_fold = context != Context::SimpleKey;
        match style {
            Style::Plain => self.plain(&chars, may_fold),
            Style::Single => self.single_quoted(&chars, may_fold),
            Style::Double => self.double_quoted(&chars, may_fold),
            Style::Literal => self.literal(&chars),
        }
        self.indent = outer;
    }

    /// Blanks, breaks and other characters of plain and single-quoted texts.
    fn flowing(&mut self, chars: &[char], may_fold: bool, is_quoted: bool) {
        let (mut after_space, mut after_break) = (false, false);
        for (index, &c) in chars.iter().enumerate() {
            if c == ' ' {
                let next = chars.get(index + 1);
                let is_inner = !is_quoted || index > 0 && next.is_some();
                let folds = may_fold
                    && !after_space
                    && self.column > BEST_WIDTH
                    && is_inner
                    && next != Some(&' ');
                if folds {
                    self.write_indent();
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else if scalar::is_break(c) {
                if !after_break && c == '\n' {
                    self.line_break();
                }
                self.own_break(c);
                self.in_indentation = true;
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                if is_quoted && c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.in_indentation = false;
                after_space = false;
                after_break = false;
            }
        }
    }

    fn plain(&mut self, chars: &[char], may_fold: bool) {
        if !self.after_blank {
            self.put(' ');
        }
        self.flowing(chars, may_fold, false);
        self.after_blank = false;
        self.in_indentation = false;
    }

    fn single_quoted(&mut self, chars: &[char], may_fold: bool) {
        self.indicator("'", true, false, false);
        self.flowing(chars, may_fold, true);
        self.indicator("'", false, false, false);
        self.after_blank = false;
        self.in_indentation = false;
    }

    fn double_quoted(&mut self, chars: &[char], may_fold: bool) {
        self.indicator("\"", true, false, false);
        let has_mark = chars.first() == Some(&'\u{feff}');
        let mut after_space = false;
        for (index, &c) in chars.iter().enumerate() {
            let is_escaped = !scalar::is_printable(c)
                || has_mark
                || scalar::is_break(c)
                || matches!(c, '"' | '\\');
            if is_escaped {
                escaped(c).chars().for_each(|c| self.put(c));
                after_space = false;
            } else if c == ' ' {
                let is_inner = index > 0 && index + 1 < chars.len();
                if may_fold && !after_space && self.column > BEST_WIDTH && is_inner {
                    self.write_indent();
                    if chars[index + 1] == ' ' {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.after_blank = false;
        self.in_indentation = false;
    }

    fn literal(&mut self, chars: &[char]) {
        self.indicator("|", true, false, false);
        if chars
            .first()
            .is_some_and(|&c| c == ' ' || scalar::is_break(c))
        {
            self.indicator("2", false, false, false);
        }
        let breaks_at_end = chars
            .iter()
            .rev()
            .take_while(|&&c| scalar::is_break(c))
            .count();
        match breaks_at_end {
            0 => self.indicator("-", false, false, false),
            1 if chars.len() > 1 => {}
            _ => self.indicator("+", false, false, false),
        }
        self.line_break();
        self.in_indentation = true;
        self.after_blank = true;
        let mut after_break = true;
        for &c in chars {
            if scalar::is_break(c) {
                self.own_break(c);
                self.in_indentation = true;
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                self.put(c);
                self.in_indentation = false;
                after_break = false;
            }
        }
    }
}

/// Base64 in lines of seventy.
fn binary(text: &[u8]) -> Vec<u8> {
    const LINE: usize = 70;
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    if encoded.len() < LINE {
        return encoded.into_bytes();
    }
    encoded
        .as_bytes()
        .chunks(LINE)
        .flat_map(|line| [line, b"\n"].concat())
        .collect()
}

fn select(text: &[u8], analysis: Analysis, wanted: Style, context: Context) -> Style {
    let mut style = wanted;
    let is_key = context == Context::SimpleKey;
    if is_key && analysis.multi_line {
        style = Style::Double;
    }
    if style == Style::Plain && (!analysis.plain || text.is_empty() && is_key) {
        style = Style::Single;
    }
    if style == Style::Single && !analysis.single_quoted {
        style = Style::Double;
    }
    if style == Style::Literal && (!analysis.block || is_key) {
        style = Style::Double;
    }
    style
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

/// Values that are written without any quotes.
fn plain(value: &Value) -> Result<String, Failure> {
    Ok(match value {
        Value::Nil | Value::TypedNil(_) => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Float(number) => float(*number),
        Value::Number(text) => match (parse_int(text, Base::Fixed(10)), parse_float(text)) {
            (Ok(number), _) => number.to_string(),
            (_, Ok(number)) => float(number),
            _ => String::from_utf8_lossy(text).into_owned(),
        },
        _ => match (value.as_int(), value.as_uint()) {
            (Some(number), _) => number.to_string(),
            (_, Some(number)) => number.to_string(),
            _ => {
                let name = value.type_name();
                return Err(Failure::new(format!("cannot marshal type: {name}")));
            }
        },
    })
}

pub(super) fn float(number: f64) -> String {
    match shortest(number, 'g').as_str() {
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        "NaN" => ".nan".to_owned(),
        digits => digits.to_owned(),
    }
}

fn is_simple_key(key: &Value) -> Result<bool, Failure> {
    Ok(match key {
        Value::Text(text) if std::str::from_utf8(text).is_err() => {
            let encoded = binary(text);
            let tagged = encoded.len() + BINARY_TAG.len();
            tagged <= LONGEST_SIMPLE_KEY && !encoded.contains(&b'\n')
        }
        Value::Text(text) => text.len() <= LONGEST_SIMPLE_KEY && !scalar::analyse(text).multi_line,
        _ if matches!(key.kind(), Kind::List | Kind::Map) => key.len() == Some(0),
        _ => plain(key)?.len() <= LONGEST_SIMPLE_KEY,
    })
}
