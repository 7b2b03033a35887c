//! Pipelines, commands and their operands.

use crate::ast::{Fields, Number};
use crate::number::{Base, parse_float, parse_int, parse_uint};

use super::{
    Command, Error, Keyword, Kind, Name, Parser, Pipe, Term, Text, Token, Variable, quote,
};

impl<'t> Parser<'t, '_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        let mut pipe = Pipe {
            offset: self.peek_word().offset,
            declared: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_word();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Keyword(Keyword::Nil)
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.give_back(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        self.check(&pipe, context)?;
        Ok(pipe)
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        while self.peek_word().kind == Kind::Variable {
            let variable = self.next();
            // In `$x foo` the blank must be given back too: `$x` is then an argument.
            let after = self.next();
            let space = (after.kind == Kind::Space).then_some(after);
            let next = if space.is_some() {
                self.next_word()
            } else {
                after
            };
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.declare(pipe, &variable);
                    return Ok(());
                }
                Kind::Char if next.text == b"," => {
                    self.declare(pipe, &variable);
                    if context != "range" || pipe.declared.len() > 1 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    match self.peek_word().kind {
                        Kind::Variable | Kind::RightDelimiter | Kind::RightParen => {}
                        _ => return Err(self.error("range can only initialize variables")),
                    }
                }
                _ => {
                    self.give_back(next);
                    self.ahead.extend(space);
                    self.give_back(variable);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn declare(&mut self, pipe: &mut Pipe, token: &Token<'t>) {
        let variable = self.variable(token);
        self.body.declare(variable.name);
        pipe.declared.push(variable);
    }

    fn variable(&mut self, token: &Token<'t>) -> Variable {
        let next = self.names.len() as Name;
        Variable {
            name: *self.names.entry(token.text).or_insert(next),
            text: self.part(token),
        }
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Result<(), Error> {
        if pipe.commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if let Some(
                Term::Bool(..) | Term::Dot(_) | Term::Nil(_) | Term::Number(..) | Term::Text { .. },
            ) = command.args.first()
            {
                let stage = index + 1;
                return Err(self.error(format!("non executable command in pipeline stage {stage}")));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, Error> {
        let mut args = Vec::new();
        loop {
            self.peek_word();
            args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelimiter | Kind::RightParen => {
                    self.give_back(token);
                    break;
                }
                Kind::Pipe => break,
                _ => return Err(self.unexpected(&token, "operand")),
            }
        }
        if args.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(Command { args })
    }

    fn operand(&mut self) -> Result<Option<Term>, Error> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut fields = Fields {
            offset: self.peek().offset,
            names: Vec::new(),
        };
        while self.peek().kind == Kind::Field {
            let token = self.next();
            fields.names.push(self.field_name(&token));
        }
        Ok(Some(match term {
            Term::Field(mut first) => {
                first.names.append(&mut fields.names);
                fields.names = first.names;
                Term::Field(fields)
            }
            Term::Variable(variable, _) => Term::Variable(variable, fields),
            Term::Bool(..) | Term::Dot(_) | Term::Nil(_) | Term::Number(..) | Term::Text { .. } => {
                let term = quote::quoted(term.to_string().as_bytes());
                return Err(self.error(format!("unexpected . after term {term}")));
            }
            Term::Function(..) | Term::Chain(..) | Term::Pipe(_) => {
                Term::Chain(Box::new(term), fields)
            }
        }))
    }

    /// Without the point.
    fn field_name(&self, token: &Token<'_>) -> Text {
        self.source
            .slice(token.offset + 1, token.offset + token.text.len())
    }

    fn term(&mut self) -> Result<Option<Term>, Error> {
        let token = self.next_word();
        let offset = token.offset;
        Ok(Some(match token.kind {
            Kind::Identifier => match (self.resolve)(token.text) {
                Some(function) => Term::Function(offset, function),
                None => {
                    let name = quote::quoted(token.text);
                    return Err(self.error(format!("function {name} not defined")));
                }
            },
            // `break` and `continue` are words only at the start of an action.
            Kind::Dot => Term::Dot(offset),
            Kind::Keyword(Keyword::Nil) => Term::Nil(offset),
            Kind::Variable => {
                let variable = self.variable(&token);
                if !self.body.knows(variable.name) {
                    let name = quote::quoted(token.text);
                    return Err(self.error(format!("undefined variable {name}")));
                }
                let names = Vec::new();
                Term::Variable(variable, Fields { offset, names })
            }
            Kind::Field => Term::Field(Fields {
                offset,
                names: vec![self.field_name(&token)],
            }),
            Kind::Bool => Term::Bool(offset, token.text == b"true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => Term::Number(
                offset,
                number(&token, self.part(&token)).map_err(|text| self.error(text))?,
            ),
            Kind::LeftParen => {
                Term::Pipe(Box::new(self.nested(|parser| {
                    parser.pipeline("parenthesized pipeline", Kind::RightParen)
                })?))
            }
            Kind::String | Kind::RawString => Term::Text {
                offset,
                quoted: self.part(&token),
                text: self.unquote(&token)?,
            },
            _ => {
                self.give_back(token);
                return Ok(None);
            }
        }))
    }
}

/// Every type a literal can be.
fn number(token: &Token<'_>, source: Text) -> Result<Number, String> {
    let text = token.text;
    let mut number = Number {
        text: source,
        ..Number::default()
    };
    if token.kind == Kind::CharConstant {
        let code = quote::character(text).map_err(|malformed| match malformed {
            quote::Malformed::Syntax => "invalid syntax".to_owned(),
            quote::Malformed::Extra => {
                format!(
                    "malformed character constant: {}",
                    String::from_utf8_lossy(text)
                )
            }
        })?;
        number.int = Some(i64::from(code));
        number.uint = Some(u64::from(code));
        number.float = Some(f64::from(code));
        return Ok(number);
    }
    if let Some(complex) = complex(token)? {
        number.complex = Some(complex);
        if complex.1 == 0.0 {
            number.float = Some(complex.0);
            integral(&mut number, complex.0);
        }
        return Ok(number);
    }
    number.uint = parse_uint(text, Base::Prefixed).ok();
    number.int = parse_int(text, Base::Prefixed).ok();
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else {
        let shown = quote::quoted(text);
        let float = parse_float(text).map_err(|_| format!("illegal number syntax: {shown}"))?;
        if !text.iter().any(|byte| b".eEpP".contains(byte)) {
            return Err(format!("integer overflow: {shown}"));
        }
        number.float = Some(float);
        integral(&mut number, float);
    }
    Ok(number)
}

/// `1i` and `1+2i`.
fn complex(token: &Token<'_>) -> Result<Option<(f64, f64)>, String> {
    let Some(text) = token.text.strip_suffix(b"i") else {
        return Ok(None);
    };
    if token.kind == Kind::Number {
        return Ok(parse_float(text).ok().map(|imaginary| (0.0, imaginary)));
    }
    let mut rest = text;
    let real = float_token(&mut rest);
    if !matches!(rest, [b'+' | b'-', ..]) {
        return Err(MALFORMED_COMPLEX.to_owned());
    }
    let imaginary = float_token(&mut rest);
    // Go looks for the `i` of an infinity after a sign, and then misses it at the end.
    if !rest.is_empty() || imaginary.len() == 1 {
        return Err(MALFORMED_COMPLEX.to_owned());
    }
    let parse = |part: &[u8]| {
        parse_float(part).map_err(|error| {
            let failure = error.failure("ParseFloat", part);
            failure.message(|_| true)
        })
    };
    Ok(Some((parse(real)?, parse(imaginary)?)))
}

const MALFORMED_COMPLEX: &str = "syntax error scanning complex number";

/// The text that Go's scanner takes for a float, sound or not.
fn float_token<'t>(rest: &mut &'t [u8]) -> &'t [u8] {
    let text = *rest;
    let mut at = 0;
    let accept = |at: &mut usize, set: &[u8]| {
        let found = text.get(*at).is_some_and(|byte| set.contains(byte));
        *at += usize::from(found);
        found
    };
    const DECIMAL: &[u8] = b"0123456789_";
    accept(&mut at, b"+-");
    let (mut digits, mut exponent) = (DECIMAL, &b"eEpP"[..]);
    if accept(&mut at, b"0") && accept(&mut at, b"xX") {
        digits = b"0123456789aAbBcCdDeEfF_";
        exponent = b"pP";
    }
    while accept(&mut at, digits) {}
    if accept(&mut at, b".") {
        while accept(&mut at, digits) {}
    }
    if accept(&mut at, exponent) {
        accept(&mut at, b"+-");
        while accept(&mut at, DECIMAL) {}
    }
    *rest = &text[at..];
    &text[..at]
}

/// A float without a fraction is also an integer.
fn integral(number: &mut Number, float: f64) {
    const BEYOND_INT: f64 = 9_223_372_036_854_775_808.0;
    const BEYOND_UINT: f64 = 18_446_744_073_709_551_616.0;
    if float.trunc() != float {
        return;
    }
    if number.int.is_none() && (-BEYOND_INT..BEYOND_INT).contains(&float) {
        number.int = Some(float as i64);
    }
    if number.uint.is_none() && (0.0..BEYOND_UINT).contains(&float) {
        number.uint = Some(float as u64);
    }
}
