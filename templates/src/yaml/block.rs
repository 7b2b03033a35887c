//! Block collections and scalars: where indentation decides.

use crate::error::Failure;
use crate::value::Value;

use super::read::{Properties, Reader, is_blank, is_merge, mapping};

impl Reader {
    /// A node that is indented deeper than `parent`; `fresh` when a collection may start here.
    pub(super) fn node(&mut self, parent: isize, fresh: bool) -> Result<Value, Failure> {
        self.deeper(|reader| reader.node_inner(parent, fresh))
    }

    fn node_inner(&mut self, parent: isize, fresh: bool) -> Result<Value, Failure> {
        let mut fresh = fresh;
        self.skip_blanks();
        let mut properties = Properties::default();
        if matches!(self.peek(), Some('&' | '!')) {
            let start = self.at;
            properties = self.properties()?;
            // Properties before a key on the same line belong to the key.
            if fresh && !self.at_line_end() && !matches!(self.peek(), Some('[' | '{' | '|' | '>')) {
                let column = self.column_of(start);
                let end = self.at;
                self.at = start;
                if self.key_follows() {
                    return self.block_mapping(column);
                }
                self.at = end;
            }
        }
        if self.at_line_end() {
            fresh |= self.skip_lines()?;
            if properties.is_empty() && matches!(self.peek(), Some('&' | '!')) {
                return if self.column() as isize > parent {
                    self.node_inner(parent, fresh)
                } else {
                    self.scalar(String::new(), true, properties)
                };
            }
        }
        let column = self.column();
        let is_outside = column as isize <= parent;
        if self.peek().is_none() || is_outside || self.at_document_marker() {
            return self.scalar(String::new(), true, properties);
        }
        if fresh && self.at_item() {
            let value = self.block_sequence(column)?;
            return Ok(self.anchored(properties, value));
        }
        if fresh && (self.at_explicit_key() || self.key_follows()) {
            let value = self.block_mapping(column)?;
            return Ok(self.anchored(properties, value));
        }
        match self.peek() {
            Some('|' | '>') => self.block_scalar(parent, properties),
            Some('[' | '{') => {
                let value = self.flow_collection()?;
                self.end_of_node(parent)?;
                Ok(self.anchored(properties, value))
            }
            Some('*') => self.alias(),
            Some('"' | '\'') => {
                let text = self.quoted()?;
                self.end_of_node(parent)?;
                self.scalar(text, false, properties)
            }
            Some('-') if is_blank(self.peek_at(1)) => {
                Err(self.error("block sequence entries are not allowed in this context"))
            }
            _ => {
                let text = self.plain(parent)?;
                self.scalar(text, true, properties)
            }
        }
    }

    fn column_of(&self, at: usize) -> usize {
        let newline = self.chars[..at].iter().rposition(|&c| c == '\n');
        newline.map_or(at, |newline| at - newline - 1)
    }

    fn at_line_end(&self) -> bool {
        matches!(self.peek(), None | Some('\n' | '\r' | '#'))
    }

    fn at_item(&self) -> bool {
        self.peek() == Some('-') && is_blank(self.peek_at(1))
    }

    fn at_explicit_key(&self) -> bool {
        self.peek() == Some('?') && is_blank(self.peek_at(1))
    }

    fn at_value(&self) -> bool {
        self.peek() == Some(':') && is_blank(self.peek_at(1))
    }

    /// Nothing that follows the root is looked at.
    fn end_of_node(&mut self, parent: isize) -> Result<(), Failure> {
        if parent < 0 {
            return Ok(());
        }
        self.end_of_line()
    }

    /// After a finished value only a comment may follow on the line.
    fn end_of_line(&mut self) -> Result<(), Failure> {
        self.skip_blanks();
        if self.at_line_end() {
            return Ok(());
        }
        Err(self.error(if self.at_value() {
            "mapping values are not allowed in this context"
        } else {
            "did not find expected key"
        }))
    }

