//! Looks at a text before the crate does. It refuses what we refuse anyway, and texts that could make the crate
//! recurse too deep, search too long or blame the wrong place.

use crate::error::Error;

use super::refusal;

/// Blocks, `else if` branches and parentheses together. The crate recurses on each.
const DEEPEST: usize = 100;

/// Bytes times tags, backslashes before braces among them: for each, the crate counts lines from
/// the start of the text.
const MOST_WORK: usize = 1 << 27;

const BLANKS: [char; 2] = [' ', '\t'];

/// Checks every tag. Gives the texts of all raw blocks, in order.
pub(super) fn check(source: &str, nesting: usize) -> Result<Vec<&str>, Error> {
    let mut scanner = Scanner {
        source,
        at: 0,
        tags: 0,
        depth: 0,
        deepest: nesting.min(DEEPEST),
        open: Vec::new(),
        raw_texts: Vec::new(),
    };
    while let Some(start) = scanner.next_tag() {
        scanner.tag(start)?;
    }
    scanner.limit_tags(scanner.at)?;
    match scanner.open.pop() {
        Some(block) => {
            let name = block.name;
            Err(scanner.refuse(block.offset, &format!("{{{{#{name}}}}} is not closed")))
        }
        None => Ok(scanner.raw_texts),
    }
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    tags: usize,
    depth: usize,
    deepest: usize,
    open: Vec<Open<'s>>,
    raw_texts: Vec<&'s str>,
}

/// A block that is not closed yet.
struct Open<'s> {
    name: &'s str,
    offset: usize,
    /// How deep its branches nest in the crate's tree.
    depth: usize,
    has_else: bool,
}

/// The words of one tag.
struct Words<'s> {
    first: &'s str,
    has_more: bool,
}

