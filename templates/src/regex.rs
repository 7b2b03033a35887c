//! Go's regular expressions: the same syntax, the same leftmost-first matches, time linear in the text.

mod alphabet;
mod class;
mod dfa;
mod groups;
mod machine;
mod parse;
mod patterns;
mod program;

use std::cell::RefCell;

use crate::error::Failure;
use crate::meter::Meter;
use crate::unicode;

use alphabet::Alphabet;
use dfa::{Dfa, Goal, Search};
use groups::Groups;
use parse::Node;
use program::{Direction, Pay, Program};

pub(crate) use patterns::Patterns;

pub(crate) struct Regex {
    node: Node,
    program: Program,
    /// By group number; unnamed groups have empty names.
    names: Vec<String>,
    is_blank: bool,
    known: RefCell<Known>,
}

/// Facts that searches have found out about a pattern.
#[derive(Default)]
struct Known {
    alphabet: Option<Alphabet>,
    forwards: Option<Dfa>,
    backwards: Option<(Program, Dfa)>,
    groups: Groups,
}

/// Start and end of a match.
type Span = (usize, usize);

/// Start and end of the match and of its groups.
type Spans = Vec<Option<Span>>;

impl Regex {
    /// The cost of compiling one byte of a pattern, and of making one instruction.
    const COMPILED: usize = 200;
    /// The cost of making a class of characters, also of one of Unicode and of a folded one.
    const CLASS: usize = 100_000;
    /// The memory of the parts of one byte of a pattern.
    const PARTS: usize = 128;

    fn compile(meter: &mut Meter, pattern: &[u8]) -> Result<Self, Failure> {
        let classes = pattern.iter().filter(|byte| b"pP[".contains(byte)).count();
        meter.charge(pattern.len() * Self::COMPILED + classes * Self::CLASS)?;
        // The parts of a pattern that is too long are in memory before it is refused.
        meter.has_room(pattern.len() * Self::PARTS)?;
        let parsed = parse::parse(pattern)
            .map_err(|error| error.failure().under("error parsing regexp: "))?;
        let program = Program::compile(&parsed.node, parsed.names.len(), Direction::Forwards)?;
        meter.charge(program.len() * Self::COMPILED)?;
        Ok(Self {
            node: parsed.node,
            program,
            names: parsed.names,
            is_blank: pattern.is_empty(),
            known: RefCell::default(),
        })
    }

    /// The end of the leftmost match.
    fn end(
        &self,
        meter: &mut Meter,
        text: &[u8],
        from: usize,
        goal: Goal,
    ) -> Result<Option<usize>, Failure> {
        let pay: Pay<'_> = &mut |units| meter.charge(units);
        let known = &mut *self.known.borrow_mut();
        let alphabet = match &mut known.alphabet {
            Some(alphabet) => alphabet,
            none => none.insert(Alphabet::of(&self.program, pay)?),
        };
        let fresh = || Dfa::new(&self.program, alphabet);
        let dfa = known.forwards.get_or_insert_with(fresh);
        let search = Search {
            program: &self.program,
            alphabet,
            text,
        };
        dfa.end(search, from, goal, pay)
    }

    /// The leftmost match at or behind `from`.
    fn find_at(
        &self,
        meter: &mut Meter,
        text: &[u8],
        from: usize,
    ) -> Result<Option<Span>, Failure> {
        let Some(end) = self.end(meter, text, from, Goal::Preferred)? else {
            return Ok(None);
        };
        if end == from {
            return Ok(Some((from, end)));
        }
        let pay: Pay<'_> = &mut |units| meter.charge(units);
        let known = &mut *self.known.borrow_mut();
        let alphabet = known.alphabet.as_ref();
        let alphabet = alphabet.expect("the end was found with it");
        let (program, dfa) = match &mut known.backwards {
            Some(backwards) => backwards,
            none => {
                let program = Program::compile(&self.node, 0, Direction::Backwards)?;
                pay(program.len() * Self::COMPILED)?;
                let dfa = Dfa::new(&program, alphabet);
                none.insert((program, dfa))
            }
        };
        let search = Search {
            program,
            alphabet,
            text,
        };
        let start = dfa.start(search, (from, end), pay)?;
        Ok(start.map(|start| (start, end)))
    }

    /// The match and its groups.
    fn groups(&self, meter: &mut Meter, text: &[u8], span: Span) -> Result<Spans, Failure> {
        let mut known = self.known.borrow_mut();
        let pay: Pay<'_> = &mut |units| meter.charge(units);
        known.groups.find(&self.program, text, span, pay)
    }

    pub(crate) fn is_match(&self, meter: &mut Meter, text: &[u8]) -> Result<bool, Failure> {
        Ok(self.end(meter, text, 0, Goal::Any)?.is_some())
    }