    /// Looks whether a key and its colon stand on this line.
    fn key_follows(&mut self) -> bool {
        let start = self.at;
        let found = self.simple_key().is_ok() && {
            let is_one_line = !self.chars[start..self.at].contains(&'\n');
            self.skip_blanks();
            is_one_line && self.at_value()
        };
        self.at = start;
        found
    }

    /// A key, and whether it is plain.
    fn simple_key(&mut self) -> Result<(Value, bool), Failure> {
        let properties = self.properties()?;
        match self.peek() {
            Some('"' | '\'') => {
                let text = self.quoted()?;
                Ok((self.scalar(text, false, properties)?, false))
            }
            Some('[' | '{') => Ok((self.flow_collection()?, false)),
            Some('*') => Ok((self.alias()?, false)),
            Some(':') if self.at_value() => {
                Ok((self.scalar(String::new(), true, properties)?, false))
            }
            Some('|' | '>' | '#' | ',' | ']' | '}') => {
                Err(self.error("found character that cannot start any token"))
            }
            _ => {
                self.check_plain_start()?;
                let text = self.plain_line();
                Ok((self.scalar(text, true, properties)?, true))
            }
        }
    }

    fn block_sequence(&mut self, column: usize) -> Result<Value, Failure> {
        let mut items = Vec::new();
        while self.at_item() && self.column() == column {
            self.at += 1;
            items.push(self.node(column as isize, true)?);
            self.skip_lines()?;
        }
        self.check_indent(column, "did not find expected '-' indicator")?;
        Ok(Value::list(items))
    }

    /// Nothing may stand deeper than the collection that just ended.
    fn check_indent(&self, column: usize, problem: &str) -> Result<(), Failure> {
        let goes_on = self.peek().is_some() && !self.at_document_marker();
        if goes_on && self.column() > column {
            return Err(self.error(problem));
        }
        Ok(())
    }

    fn block_mapping(&mut self, column: usize) -> Result<Value, Failure> {
        let mut entries = Vec::new();
        loop {
            if self.at_explicit_key() {
                self.at += 1;
                let key = self.node(column as isize, true)?;
                self.skip_lines()?;
                let mut value = Value::Nil;
                if self.at_value() && self.column() == column {
                    self.at += 1;
                    value = self.node(column as isize, true)?;
                }
                entries.push((key, false, value));
            } else {
                let (key, is_plain) = self.simple_key()?;
                self.skip_blanks();
                if !self.at_value() {
                    return Err(self.error("could not find expected ':'"));
                }
                self.at += 1;
                let merges = is_merge(&key, is_plain);
                let value = self.mapping_value(column)?;
                entries.push((key, merges, value));
            }
            self.skip_lines()?;
            let ends = self.peek().is_none()
                || self.column() != column
                || self.at_document_marker()
                || self.at_item();
            if ends {
                self.check_indent(column, "did not find expected key")?;
                return mapping(entries);
            }
        }
    }

    /// A list may stand directly under its key, not indented.
    fn mapping_value(&mut self, column: usize) -> Result<Value, Failure> {
        let start = self.at;
        self.skip_blanks();
        if self.at_line_end() {
            self.skip_lines()?;
            if self.at_item() && self.column() == column {
                return self.deeper(|reader| reader.block_sequence(column));
            }
            self.at = start;
        }
        self.node(column as isize, false)
    }

    /// A plain scalar up to the end of the line, a comment or a colon.
    fn plain_line(&mut self) -> String {
        let start = self.at;
        let mut end = start;
        while let Some(c) = self.peek() {
            let after_blank = self.at > start && is_blank(Some(self.chars[self.at - 1]));
            if matches!(c, '\n' | '\r') || c == '#' && after_blank || self.at_value() {
                break;
            }
            self.at += 1;
            if !is_blank(Some(c)) {
                end = self.at;
            }
        }
        self.at = end;
        self.chars[start..end].iter().collect()
    }