impl<'s> Scanner<'s> {
    fn refuse(&self, offset: usize, words: &str) -> Error {
        refusal(self.source.as_bytes(), offset, words)
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Moves to the next braces that are not text: one backslash makes them text.
    fn next_braces(&mut self, braces: &str) -> Option<usize> {
        loop {
            let start = self.at + self.rest().find(braces)?;
            let before = &self.source[self.at..start];
            let backslashes = before.len() - before.trim_end_matches('\\').len();
            self.at = start + braces.len();
            if backslashes != 1 {
                return Some(start);
            }
            self.tags += 1;
            if braces == "{{" {
                self.skip(braces);
            }
        }
    }

    fn next_tag(&mut self) -> Option<usize> {
        self.next_braces("{{")
    }

    fn tag(&mut self, start: usize) -> Result<(), Error> {
        self.tags += 1;
        self.limit_tags(start)?;
        if self.skip("{{") {
            return self.raw_block(start);
        }
        if self.skip("!") {
            return self.comment(start);
        }
        self.skip_space();
        self.skip("~");
        self.skip_space();
        let sigil = match self.rest().as_bytes().first() {
            Some(&sigil @ (b'#' | b'/' | b'^' | b'>' | b'*' | b'&' | b'{')) => {
                self.at += 1;
                sigil
            }
            _ => b' ',
        };
        self.skip_space();
        match (sigil, self.rest().as_bytes().first()) {
            (b'>', _) | (b'#', Some(b'>')) => {
                return Err(self.refuse(start, "partials are not supported"));
            }
            (b'*', _) | (b'#', Some(b'*')) => {
                return Err(self.refuse(start, "decorators and inline partials are not supported"));
            }
            _ => {}
        }
        let words = self.words(start, sigil == b'{')?;
        match sigil {
            b'#' => self.open(start, &words),
            b'/' => self.close(start, &words),
            b'^' if words.first.is_empty() => self.branch(start, &words),
            b'^' => Err(self.refuse(start, "write {{else}}, or {{#unless …}} for a block")),
            _ if words.first == "else" => self.branch(start, &words),
            _ if words.first.starts_with("else") => {
                let name = words.first;
                let words = format!("`{name}` cannot be told from else; write this.{name}");
                Err(self.refuse(start, &words))
            }
            _ => Ok(()),
        }
    }

    /// `{{{{raw}}}}` was opened; nothing in it is a tag.
    fn raw_block(&mut self, start: usize) -> Result<(), Error> {
        let is_named = |scanner: &mut Self| {
            scanner.skip_space();
            let is_raw = scanner.skip("raw");
            scanner.skip_space();
            is_raw && scanner.skip("}}}}")
        };
        if !is_named(self) {
            return Err(self.refuse(start, "four braces open {{{{raw}}}}, and nothing else"));
        }
        let text = self.at;
        let opens_alone = self.is_alone(start, text);
        let end = self.next_braces("{{{{");
        let is_closed = end.is_some() && {
            self.skip_space();
            self.skip("/") && is_named(self)
        };
        match end {
            Some(end) if is_closed => {
                let mut text = &self.source[text..end];
                if opens_alone {
                    let rest = text.trim_start_matches(BLANKS);
                    text = rest
                        .strip_prefix("\r\n")
                        .or(rest.strip_prefix('\n'))
                        .unwrap_or(rest);
                }
                if self.is_alone(end, self.at) {
                    text = text.trim_end_matches(BLANKS);
                }
                self.raw_texts.push(text);
                Ok(())
            }
            _ => Err(self.refuse(start, "{{{{raw}}}} is not closed with {{{{/raw}}}}")),
        }
    }

    /// Whether a tag is all that stands on its line, which then vanishes.
    fn is_alone(&self, start: usize, end: usize) -> bool {
        let before = self.source[..start].trim_end_matches(BLANKS);
        let after = self.source[end..].trim_start_matches(BLANKS);
        let starts_line = before.is_empty() || before.ends_with(['\n', '\r']);
        starts_line && (after.is_empty() || after.starts_with(['\n', '\r']))
    }

    fn comment(&mut self, start: usize) -> Result<(), Error> {
        self.skip_space();
        let end = if self.skip("--") { "--}}" } else { "}}" };
        match self.rest().find(end) {
            Some(length) => {
                self.at += length + end.len();
                Ok(())
            }
            None => Err(self.refuse(start, &format!("comment is not closed with {end}"))),
        }
    }

    /// Everything up to the closing braces.
    fn words(&mut self, start: usize, is_triple: bool) -> Result<Words<'s>, Error> {
        let mut first = None;
        let mut has_more = false;
        let mut parentheses = 0;
        loop {
            self.skip_space();
            let here = self.at;
            let Some(next) = self.rest().chars().next() else {
                return Err(self.refuse(start, "tag is not closed"));
            };
            match next {
                '}' => {
                    self.closing(start, is_triple)?;
                    if parentheses > 0 {
                        return Err(self.refuse(start, "parenthesis is not closed"));
                    }
                    let first = first.unwrap_or_default();
                    return Ok(Words { first, has_more });
                }
                '(' => {
                    parentheses += 1;
                    self.at += 1;
                    self.limit_depth(here, self.depth + parentheses)?;
                }
                ')' if parentheses == 0 => {
                    return Err(self.refuse(here, "parenthesis was not opened"));
                }
                ')' => {
                    parentheses -= 1;
                    self.at += 1;
                }
                '"' | '\'' => self.string(next)?,
                '=' | '|' | '~' => self.at += 1,
                _ => {
                    let word = self.word()?;
                    has_more |= first.is_some();
                    first.get_or_insert(word);
                    continue;
                }
            }
            has_more |= first.is_some() && next != '~';
        }
    }

    fn closing(&mut self, start: usize, is_triple: bool) -> Result<(), Error> {
        let is_closed = if is_triple {
            self.skip("}}}") || self.skip("}~}}")
        } else {
            self.skip("}}")
        };
        if is_closed {
            return Ok(());
        }
        let braces = if is_triple { "}}}" } else { "}}" };
        Err(self.refuse(start, &format!("tag is not closed with {braces}")))
    }

    /// A string as JSON has it; without quotes of the other sort escaped, which the crate misreads.
    fn string(&mut self, quote: char) -> Result<(), Error> {
        let start = self.at;
        self.at += 1;
        while let Some(next) = self.rest().chars().next() {
            self.at += next.len_utf8();
            match next {
                _ if next == quote => return Ok(()),
                '\\' => {
                    let rest = self.rest();
                    let unicode = rest.strip_prefix('u').and_then(|digits| digits.get(..4));
                    let is_known = rest.starts_with(['\\', '/', 'b', 'f', 'n', 'r', 't'])
                        || quote == '"' && rest.starts_with('"')
                        || unicode.is_some_and(is_scalar);
                    if !is_known {
                        return Err(self.refuse(self.at - 1, "unknown escape in a string"));
                    }
                    self.at += 1;
                }
                '\0'..='\x1f' => {
                    let words = "line breaks in strings are written \\n";
                    return Err(self.refuse(start, words));
                }
                _ => {}
            }
        }
        Err(self.refuse(start, "string is not closed"))
    }

