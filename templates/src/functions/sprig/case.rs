//! Case styles: how `HTTPServer_2x` falls apart into words.

use crate::unicode;

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
    /// What belongs to the word before without a connector.
    fn is_boundary(self) -> bool {
        matches!(self, Self::Connector | Self::Punctuation)
    }

    fn is_alphanumeric(self) -> bool {
        matches!(self, Self::Alphabet | Self::Number)
    }
}

fn is_upper(c: char) -> bool {
    unicode::is_letter(c) && unicode::lower(c) != c
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || unicode::is_space(c)
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c)
}

/// The word at the start, and its length.
fn next_word(chars: &[char]) -> (Word, usize) {
    let Some(&first) = chars.first() else {
        return (Word::Nothing, 0);
    };
    let run = |from: usize, belongs: &dyn Fn(char) -> bool| {
        let rest = &chars[from..];
        from + rest.iter().take_while(|&&c| belongs(c)).count()
    };
    let is_small = |c: char| unicode::is_letter(c) && !is_upper(c);
    if is_connector(first) {
        return (Word::Connector, run(1, &is_connector));
    }
    if is_punctuation(first) {
        return (Word::Punctuation, run(1, &is_punctuation));
    }
    if is_upper(first) {
        let length = run(1, &is_upper);
        // The last capital of HTTPServer starts the next word.
        let length = match (length, chars.get(length)) {
            (1, _) => run(1, &is_small),
            (_, Some(&next)) if unicode::is_letter(next) => length - 1,
            _ => length,
        };
        return (Word::Upper, length);
    }
    if unicode::is_letter(first) {
        return (Word::Alphabet, run(1, &is_small));
    }
    if unicode::is_digit(first) {
        return (Word::Number, run(1, &unicode::is_digit));
    }
    let is_other = |c: char| {
        !(is_connector(c) || is_punctuation(c) || unicode::is_letter(c) || unicode::is_digit(c))
    };
    (Word::Other, run(1, &is_other))
}

struct Splitter<'c> {
    rest: &'c [char],
    out: String,
    connector: char,
    kind: Word,
    word: &'c [char],
}

impl Splitter<'_> {
    fn advance(&mut self) {
        let (kind, length) = next_word(self.rest);
        (self.word, self.rest) = self.rest.split_at(length);
        self.kind = kind;
    }

    fn write(&mut self) {
        let lowers = matches!(self.kind, Word::Upper | Word::Connector);
        for &c in self.word {
            self.out.push(match c {
                c if !lowers => c,
                c if is_connector(c) => self.connector,
                c => unicode::lower(c),
            });
        }
    }

    fn write_alphanumeric(&mut self) {
        while self.kind.is_alphanumeric() {
            self.write();
            self.advance();
        }
        if self.kind != Word::Nothing && !self.kind.is_boundary() {
            self.out.push(self.connector);
        }
    }

    /// What follows a word of letters.
    fn after_letters(&mut self) {
        if self.kind != Word::Number {
            if !self.kind.is_boundary() {
                self.out.push(self.connector);
            }
            return;
        }
        if self.rest.is_empty() {
            return;
        }
        let number = self.word;
        self.advance();
        if self.kind == Word::Alphabet {
            self.out.push(self.connector);
            self.out.extend(number);
            self.write_alphanumeric();
            return;
        }
        // Bld4Floor: the number belongs to the word before.
        self.out.extend(number);
        if !self.kind.is_boundary() {
            self.out.push(self.connector);
        }
    }
}

/// Lower-case words with a connector between them.
pub(super) fn connected(whole: &[u8], connector: char) -> String {
    let chars: Vec<char> = unicode::chars(whole).collect();
    let mut splitter = Splitter {
        rest: &chars,
        out: String::new(),
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
    let chars: Vec<char> = unicode::chars(whole).collect();
    let leading = chars.iter().take_while(|&&c| is_connector(c)).count();
    let mut out: String = chars[..leading].iter().collect();
    let Some((&first, rest)) = chars[leading..].split_first() else {
        return out;
    };
    let mut in_capitals = is_upper(first);
    let mut last = unicode::upper(first);
    for &c in rest {
        let mut c = c;
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
