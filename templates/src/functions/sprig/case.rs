//! Case styles: how `HTTPServer_2x` falls apart into words.

use std::sync::LazyLock;

use crate::unicode::{self, classes::class};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

impl Word {
    /// Whether it belongs to the word before without a connector.
    fn is_boundary(self) -> bool {
        matches!(self, Self::Connector | Self::Punctuation)
    }

    fn is_alphanumeric(self) -> bool {
        matches!(self, Self::Alphabet | Self::Number)
    }
}

/// The characters beyond ASCII that one letter of Unicode's categories names.
struct Category(LazyLock<Vec<(u32, u32)>>);

impl Category {
    fn has(&self, c: char) -> bool {
        let code = u32::from(c);
        let after = self.0.partition_point(|&(first, _)| first <= code);
        after > 0 && code <= self.0[after - 1].1
    }
}

static CAPITALS: Category = Category(LazyLock::new(|| class("Lu").unwrap_or_default()));
static PUNCTUATION: Category = Category(LazyLock::new(|| class("P").unwrap_or_default()));
static NUMBERS: Category = Category(LazyLock::new(|| class("N").unwrap_or_default()));

fn is_upper(c: char) -> bool {
    c.is_ascii_uppercase() || !c.is_ascii() && CAPITALS.has(c)
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || unicode::is_space(c)
}

fn is_punctuation(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c),
        false => PUNCTUATION.has(c),
    }
}

/// Ideographs have no case and count as no letters.
fn is_letter(c: char) -> bool {
    let is_ideograph = matches!(
        c,
        '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}'
    );
    unicode::is_letter(c) && !is_ideograph
}

fn is_number(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && NUMBERS.has(c)
}

/// Characters of a text one after the other. Bytes that are no character count for more of the one before them.
#[derive(Clone, Copy)]
struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
    last: char,
}

impl Cursor<'_> {
    /// The next character and where it ends.
    fn peek(&self) -> Option<(char, usize)> {
        if self.at == self.text.len() {
            return None;
        }
        let mut at = self.at;
        while at < self.text.len() {
            let (c, width) = unicode::decode(&self.text[at..]);
            at += width;
            if let Some(c) = c.filter(|&c| c != char::REPLACEMENT_CHARACTER) {
                return Some((c, at));
            }
        }
        Some((self.last, at))
    }

    fn skip_while(&mut self, belongs: fn(char) -> bool) {
        while let Some((c, end)) = self.peek().filter(|&(c, _)| belongs(c)) {
            (self.last, self.at) = (c, end);
        }
    }

    /// The last capital of HTTPServer starts the next word.
    fn skip_capitals(&mut self) {
        let mut before = self.at;
        while let Some((c, end)) = self.peek().filter(|&(c, _)| is_upper(c)) {
            before = self.at;
            (self.last, self.at) = (c, end);
        }
        if self.peek().is_some_and(|(c, _)| is_letter(c)) {
            self.at = before;
        }
    }
}

/// The word at the start, and its length.
fn next_word(text: &[u8]) -> (Word, usize) {
    let mut cursor = Cursor {
        text,
        at: 0,
        last: char::REPLACEMENT_CHARACTER,
    };
    let Some((first, end)) = cursor.peek() else {
        return (Word::Nothing, 0);
    };
    (cursor.last, cursor.at) = (first, end);
    let is_small = |c: char| is_letter(c) && !is_upper(c);
    let is_other =
        |c: char| !(is_connector(c) || is_punctuation(c) || is_letter(c) || is_number(c));
    let kind = match first {
        char::REPLACEMENT_CHARACTER => Word::Nothing,
        c if is_connector(c) => Word::Connector,
        c if is_punctuation(c) => Word::Punctuation,
        c if is_upper(c) => Word::Upper,
        c if is_letter(c) => Word::Alphabet,
        c if is_number(c) => Word::Number,
        _ => Word::Other,
    };
    match kind {
        Word::Nothing => {}
        Word::Connector => cursor.skip_while(is_connector),
        Word::Punctuation => cursor.skip_while(is_punctuation),
        Word::Upper if cursor.peek().is_some_and(|(c, _)| is_upper(c)) => cursor.skip_capitals(),
        Word::Upper | Word::Alphabet => cursor.skip_while(is_small),
        Word::Number => cursor.skip_while(is_number),
        Word::Other => cursor.skip_while(is_other),
    }
    (kind, cursor.at)
}

