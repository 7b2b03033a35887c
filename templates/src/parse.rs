//! Builds the tree of a template. A text that Go refuses is refused here, with the same words: a permissive
//! parser would render half a file.

mod term;

use std::collections::{BTreeMap, HashMap};

use planescape_vault::Text;

use crate::ast::{Branch, Command, List, Name, Node, Pipe, Term, Variable};
use crate::error::Error;
use crate::lex::{Delimiters, Keyword, Kind, Lexer, Token};
use crate::quote;

/// The bodies of one text by name; the text's own body has the empty name.
pub(crate) type Bodies = BTreeMap<Text, List>;

/// Says which function a name means.
pub(crate) type Resolve<'f> = &'f dyn Fn(&[u8]) -> Option<&'static crate::function::Function>;

pub(crate) fn parse(
    source: &Text,
    delimiters: Delimiters<'_>,
    resolve: Resolve<'_>,
    nesting: usize,
) -> Result<Bodies, Error> {
    let mut parser = Parser {
        source,
        lexer: Lexer::new(source, delimiters),
        resolve,
        nesting,
        depth: 0,
        bodies: Bodies::new(),
        names: HashMap::from([(&b"$"[..], 0)]),
        ahead: Vec::new(),
        last_line: 0,
        last_offset: 0,
        place: 0,
        body: Body::default(),
    };
    let list = parser.top_level()?;
    parser.add(Text::default(), list)?;
    Ok(parser.bodies)
}

struct Parser<'t, 'f> {
    source: &'t Text,
    lexer: Lexer<'t>,
    resolve: Resolve<'f>,
    nesting: usize,
    depth: usize,
    bodies: Bodies,
    /// The names of variables that were seen, by the number they have.
    names: HashMap<&'t [u8], Name>,
    /// Tokens given back, last one first.
    ahead: Vec<Token<'t>>,
    /// The line of the token read last, which messages name.
    last_line: usize,
    /// The place at which that token begins.
    last_offset: usize,
    /// The place at which the token begins that the parser looks at, which may have been read before.
    place: usize,
    body: Body,
}

/// The state while one body is parsed.
struct Body {
    variables: Vec<Name>,
    /// How many of them have each name.
    counts: HashMap<Name, usize>,
    ranges: usize,
    action_line: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            variables: vec![0],
            counts: HashMap::from([(0, 1)]),
            ranges: 0,
            action_line: 0,
        }
    }
}

impl Body {
    fn declare(&mut self, name: Name) {
        self.variables.push(name);
        *self.counts.entry(name).or_default() += 1;
    }

    fn knows(&self, name: Name) -> bool {
        self.counts.get(&name).is_some_and(|&count| count > 0)
    }

    /// Forgets the variables above this length.
    fn forget(&mut self, length: usize) {
        for name in self.variables.drain(length..) {
            self.counts.entry(name).and_modify(|count| *count -= 1);
        }
    }
}

/// The word that ends a list of nodes.
enum Ended {
    End,
    Else,
}

impl Ended {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ended(Ended),
}

fn is_blank(list: &[Node]) -> bool {
    list.iter().all(|node| match node {
        Node::Text(text) => crate::unicode::trim_space(text).is_empty(),
        Node::Action(..)
        | Node::If(_)
        | Node::With(_)
        | Node::Range(_)
        | Node::Template { .. }
        | Node::Break
        | Node::Continue => false,
    })
}

