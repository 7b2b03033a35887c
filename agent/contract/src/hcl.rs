//! HCL version 1, the language of `vault agent` configuration files.
//!
//! Version 1 has no expressions and no functions: `key = value`, `block "label" { … }`, and
//! `key = { … }`, which means the same as `key { … }`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a parser refuses every token it does not expect"
)]

mod scanner;
mod string;

use std::collections::BTreeSet;

use crate::tree::{Body, DEEPEST, Double, Item, Place, SyntaxError, Value};
use scanner::{Scanner, Token};

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> Result<Body, SyntaxError> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        depth: 0,
        doubles: None,
    };
    parser.body(&Token::End)
}

/// The same, with the arguments that are said more than once: the last one counts.
pub(crate) fn parse_with_doubles(text: &str) -> Result<(Body, Vec<Double>), SyntaxError> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        depth: 0,
        doubles: Some(Vec::new()),
    };
    let body = parser.body(&Token::End)?;
    Ok((body, parser.doubles.unwrap_or_default()))
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    depth: usize,
    /// Arguments that were said before; `None` if that is an error.
    doubles: Option<Vec<Double>>,
}

impl Parser<'_> {
    /// Items up to `end`, which is taken too.
    fn body(&mut self, end: &Token) -> Result<Body, SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.scanner.error("blocks are nested too deeply"));
        }
        let mut items = Body::new();
        let mut arguments = BTreeSet::new();
        loop {
            match self.scanner.next()? {
                token if token == *end => break,
                Token::Comma => {}
                Token::Identifier(key) | Token::String(key) => {
                    let start = self.scanner.token_start();
                    let (item, is_argument) = self.item(key)?;
                    if is_argument && !arguments.insert(item.key.clone()) {
                        let key = item.key.clone();
                        let Some(doubles) = &mut self.doubles else {
                            return Err(self.scanner.error_at(start, &format!(
                                "the argument \"{key}\" was already set: each argument can only be defined once"
                            )));
                        };
                        let place = item.place.clone();
                        doubles.push(Double { place, key });
                    }
                    items.push(item);
                }
                token => {
                    return Err(self
                        .scanner
                        .error(&format!("expected a key, found {}", token.name())));
                }
            }
        }
        self.depth -= 1;
        Ok(items)
    }

    /// An item, and whether `=` makes it an argument, which is said once: blocks may come again.
    fn item(&mut self, key: String) -> Result<(Item, bool), SyntaxError> {
        let place = Place {
            line: self.scanner.line(),
            ..Place::default()
        };
        let mut labels = Vec::new();
        loop {
            match self.scanner.next()? {
                Token::Identifier(label) | Token::String(label) => labels.push(label),
                Token::Equals if labels.is_empty() => {
                    let token = self.scanner.next()?;
                    let number = match token {
                        Token::Integer(_) => self.scanner.token_text().to_owned(),
                        _ => String::new(),
                    };
                    let value = self.value(token)?;
                    let item = Item {
                        place,
                        key,
                        labels,
                        value,
                        number,
                    };
                    return Ok((item, true));
                }
                Token::OpenBrace => {
                    let value = Value::Body(self.body(&Token::CloseBrace)?);
                    let item = Item {
                        place,
                        key,
                        labels,
                        value,
                        number: String::new(),
                    };
                    return Ok((item, false));
                }
                token => {
                    return Err(self.scanner.error(&format!(
                        "expected `=` or `{{` after `{key}`, found {}",
                        token.name()
                    )));
                }
            }
        }
    }

    fn value(&mut self, token: Token) -> Result<Value, SyntaxError> {
        match token {
            Token::String(text) => Ok(Value::String(text)),
            Token::Integer(number) => Ok(Value::Integer(number)),
            Token::Float(number) => Ok(Value::Float(number)),
            Token::Identifier(word) if word == "true" => Ok(Value::Bool(true)),
            Token::Identifier(word) if word == "false" => Ok(Value::Bool(false)),
            Token::OpenBrace => Ok(Value::Body(self.body(&Token::CloseBrace)?)),
            Token::OpenBracket => self.list(),
            token => Err(self
                .scanner
                .error(&format!("expected a value, found {}", token.name()))),
        }
    }

    /// The values of a list; its `[` is already taken. Extra commas have no meaning.
    fn list(&mut self) -> Result<Value, SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.scanner.error("lists are nested too deeply"));
        }
        let mut values = Vec::new();
        loop {
            match self.scanner.next()? {
                Token::CloseBracket => break,
                Token::Comma => continue,
                token => values.push(self.value(token)?),
            }
            match self.scanner.next()? {
                Token::Comma => {}
                Token::CloseBracket => break,
                token => {
                    return Err(self.scanner.error(&format!(
                        "expected `,` or `]` in a list, found {}",
                        token.name()
                    )));
                }
            }
        }
        self.depth -= 1;
        Ok(Value::List(values))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