struct Splitter<'c> {
    rest: &'c [u8],
    out: Vec<u8>,
    connector: char,
    kind: Word,
    word: &'c [u8],
}

impl Splitter<'_> {
    fn advance(&mut self) {
        let (kind, length) = next_word(self.rest);
        (self.word, self.rest) = self.rest.split_at(length);
        self.kind = kind;
    }

    fn write(&mut self) {
        if !matches!(self.kind, Word::Upper | Word::Connector) {
            return self.out.extend_from_slice(self.word);
        }
        for c in unicode::chars(self.word) {
            let c = match c {
                c if is_connector(c) => self.connector,
                c if is_upper(c) => unicode::lower(c),
                c => c,
            };
            unicode::push(&mut self.out, c);
        }
    }

    fn connect(&mut self) {
        unicode::push(&mut self.out, self.connector);
    }

    fn write_alphanumeric(&mut self) {
        while self.kind.is_alphanumeric() {
            self.write();
            self.advance();
        }
        if self.kind != Word::Nothing && !self.kind.is_boundary() {
            self.connect();
        }
    }

    /// Handles the word that follows a word of letters.
    fn after_letters(&mut self) {
        if self.kind != Word::Number {
            if !self.kind.is_boundary() {
                self.connect();
            }
            return;
        }
        if self.rest.is_empty() {
            return;
        }
        let number = self.word;
        self.advance();
        if self.kind == Word::Alphabet {
            self.connect();
            self.out.extend_from_slice(number);
            self.write_alphanumeric();
            return;
        }
        // Bld4Floor: the number belongs to the word before.
        self.out.extend_from_slice(number);
        if !self.kind.is_boundary() {
            self.connect();
        }
    }
}

/// Lower-case words with a connector between them.
pub(super) fn connected(whole: &[u8], connector: char) -> Vec<u8> {
    let mut splitter = Splitter {
        rest: whole,
        out: Vec::new(),
        connector,
        kind: Word::Nothing,
        word: &[],
    };
    splitter.advance();
    while !splitter.rest.is_empty() {
        let before = splitter.kind;
        splitter.write();
        splitter.advance();
        match before {
            Word::Number => splitter.write_alphanumeric(),
            Word::Connector | Word::Punctuation => {}
            _ => splitter.after_letters(),
        }
    }
    splitter.write();
    splitter.out
}

/// `some_words` become `SomeWords`.
pub(super) fn pascal(whole: &[u8]) -> String {
    let mut chars = unicode::chars(whole);
    let mut out = String::new();
    let first = loop {
        match chars.next() {
            Some(c) if is_connector(c) => out.push(c),
            Some(c) => break c,
            None => {
                // In a text of nothing but connectors the last one is written twice.
                let last = out.chars().next_back();
                out.extend(last);
                return out;
            }
        }
    };
    let mut in_capitals = is_upper(first);
    let mut last = unicode::upper(first);
    for mut c in chars {
        if is_connector(c) && is_connector(last) {
            out.push(last);
            last = c;
            continue;
        }
        if is_connector(last) {
            in_capitals = is_upper(c);
            c = unicode::upper(c);
        } else {
            if in_capitals {
                if is_upper(c) {
                    c = unicode::lower(c);
                } else {
                    in_capitals = false;
                }
            }
            out.push(last);
        }
        last = c;
    }
    out.push(last);
    out
}
