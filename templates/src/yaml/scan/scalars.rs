//! Scalars: plain, quoted and block ones.

use zeroize::Zeroizing;

use super::{Scanned, Scanner, Token, is_blank, is_blank_or_end, is_break};

/// Breaks between the lines of a scalar: the first, and those after it.
#[derive(Default)]
struct Breaks {
    first: String,
    others: String,
}

impl Breaks {
    /// One break is a blank, more are the others.
    fn fold(&mut self, out: &mut String) {
        if self.first.starts_with('\n') {
            if self.others.is_empty() {
                out.push(' ');
            }
        } else {
            out.push_str(&self.first);
        }
        out.push_str(&self.others);
        self.first.clear();
        self.others.clear();
    }
}

impl Scanner {
    fn push_scalar(&mut self, text: String, is_plain: bool, mark: super::Mark) {
        let text = Zeroizing::new(text);
        self.push(Token::Scalar { text, is_plain }, mark);
    }

    pub(super) fn plain(&mut self) -> Scanned {
        let mark = self.mark;
        let indent = self.indent + 1;
        let mut text = String::new();
        let mut blanks = String::new();
        let mut breaks = Breaks::default();
        let mut after_break = false;
        while !self.is_marker('-') && !self.is_marker('.') && self.at(0) != '#' {
            while !is_blank_or_end(self.at(0)) && !self.ends_plain() {
                if after_break {
                    breaks.fold(&mut text);
                    after_break = false;
                    blanks.clear();
                } else {
                    text.push_str(&std::mem::take(&mut blanks));
                }
                self.take(&mut text);
            }
            if !is_blank(self.at(0)) && !is_break(self.at(0)) {
                break;
            }
            while is_blank(self.at(0)) || is_break(self.at(0)) {
                if is_break(self.at(0)) {
                    let c = self.pass_line();
                    if after_break {
                        breaks.others.push(c);
                    } else {
                        blanks.clear();
                        breaks.first.push(c);
                        after_break = true;
                    }
                } else if after_break {
                    let is_outside = (self.mark.column as isize) < indent;
                    if is_outside && self.at(0) == '\t' {
                        return Err(self.error("found a tab character that violates indentation"));
                    }
                    self.pass();
                } else {
                    self.take(&mut blanks);
                }
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        self.push_scalar(text, true, mark);
        if after_break {
            self.is_key_allowed = true;
        }
        Ok(())
    }

    fn ends_plain(&self) -> bool {
        let c = self.at(0);
        c == ':' && is_blank_or_end(self.at(1))
            || self.flow_level > 0 && matches!(c, ',' | '?' | '[' | ']' | '{' | '}')
    }

    pub(super) fn quoted(&mut self, quote: char) -> Scanned {
        let mark = self.mark;
        self.pass();
        let mut text = String::new();
        loop {
            if self.is_marker('-') || self.is_marker('.') {
                return Err(self.error("found unexpected document indicator"));
            }
            if self.at(0) == '\0' {
                return Err(self.error("found unexpected end of stream"));
            }
            let mut after_break = self.quoted_word(quote, &mut text)?;
            if self.at(0) == quote {
                break;
            }
            let mut blanks = String::new();
            let mut breaks = Breaks::default();
            let joins = after_break;
            while is_blank(self.at(0)) || is_break(self.at(0)) {
                if is_break(self.at(0)) {
                    let c = self.pass_line();
                    if after_break {
                        breaks.others.push(c);
                    } else {
                        breaks.first.push(c);
                        after_break = true;
                    }
                } else if after_break {
                    self.pass();
                } else {
                    self.take(&mut blanks);
                }
            }
            if !after_break {
                text.push_str(&blanks);
            } else if joins {
                text.push_str(&breaks.others);
            } else {
                breaks.fold(&mut text);
            }
        }
        self.pass();
        self.push_scalar(text, false, mark);
        Ok(())
    }

    /// Up to a blank or the quote; true if an escaped line break ends it.
    fn quoted_word(&mut self, quote: char, text: &mut String) -> Scanned<bool> {
        while !is_blank_or_end(self.at(0)) {
            let (c, next) = (self.at(0), self.at(1));
            match c {
                '\'' if quote == '\'' && next == '\'' => {
                    text.push('\'');
                    self.pass();
                    self.pass();
                }
                _ if c == quote => break,
                '\\' if quote == '"' && is_break(next) => {
                    self.pass();
                    self.pass_line();
                    return Ok(true);
                }
                '\\' if quote == '"' => self.escape(text)?,
                _ => self.take(text),
            }
        }
        Ok(false)
    }

    fn escape(&mut self, text: &mut String) -> Scanned {
        let digits = match self.at(1) {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let c = match self.at(1) {
            '0' | 'x' | 'u' | 'U' => '\0',
            'a' => '\x07',
            'b' => '\x08',
            't' | '\t' => '\t',
            'n' => '\n',
            'v' => '\x0b',
            'f' => '\x0c',
            'r' => '\r',
            'e' => '\x1b',
            c @ (' ' | '"' | '\'' | '\\') => c,
            'N' => '\u{85}',
            '_' => '\u{a0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            _ => return Err(self.error("found unknown escape character")),
        };
        self.pass();
        self.pass();
        if digits == 0 {
            text.push(c);
            return Ok(());
        }
        let mut code: u32 = 0;
        for ahead in 0..digits {
            let Some(digit) = self.at(ahead).to_digit(16) else {
                return Err(self.error("did not find expected hexdecimal number"));
            };
            code = code << 4 | digit;
        }
        let Some(c) = char::from_u32(code) else {
            return Err(self.error("found invalid Unicode character escape code"));
        };
        text.push(c);
        (0..digits).for_each(|_| self.pass());
        Ok(())
    }

    fn indentation(&mut self) -> Scanned<Option<usize>> {
        let Some(digit) = self.at(0).to_digit(10) else {
            return Ok(None);
        };
        if digit == 0 {
            return Err(self.error("found an indentation indicator equal to 0"));
        }
        self.pass();
        Ok(Some(digit as usize))
    }

    fn chomping(&mut self) -> Option<char> {
        let c = self.at(0);
        let found = matches!(c, '+' | '-').then_some(c);
        if found.is_some() {
            self.pass();
        }
        found
    }

    pub(super) fn block_scalar(&mut self, is_literal: bool) -> Scanned {
        let mark = self.mark;
        self.pass();
        let mut chomping = self.chomping();
        let increment = self.indentation()?;
        if chomping.is_none() && increment.is_some() {
            chomping = self.chomping();
        }
        self.line_end()?;
        let mut indent = increment.map_or(0, |increment| increment + self.indent.max(0) as usize);
        let mut text = String::new();
        let mut first = String::new();
        let mut others = String::new();
        self.block_breaks(&mut indent, &mut others)?;
        let mut after_blank = false;
        while self.mark.column == indent && self.at(0) != '\0' {
            let starts_blank = is_blank(self.at(0));
            if !is_literal && !after_blank && !starts_blank && first.starts_with('\n') {
                if others.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&first);
            }
            first.clear();
            text.push_str(&std::mem::take(&mut others));
            after_blank = starts_blank;
            while !is_break(self.at(0)) && self.at(0) != '\0' {
                self.take(&mut text);
            }
            if is_break(self.at(0)) {
                first.push(self.pass_line());
            }
            self.block_breaks(&mut indent, &mut others)?;
        }
        if chomping != Some('-') {
            text.push_str(&first);
        }
        if chomping == Some('+') {
            text.push_str(&others);
        }
        self.push_scalar(text, false, mark);
        Ok(())
    }

    /// Passes indentation and empty lines; an indentation of zero is found out here.
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Scanned {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.at(0) == ' ' {
                self.pass();
            }
            deepest = deepest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.at(0) == '\t' {
                let problem = "found a tab character where an indentation space is expected";
                return Err(self.error(problem));
            }
            if !is_break(self.at(0)) {
                break;
            }
            let c = self.pass_line();
            breaks.push(c);
        }
        if *indent == 0 {
            *indent = deepest.max((self.indent + 1).max(1) as usize);
        }
        Ok(())
    }
}