    /// A name, a path or a number.
    fn word(&mut self) -> Result<&'s str, Error> {
        let start = self.at;
        while let Some(next) = self.rest().chars().next() {
            match next {
                '[' => self.bracket()?,
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '$' | ':' | '.' | '/' | '@' => {
                    self.at += 1
                }
                '\u{80}'.. => self.at += next.len_utf8(),
                _ => break,
            }
        }
        let word = &self.source[start..self.at];
        if word.is_empty() {
            let next = self.rest().chars().next().unwrap_or_default();
            let shown = next.escape_debug();
            return Err(self.refuse(start, &format!("unexpected `{shown}` in a tag")));
        }
        let digits = word.strip_prefix('-').unwrap_or(word);
        if digits.starts_with(|digit: char| digit.is_ascii_digit()) && !is_number(digits) {
            let words =
                format!("`{word}` is not a number: write it without exponent and leading zeros");
            return Err(self.refuse(start, &words));
        }
        Ok(word)
    }

    /// A key that is no plain word, as in `data.[a.b]`.
    fn bracket(&mut self) -> Result<(), Error> {
        let start = self.at;
        let inner = &self.rest()[1..];
        let end = inner.find(['[', ']', '{', '}', '(', ')', '"', '\'', '\n']);
        match end {
            Some(end) if inner[end..].starts_with(']') => {
                self.at += end + 2;
                Ok(())
            }
            Some(_) | None => {
                Err(self.refuse(start, "bracket is not closed by `]` after a plain key"))
            }
        }
    }

    fn limit_tags(&self, offset: usize) -> Result<(), Error> {
        let most = MOST_WORK / self.source.len().max(1);
        if self.tags <= most {
            return Ok(());
        }
        let words = format!("a template of this length has at most {most} tags");
        Err(self.refuse(offset, &words).into_limit())
    }

    fn limit_depth(&self, offset: usize, depth: usize) -> Result<(), Error> {
        let deepest = self.deepest;
        if depth <= deepest {
            return Ok(());
        }
        let words = format!("template is nested deeper than {deepest} levels");
        Err(self.refuse(offset, &words).into_limit())
    }

    fn open(&mut self, start: usize, words: &Words<'s>) -> Result<(), Error> {
        self.depth += 1;
        self.limit_depth(start, self.depth)?;
        self.open.push(Open {
            name: words.first,
            offset: start,
            depth: 1,
            has_else: false,
        });
        Ok(())
    }

    fn close(&mut self, start: usize, words: &Words<'s>) -> Result<(), Error> {
        let name = words.first;
        match self.open.pop() {
            Some(block) if block.name == name => {
                self.depth -= block.depth;
                Ok(())
            }
            Some(block) => {
                let expected = block.name;
                let words = format!("{{{{/{name}}}}} closes {{{{#{expected}}}}}");
                Err(self.refuse(start, &words))
            }
            None => Err(self.refuse(start, &format!("{{{{/{name}}}}} closes nothing"))),
        }
    }

    /// `{{else}}`, or `{{else if …}}`, which nests one deeper.
    fn branch(&mut self, start: usize, words: &Words<'s>) -> Result<(), Error> {
        let Some(block) = self.open.last_mut() else {
            return Err(self.refuse(start, "{{else}} outside of a block"));
        };
        if block.has_else {
            return Err(self.refuse(start, "{{else}} after {{else}}"));
        }
        if words.has_more {
            block.depth += 1;
            self.depth += 1;
            return self.limit_depth(start, self.depth);
        }
        block.has_else = true;
        Ok(())
    }
}

/// Four digits that are a character by themselves, and not half of one.
fn is_scalar(digits: &str) -> bool {
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex && u32::from_str_radix(digits, 16).is_ok_and(|code| char::from_u32(code).is_some())
}

fn is_number(digits: &str) -> bool {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    is_plain(whole) && is_plain(fraction) && (whole == "0" || !whole.starts_with('0'))
}
