//! JSON into the same tree as HCL, as HCL version 1 reads it: a comma may follow the last item, and a key may come
//! again, as a block may.

use crate::tree::{Body, DEEPEST, Item, Place, SyntaxError, Value, is_padded};

/// The object's keys become items; an array of objects becomes a repeated block when it is read.
pub(crate) fn parse(text: &str) -> Result<Body, SyntaxError> {
    let mut parser = Parser {
        text,
        position: 0,
        line: 1,
        depth: 0,
    };
    parser.expect('{', "an object")?;
    let body = parser.object()?;
    match parser.peek() {
        None => Ok(body),
        Some(_) => Err(parser.unexpected("the end of the file")),
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    line: usize,
    depth: usize,
}

impl Parser<'_> {
    /// The items up to the closing brace, which is taken too; the opening one is.
    fn object(&mut self) -> Result<Body, SyntaxError> {
        let mut items = Body::new();
        self.enter()?;
        while self.peek() != Some('}') {
            let line = self.line;
            let key = self.string("a key in quotes")?;
            self.expect(':', "`:`")?;
            let start = self.position;
            let value = self.value()?;
            let number = match matches!(value, Value::Integer(_)) {
                true => self.text[start..self.position].trim_start().to_owned(),
                false => String::new(),
            };
            items.push(Item {
                place: Place {
                    line,
                    ..Place::default()
                },
                key,
                labels: Vec::new(),
                value,
                number,
            });
            self.separate('}')?;
        }
        self.leave();
        Ok(items)
    }

    /// The same for a list, where extra commas have no meaning.
    fn list(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let mut values = Vec::new();
        self.enter()?;
        while self.peek() != Some(']') {
            if self.peek() == Some(',') {
                self.position += 1;
            } else {
                values.push(self.value()?);
                self.separate(']')?;
            }
        }
        self.leave();
        Ok(values)
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.peek() {
            Some('{') => {
                self.position += 1;
                self.object().map(Value::Body)
            }
            Some('[') => {
                self.position += 1;
                self.list().map(Value::List)
            }
            Some('"') => self.string("a value").map(Value::String),
            _ => self.word(),
        }
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Result<Value, SyntaxError> {
        let rest = &self.text[self.position..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let value = match &rest[..length] {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number if number.starts_with('+') || is_padded(number) => {
                return Err(self.unexpected("a number without `+` and `0` before it"));
            }
            number => match (number.parse(), number.parse::<f64>()) {
                (Ok(integer), _) => Value::Integer(integer),
                (Err(_), Ok(float)) if float.is_finite() => Value::Float(float),
                (Err(_), Ok(_) | Err(_)) => return Err(self.unexpected("a value")),
            },
        };
        self.position += length;
        Ok(value)
    }

    fn string(&mut self, expected: &str) -> Result<String, SyntaxError> {
        if self.peek() != Some('"') {
            return Err(self.unexpected(expected));
        }
        let rest = &self.text[self.position..];
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                self.position += strings.byte_offset();
                Ok(text)
            }
            Some(Err(error)) => {
                let reason = error.to_string();
                let reason = reason.split(" at line ").next().unwrap_or_default();
                Err(self.error(&format!("in this string: {reason}")))
            }
            None => Err(self.unexpected(expected)),
        }
    }

    /// A comma, unless the end is next, which is not taken.
    fn separate(&mut self, end: char) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(',') => self.position += 1,
            Some(next) if next == end => {}
            _ => return Err(self.unexpected(&format!("`,` or `{end}`"))),
        }
        Ok(())
    }

    fn expect(&mut self, wanted: char, expected: &str) -> Result<(), SyntaxError> {
        if self.peek() != Some(wanted) {
            return Err(self.unexpected(expected));
        }
        self.position += 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        match self.depth > DEEPEST {
            true => Err(self.error("objects and lists are nested too deeply")),
            false => Ok(()),
        }
    }

    /// Takes the end, which is next.
    fn leave(&mut self) {
        self.position += 1;
        self.depth -= 1;
    }

    /// The next character that is not a blank.
    fn peek(&mut self) -> Option<char> {
        for character in self.text[self.position..].chars() {
            match character {
                '\n' => self.line += 1,
                ' ' | '\t' | '\r' => {}
                other => return Some(other),
            }
            self.position += 1;
        }
        None
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        let found = match self.text[self.position..].chars().next() {
            Some(character) => format!("`{character}`"),
            None => "the end of the file".to_owned(),
        };
        self.error(&format!("expected {expected}, found {found}"))
    }

    fn error(&self, reason: &str) -> SyntaxError {
        SyntaxError::at(self.text, self.position, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_keeps_its_order_its_place_and_its_double() {
        let body = parse("{\n\"b\": 1,\n\"a\": [2, {\"c\": null}],\n\n\"b\": .5,\n}").unwrap();

        let found: Vec<_> = body
            .iter()
            .map(|item| (item.key.as_str(), item.place.line))
            .collect();
        assert_eq!(found, [("b", 2), ("a", 3), ("b", 5)]);
        assert_eq!(body[2].value, Value::Float(0.5));
    }

    #[test]
    fn commas_too_many_in_a_list_say_nothing() {
        let many = parse(r#"{"a": [, "x",, "y",]}"#);

        assert_eq!(many, parse(r#"{"a": ["x", "y"]}"#));
        assert!(many.is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let cases = [
            ("[]", "line 1, column 1: expected an object, found `[`"),
            (
                "{",
                "line 1, column 2: expected a key in quotes, found the end of the file",
            ),
            (
                "{} x",
                "line 1, column 4: expected the end of the file, found `x`",
            ),
            ("{\"a\" 1}", "line 1, column 6: expected `:`, found `1`"),
            (
                "{\"a\": 1 \"b\"",
                "line 1, column 9: expected `,` or `}`, found `\"`",
            ),
            (
                "{\"a\":\n  tru}",
                "line 2, column 3: expected a value, found `t`",
            ),
            (
                "{\"a\":\n  \"é\\q\"}",
                "line 2, column 3: in this string: invalid escape",
            ),
            (
                "{\"a\": 0640}",
                "line 1, column 7: expected a number without `+` and `0` before it, found `0`",
            ),
            (
                "{\"a\": +5}",
                "line 1, column 7: expected a number without `+` and `0` before it, found `+`",
            ),
            (
                "{\"a\": -08}",
                "line 1, column 7: expected a number without `+` and `0` before it, found `-`",
            ),
            (
                "{\"a\": 1e999}",
                "line 1, column 7: expected a value, found `1`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        let deep = "[".repeat(100_000);
        let error = parse(&format!("{{\"a\": {deep}")).unwrap_err();
        assert!(error.reason.ends_with("nested too deeply"));
    }
}