impl<'t> Parser<'t, '_> {
    fn next(&mut self) -> Token<'t> {
        let token = self.ahead.pop().unwrap_or_else(|| {
            let token = self.lexer.next();
            self.last_line = token.line;
            self.last_offset = token.offset;
            token
        });
        self.place = token.offset;
        token
    }

    fn give_back(&mut self, token: Token<'t>) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> &Token<'t> {
        let token = self.next();
        self.ahead.push(token);
        &self.ahead[self.ahead.len() - 1]
    }

    /// A token as a part of the source, without a copy.
    fn part(&self, token: &Token<'_>) -> Text {
        self.source
            .slice(token.offset, token.offset + token.text.len())
    }

    fn next_word(&mut self) -> Token<'t> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_word(&mut self) -> &Token<'t> {
        let token = self.next_word();
        self.ahead.push(token);
        &self.ahead[self.ahead.len() - 1]
    }

    fn error(&self, message: impl AsRef<str>) -> Error {
        // The line is the original's. The column is that of the token at hand, if it stands in this line.
        let places = [self.place, self.last_offset];
        let mut positions = places.map(|place| self.lexer.position(place)).into_iter();
        let found = positions.find(|position| position.line == self.last_line);
        let column = found.map_or(0, |position| position.column);
        Error::parse(self.last_line, message.as_ref()).at(column)
    }

    fn unexpected(&self, token: &Token<'_>, context: &str) -> Error {
        let shown = match token.kind {
            Kind::Error => return self.lexical(token),
            Kind::Eof => "EOF".to_owned(),
            Kind::Keyword(_) | Kind::Dot => format!("<{}>", String::from_utf8_lossy(token.text)),
            _ if token.text.len() > 10 => {
                let head: Vec<_> = crate::unicode::units(token.text).take(10).collect();
                format!("{}...", quote::quoted(&head.concat()))
            }
            _ => quote::quoted(token.text),
        };
        self.error(format!("unexpected {shown} in {context}"))
    }

    fn lexical(&self, token: &Token<'_>) -> Error {
        let message = self.lexer.message();
        let line = self.body.action_line;
        if line == 0 || line == token.line {
            return self.error(message);
        }
        let within = if message.ends_with(" action") {
            ""
        } else {
            " in action"
        };
        self.error(format!("{message}{within} started at :{line}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'t>, Error> {
        let token = self.next_word();
        if token.kind == kind {
            Ok(token)
        } else {
            Err(self.unexpected(&token, context))
        }
    }

    /// Runs `inner` one level deeper, or refuses.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= self.nesting {
            return Err(self.error("max expression depth exceeded").into_limit());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn add(&mut self, name: Text, list: List) -> Result<(), Error> {
        if let Some(existing) = self.bodies.get(&name)
            && !is_blank(existing)
        {
            if is_blank(&list) {
                return Ok(());
            }
            let name = quote::quoted(&name);
            return Err(self.error(format!("template: multiple definition of template {name}")));
        }
        self.bodies.insert(name, list);
        Ok(())
    }

    fn top_level(&mut self) -> Result<List, Error> {
        let mut list = List::new();
        loop {
            match self.peek().kind {
                Kind::Eof => return Ok(list),
                Kind::LeftDelimiter => {
                    let delimiter = self.next();
                    let word = self.next_word();
                    if word.kind == Kind::Keyword(Keyword::Define) {
                        self.definition()?;
                        continue;
                    }
                    self.give_back(word);
                    self.give_back(delimiter);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Ended(ended) => {
                    return Err(self.error(format!("unexpected {}", ended.text())));
                }
            }
        }
    }

    fn definition(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "define clause";
        let outer = std::mem::take(&mut self.body);
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelimiter, CONTEXT)?;
        self.body_until_end(name, CONTEXT)?;
        self.body = outer;
        Ok(())
    }

    fn body_until_end(&mut self, name: Text, context: &str) -> Result<(), Error> {
        match self.list()? {
            (list, Ended::End) => self.add(name, list),
            (_, ended) => Err(self.error(format!("unexpected {} in {context}", ended.text()))),
        }
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Result<Text, Error> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(token),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn unquote(&self, token: &Token<'_>) -> Result<Text, Error> {
        let is_plain = match token.kind {
            Kind::RawString => !token.text.contains(&b'\r'),
            // A byte that is no character becomes one in a quoted text.
            _ => !token.text.contains(&b'\\') && std::str::from_utf8(token.text).is_ok(),
        };
        if is_plain {
            let part = self.part(token);
            return Ok(part.slice(1, part.len() - 1));
        }
        quote::unquoted(token.text)
            .map(Text::from)
            .map_err(|quote::InvalidSyntax| self.error("invalid syntax"))
    }

    fn list(&mut self) -> Result<(List, Ended), Error> {
        self.nested(|parser| {
            let mut list = List::new();
            while parser.peek_word().kind != Kind::Eof {
                match parser.text_or_action()? {
                    Item::Node(node) => list.push(node),
                    Item::Ended(ended) => return Ok((list, ended)),
                }
            }
            Err(parser.error("unexpected EOF"))
        })
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(self.part(&token)))),
            Kind::LeftDelimiter => {
                self.body.action_line = token.line;
                let item = self.action();
                self.body.action_line = 0;
                item
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.next_word();
        let Kind::Keyword(keyword) = token.kind else {
            return self.plain_action(token);
        };
        let node = match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break => self.jump("{{break}}", Node::Break)?,
            Keyword::Continue => self.jump("{{continue}}", Node::Continue)?,
            Keyword::Else => return self.otherwise(),
            Keyword::End => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::Ended(Ended::End));
            }
            Keyword::If => Node::If(self.branch("if", Keyword::If)?),
            Keyword::Range => Node::Range(self.branch("range", Keyword::Range)?),
            Keyword::With => Node::With(self.branch("with", Keyword::With)?),
            Keyword::Template => self.invocation()?,
            Keyword::Define | Keyword::Nil => return self.plain_action(token),
        };
        Ok(Item::Node(node))
    }

    fn plain_action(&mut self, first: Token<'t>) -> Result<Item, Error> {
        let offset = first.offset;
        self.give_back(first);
        let pipe = self.pipeline("command", Kind::RightDelimiter)?;
        Ok(Item::Node(Node::Action(offset, pipe)))
    }

    fn jump(&mut self, word: &str, node: Node) -> Result<Node, Error> {
        self.expect(Kind::RightDelimiter, word)?;
        if self.body.ranges == 0 {
            return Err(self.error(format!("{word} outside {{{{range}}}}")));
        }
        Ok(node)
    }

    fn otherwise(&mut self) -> Result<Item, Error> {
        let next = self.peek_word().kind;
        if !matches!(next, Kind::Keyword(Keyword::If | Keyword::With)) {
            self.expect(Kind::RightDelimiter, "else")?;
        }
        Ok(Item::Ended(Ended::Else))
    }

    fn branch(&mut self, context: &str, keyword: Keyword) -> Result<Branch, Error> {
        let outer = self.body.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        let is_range = usize::from(keyword == Keyword::Range);
        self.body.ranges += is_range;
        let (list, ended) = self.list()?;
        self.body.ranges -= is_range;
        let otherwise = match ended {
            Ended::End => None,
            Ended::Else => Some(self.else_list(context, keyword)?),
        };
        self.body.forget(outer);
        Ok(Branch {
            offset: pipe.offset,
            pipe,
            list,
            otherwise,
        })
    }

    /// `else if` and `else with` stand for a nested block that shares the outer `end`.
    fn else_list(&mut self, context: &str, keyword: Keyword) -> Result<List, Error> {
        let chained = keyword != Keyword::Range && self.peek().kind == Kind::Keyword(keyword);
        if !chained {
            let (list, ended) = self.list()?;
            return match ended {
                Ended::End => Ok(list),
                Ended::Else => Err(self.error("expected end; found {{else}}")),
            };
        }
        self.next();
        let branch = self.nested(|parser| parser.branch(context, keyword))?;
        Ok(vec![match keyword {
            Keyword::If => Node::If(branch),
            _ => Node::With(branch),
        }])
    }

    fn block(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "block clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelimiter)?;
        let outer = std::mem::take(&mut self.body);
        self.body_until_end(name.clone(), CONTEXT)?;
        self.body = outer;
        Ok(Node::Template {
            offset: token.offset,
            name,
            pipe: Some(pipe),
        })
    }

    fn invocation(&mut self) -> Result<Node, Error> {
        const CONTEXT: &str = "template clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let next = self.next_word();
        let pipe = if next.kind == Kind::RightDelimiter {
            None
        } else {
            self.give_back(next);
            Some(self.pipeline(CONTEXT, Kind::RightDelimiter)?)
        };
        Ok(Node::Template {
            offset: token.offset,
            name,
            pipe,
        })
    }
}