    fn plain(&mut self, parent: isize) -> Result<String, Failure> {
        self.check_plain_start()?;
        if matches!(self.peek(), Some(',' | ']' | '}')) {
            return Err(self.error("did not find expected node content"));
        }
        let mut text = self.plain_line();
        loop {
            let end = self.at;
            self.skip_blanks();
            if self.at_value() {
                return Err(self.error("mapping values are not allowed in this context"));
            }
            let breaks = self.line_breaks();
            let stops = breaks == 0
                || self.peek().is_none_or(|c| c == '#')
                || self.column() as isize <= parent
                || self.at_document_marker();
            if stops {
                self.at = end;
                return Ok(text);
            }
            match breaks {
                1 => text.push(' '),
                _ => text.extend(std::iter::repeat_n('\n', breaks - 1)),
            }
            let line = self.plain_line();
            text.push_str(&line);
        }
    }

    /// `|` keeps line breaks, `>` folds them.
    fn block_scalar(&mut self, parent: isize, properties: Properties) -> Result<Value, Failure> {
        let folds = self.peek() == Some('>');
        self.at += 1;
        let (mut chomping, mut indent) = (None, None);
        loop {
            match self.peek() {
                Some(c @ ('+' | '-')) if chomping.is_none() => chomping = Some(c),
                Some(c @ '1'..='9') if indent.is_none() => {
                    let digit = c.to_digit(10).unwrap_or(1) as isize;
                    indent = Some((parent.max(0) + digit) as usize);
                }
                _ => break,
            }
            self.at += 1;
        }
        self.end_of_line()?;
        while !matches!(self.peek(), None | Some('\n')) {
            self.at += 1;
        }
        self.at += usize::from(self.peek().is_some());
        let lines = self.block_lines(parent, indent);
        let text = assemble(&lines, folds, chomping);
        self.scalar(text, false, properties)
    }

    /// Lines without their indentation; empty ones at the end included.
    fn block_lines(&mut self, parent: isize, indent: Option<usize>) -> Vec<String> {
        let mut indent = indent;
        let mut lines = Vec::new();
        while self.peek().is_some() {
            let start = self.at;
            let mut column = 0;
            while self.peek() == Some(' ') && indent.is_none_or(|indent| column < indent) {
                self.at += 1;
                column += 1;
            }
            let is_empty = matches!(self.peek(), None | Some('\n' | '\r'));
            if !is_empty {
                let wanted = *indent.get_or_insert(column);
                if column < wanted || column as isize <= parent || self.at_document_marker() {
                    self.at = start;
                    break;
                }
            }
            let from = self.at;
            while !matches!(self.peek(), None | Some('\n')) {
                self.at += 1;
            }
            let line: String = self.chars[from..self.at].iter().collect();
            lines.push(line.trim_end_matches('\r').to_owned());
            if self.peek().is_none() {
                break;
            }
            self.at += 1;
        }
        lines
    }
}

fn assemble(lines: &[String], folds: bool, chomping: Option<char>) -> String {
    let used = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1);
    let (body, trailing) = lines.split_at(used);
    let mut text = String::new();
    let is_deep = |line: &str| line.starts_with([' ', '\t']);
    for (index, line) in body.iter().enumerate() {
        if index > 0 {
            let before = &body[index - 1];
            let joins = folds && !line.is_empty() && !is_deep(line);
            if !joins || is_deep(before) || before.is_empty() && text.is_empty() {
                text.push('\n');
            } else if before.is_empty() {
                let last = body[..index].iter().rev().find(|line| !line.is_empty());
                if last.is_some_and(|last| is_deep(last)) {
                    text.push('\n');
                }
            } else {
                text.push(' ');
            }
        }
        text.push_str(line);
    }
    match chomping {
        Some('-') => {}
        Some(_) => {
            if !body.is_empty() {
                text.push('\n');
            }
            text.extend(std::iter::repeat_n('\n', trailing.len()));
        }
        None if !body.is_empty() => text.push('\n'),
        None => {}
    }
    text
}