    /// The first match.
    pub(crate) fn find<'t>(
        &self,
        meter: &mut Meter,
        text: &'t [u8],
    ) -> Result<Option<&'t [u8]>, Failure> {
        let span = self.find_at(meter, text, 0)?;
        Ok(span.map(|(from, to)| &text[from..to]))
    }

    /// At most `count` matches; a negative count means all.
    pub(crate) fn find_all(
        &self,
        meter: &mut Meter,
        text: &[u8],
        count: i64,
    ) -> Result<Vec<Span>, Failure> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut at = 0;
        let mut last_end = None;
        while found.len() < most && at <= text.len() {
            let Some((from, to)) = self.find_at(meter, text, at)? else {
                break;
            };
            let is_repeated = to == at && Some(from) == last_end;
            at = if to == at { at + width(text, at) } else { to };
            last_end = Some(to);
            if !is_repeated {
                // The list grows by doubling.
                meter.keep(2 * size_of::<Span>())?;
                found.push((from, to));
            }
        }
        Ok(found)
    }

    /// `Regexp.Split`.
    pub(crate) fn split<'t>(
        &self,
        meter: &mut Meter,
        text: &'t [u8],
        count: i64,
    ) -> Result<Vec<&'t [u8]>, Failure> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if !self.is_blank && text.is_empty() {
            return Ok(vec![text]);
        }
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut pieces = Vec::new();
        let (mut start, mut end) = (0, 0);
        for (from, to) in self.find_all(meter, text, count)? {
            if pieces.len() + 1 == most {
                break;
            }
            end = from;
            if to != 0 {
                pieces.push(&text[start..end]);
            }
            start = to;
        }
        if end != text.len() {
            pieces.push(&text[start..]);
        }
        Ok(pieces)
    }

    /// Replaces every match; `$1` and `${name}` stand for groups.
    pub(crate) fn replace_all(
        &self,
        meter: &mut Meter,
        text: &[u8],
        replacement: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let parts = parts(replacement);
        let whole = |part: &Part<'_>| matches!(part, Part::Text(_) | Part::Group("0"));
        let is_simple = parts.iter().all(whole);
        self.replace_with(meter, text, |meter, out, span| {
            let spans = match is_simple {
                true => vec![Some(span)],
                false => self.groups(meter, text, span)?,
            };
            for part in &parts {
                let own = match part {
                    Part::Text(own) => *own,
                    Part::Group(name) => {
                        meter.charge(self.names.len())?;
                        let (from, to) = self.group(name, &spans).unwrap_or_default();
                        &text[from..to]
                    }
                };
                meter.write(out, own)?;
            }
            Ok(())
        })
    }

    /// Replaces every match by a text as it is.
    pub(crate) fn replace_all_literal(
        &self,
        meter: &mut Meter,
        text: &[u8],
        replacement: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.replace_with(meter, text, |meter, out, _| meter.write(out, replacement))
    }

    fn replace_with(
        &self,
        meter: &mut Meter,
        text: &[u8],
        replace: impl Fn(&mut Meter, &mut Vec<u8>, Span) -> Result<(), Failure>,
    ) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let (mut at, mut last_end) = (0, 0);
        while at <= text.len() {
            let Some((from, to)) = self.find_at(meter, text, at)? else {
                break;
            };
            meter.write(&mut out, &text[last_end..from])?;
            if to > last_end || from == 0 {
                replace(meter, &mut out, (from, to))?;
            }
            last_end = to;
            at = to.max(at + width(text, at));
        }
        meter.write(&mut out, &text[last_end..])?;
        Ok(out)
    }

    fn group(&self, name: &str, spans: &Spans) -> Option<(usize, usize)> {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            let is_plain = name == "0" || !name.starts_with('0');
            let number = name.parse::<usize>().ok().filter(|_| is_plain)?;
            return spans.get(number).copied().flatten();
        }
        let named = self.names.iter().zip(spans);
        named
            .filter(|(own, _)| *own == name)
            .find_map(|(_, span)| *span)
    }
}

fn width(text: &[u8], at: usize) -> usize {
    unicode::decode(&text[at.min(text.len())..]).1.max(1)
}

/// A part of a replacement.
enum Part<'r> {
    Text(&'r [u8]),
    /// The number or the name of a group.
    Group(&'r str),
}

fn parts(replacement: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = replacement;
    while let Some(at) = memchr::memchr(b'$', rest) {
        let (before, dollar) = rest.split_at(at);
        parts.push(Part::Text(before));
        rest = &dollar[1..];
        if let Some(tail) = rest.strip_prefix(b"$") {
            parts.push(Part::Text(b"$"));
            rest = tail;
        } else if let Some((name, tail)) = group_name(rest) {
            parts.push(Part::Group(name));
            rest = tail;
        } else {
            parts.push(Part::Text(b"$"));
        }
    }
    parts.push(Part::Text(rest));
    parts
}

/// The name after a `$`, and what follows it.
fn group_name(rest: &[u8]) -> Option<(&str, &[u8])> {
    let (is_braced, body) = match rest.strip_prefix(b"{") {
        Some(body) => (true, body),
        None => (false, rest),
    };
    let mut length = 0;
    for unit in unicode::units(body) {
        let is_word = |c| c == '_' || unicode::is_letter(c) || unicode::is_digit(c);
        if !unicode::decode(unit).0.is_some_and(is_word) {
            break;
        }
        length += unit.len();
    }
    let (name, tail) = body.split_at(length);
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty())?;
    if is_braced {
        return Some((name, tail.strip_prefix(b"}")?));
    }
    Some((name, tail))
}
