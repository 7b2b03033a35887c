//! Flow collections and quoted or plain scalars.

use crate::error::Failure;
use crate::value::Value;

use super::read::{Reader, is_blank, is_merge, mapping};

impl Reader {
    /// A node inside `[]` or `{}`.
    fn flow_node(&mut self) -> Result<(Value, bool), Failure> {
        self.skip_lines()?;
        let properties = self.properties()?;
        if !properties.is_empty() {
            self.skip_lines()?;
        }
        let value = match self.peek() {
            Some('[' | '{') => {
                let value = self.flow_collection()?;
                self.anchored(properties, value)
            }
            Some('*') => self.alias()?,
            Some('"' | '\'') => {
                let text = self.quoted()?;
                self.scalar(text, false, properties)?
            }
            Some(',' | ']' | '}') | None => self.scalar(String::new(), true, properties)?,
            Some(':') if self.flow_value_follows() => {
                self.scalar(String::new(), true, properties)?
            }
            Some(_) => {
                let text = self.flow_plain()?;
                return Ok((self.scalar(text, true, properties)?, true));
            }
        };
        Ok((value, false))
    }

    fn flow_value_follows(&self) -> bool {
        self.peek() == Some(':')
            && (is_blank(self.peek_at(1)) || matches!(self.peek_at(1), Some(',' | ']' | '}')))
    }

    pub(super) fn flow_collection(&mut self) -> Result<Value, Failure> {
        self.deeper(|reader| {
            if reader.peek() == Some('[') {
                reader.flow_sequence()
            } else {
                reader.flow_mapping()
            }
        })
    }

    fn flow_sequence(&mut self) -> Result<Value, Failure> {
        const EXPECTED: &str = "did not find expected ',' or ']'";
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_lines()?;
            if self.peek() == Some(']') {
                self.at += 1;
                return Ok(Value::list(items));
            }
            let (item, is_plain) = self.flow_node()?;
            self.skip_lines()?;
            if self.peek() == Some(':') {
                self.at += 1;
                let (value, _) = self.flow_node()?;
                let merges = is_merge(&item, is_plain);
                items.push(mapping(vec![(item, merges, value)])?);
                self.skip_lines()?;
            } else {
                items.push(item);
            }
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {}
                _ => return Err(self.error(EXPECTED)),
            }
        }
    }

    fn flow_mapping(&mut self) -> Result<Value, Failure> {
        const EXPECTED: &str = "did not find expected ',' or '}'";
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip_lines()?;
            if self.peek() == Some('}') {
                self.at += 1;
                return mapping(entries);
            }
            if self.peek() == Some('?') && is_blank(self.peek_at(1)) {
                self.at += 1;
            }
            let (key, is_plain) = self.flow_node()?;
            self.skip_lines()?;
            let mut value = Value::Nil;
            if self.peek() == Some(':') {
                self.at += 1;
                value = self.flow_node()?.0;
                self.skip_lines()?;
            }
            let merges = is_merge(&key, is_plain);
            entries.push((key, merges, value));
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {}
                _ => return Err(self.error(EXPECTED)),
            }
        }
    }

    fn flow_plain(&mut self) -> Result<String, Failure> {
        self.check_plain_start()?;
        let mut text = String::new();
        loop {
            let start = self.at;
            while let Some(c) = self.peek() {
                let ends = matches!(c, ',' | '[' | ']' | '{' | '}' | '?')
                    || is_blank(Some(c))
                    || c == ':' && self.flow_value_follows();
                if ends {
                    break;
                }
                self.at += 1;
            }
            text.extend(&self.chars[start..self.at]);
            let end = self.at;
            self.skip_blanks();
            let blanks: String = self.chars[end..self.at].iter().collect();
            let breaks = self.line_breaks();
            let stops = match self.peek() {
                None | Some(',' | '[' | ']' | '{' | '}' | '?') => true,
                Some(':') => self.flow_value_follows(),
                Some('#') => breaks > 0 || !blanks.is_empty(),
                Some(_) => false,
            };
            if stops || self.at == start {
                return Ok(text);
            }
            match breaks {
                0 => text.push_str(&blanks),
                1 => text.push(' '),
                _ => text.extend(std::iter::repeat_n('\n', breaks - 1)),
            }
        }
    }

    /// Passes line breaks and the blanks around them; returns how many lines ended.
    pub(super) fn line_breaks(&mut self) -> usize {
        let mut breaks = 0;
        while let Some('\n' | '\r') = self.peek() {
            if self.peek() == Some('\r') && self.peek_at(1) == Some('\n') {
                self.at += 1;
            }
            self.at += 1;
            breaks += 1;
            self.skip_blanks();
        }
        breaks
    }

    pub(super) fn check_plain_start(&self) -> Result<(), Failure> {
        match self.peek() {
            Some('%' | '@' | '`') => Err(self.error("found character that cannot start any token")),
            _ => Ok(()),
        }
    }

    /// A quoted scalar, which may go over several lines.
    pub(super) fn quoted(&mut self) -> Result<String, Failure> {
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.error("found unexpected end of stream"));
            };
            match c {
                '\'' if quote == Some('\'') && self.peek_at(1) == Some('\'') => {
                    text.push('\'');
                    self.at += 2;
                }
                c if quote == Some(c) => {
                    self.at += 1;
                    return Ok(text);
                }
                '\\' if quote == Some('"') => self.escape(&mut text)?,
                ' ' | '\t' | '\n' | '\r' => {
                    let start = self.at;
                    self.skip_blanks();
                    let blanks: String = self.chars[start..self.at].iter().collect();
                    match self.line_breaks() {
                        0 => text.push_str(&blanks),
                        1 => text.push(' '),
                        breaks => text.extend(std::iter::repeat_n('\n', breaks - 1)),
                    }
                }
                c => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Failure> {
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(self.error("found unexpected end of stream"));
        };
        self.at += 1;
        let plain = match c {
            '0' => '\0',
            'a' => '\x07',
            'b' => '\x08',
            't' | '\t' => '\t',
            'n' => '\n',
            'v' => '\x0b',
            'f' => '\x0c',
            'r' => '\r',
            'e' => '\x1b',
            ' ' | '"' | '\'' | '\\' | '/' => c,
            'N' => '\u{85}',
            '_' => '\u{a0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            'x' => self.hex(2)?,
            'u' => self.hex(4)?,
            'U' => self.hex(8)?,
            '\n' | '\r' => {
                self.at -= 1;
                self.line_breaks();
                return Ok(());
            }
            _ => return Err(self.error("found unknown escape character")),
        };
        text.push(plain);
        Ok(())
    }

    fn hex(&mut self, count: usize) -> Result<char, Failure> {
        let mut code = 0u32;
        for _ in 0..count {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.error("did not find expected hexdecimal number"));
            };
            code = code << 4 | digit;
            self.at += 1;
        }
        char::from_u32(code)
            .ok_or_else(|| self.error("found invalid Unicode character escape code"))
    }
}
