//! Go's regular expressions: the same syntax, the same leftmost-first matches, time linear in the text.
//! A general crate would bring Unicode rules that Go does not have, and half a megabyte.

mod class;
mod parse;
mod program;

use crate::error::Failure;
use crate::exec::Run;
use crate::unicode;

use program::Program;

pub(crate) struct Regex {
    program: Program,
    /// By group number; unnamed groups have empty names.
    names: Vec<String>,
    is_blank: bool,
}

/// The slots of the match itself, without its groups.
const WHOLE: usize = 2;

/// Start and end of the match and of its groups.
type Spans = Vec<Option<(usize, usize)>>;

impl Regex {
    /// What compiling one byte of a pattern, and making one instruction, costs.
    const COMPILED: usize = 200;
    /// What making a class of characters costs, of Unicode or folded as it may be.
    const CLASS: usize = 100_000;

    pub(crate) fn compile(run: &mut Run<'_>, pattern: &[u8]) -> Result<Self, Failure> {
        let classes = pattern.iter().filter(|byte| b"pP[".contains(byte)).count();
        run.charge(pattern.len() * Self::COMPILED + classes * Self::CLASS)?;
        let parsed = parse::parse(pattern)
            .map_err(|error| error.failure().under("error parsing regexp: "))?;
        let program = Program::compile(&parsed.node, parsed.names.len())?;
        run.charge(program.len() * Self::COMPILED)?;
        Ok(Self {
            program,
            names: parsed.names,
            is_blank: pattern.is_empty(),
        })
    }

    fn find_at(
        &self,
        run: &mut Run<'_>,
        text: &[u8],
        from: usize,
    ) -> Result<Option<Spans>, Failure> {
        self.search(run, text, from, WHOLE)
    }

    fn search(
        &self,
        run: &mut Run<'_>,
        text: &[u8],
        from: usize,
        kept: usize,
    ) -> Result<Option<Spans>, Failure> {
        self.program
            .find(text, from, kept, &mut |units| run.charge(units))
    }

    pub(crate) fn is_match(&self, run: &mut Run<'_>, text: &[u8]) -> Result<bool, Failure> {
        Ok(self.find_at(run, text, 0)?.is_some())
    }

    /// The first match.
    pub(crate) fn find<'t>(
        &self,
        run: &mut Run<'_>,
        text: &'t [u8],
    ) -> Result<Option<&'t [u8]>, Failure> {
        let spans = self.find_at(run, text, 0)?;
        Ok(spans
            .and_then(|spans| spans[0])
            .map(|(from, to)| &text[from..to]))
    }

    /// At most `count` matches; a negative count means all.
    pub(crate) fn find_all(
        &self,
        run: &mut Run<'_>,
        text: &[u8],
        count: i64,
    ) -> Result<Vec<(usize, usize)>, Failure> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut at = 0;
        let mut last_end = None;
        while found.len() < most && at <= text.len() {
            let Some((from, to)) = self.find_at(run, text, at)?.and_then(|spans| spans[0]) else {
                break;
            };
            let is_repeated = to == at && Some(from) == last_end;
            at = if to == at { at + width(text, at) } else { to };
            last_end = Some(to);
            if !is_repeated {
                found.push((from, to));
            }
        }
        Ok(found)
    }

    /// `Regexp.Split`.
    pub(crate) fn split<'t>(
        &self,
        run: &mut Run<'_>,
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
        for (from, to) in self.find_all(run, text, count)? {
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
        run: &mut Run<'_>,
        text: &[u8],
        replacement: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let kept = match replacement.contains(&b'$') {
            true => usize::MAX,
            false => WHOLE,
        };
        self.replace_with(run, text, kept, |out, spans| {
            self.expand(out, replacement, text, spans);
        })
    }

    /// Replaces every match by a text as it is.
    pub(crate) fn replace_all_literal(
        &self,
        run: &mut Run<'_>,
        text: &[u8],
        replacement: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.replace_with(run, text, WHOLE, |out, _| {
            out.extend_from_slice(replacement);
        })
    }

    fn replace_with(
        &self,
        run: &mut Run<'_>,
        text: &[u8],
        kept: usize,
        replace: impl Fn(&mut Vec<u8>, &Spans),
    ) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let (mut at, mut last_end) = (0, 0);
        while at <= text.len() {
            let Some(spans) = self.search(run, text, at, kept)? else {
                break;
            };
            let (from, to) = spans[0].unwrap_or_default();
            out.extend_from_slice(&text[last_end..from]);
            if to > last_end || from == 0 {
                let before = out.len();
                replace(&mut out, &spans);
                run.charge(out.len() - before)?;
            }
            last_end = to;
            at = to.max(at + width(text, at));
        }
        out.extend_from_slice(&text[last_end..]);
        Ok(out)
    }

    fn expand(&self, out: &mut Vec<u8>, template: &[u8], text: &[u8], spans: &Spans) {
        let mut rest = template;
        while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix(b"$") {
                out.push(b'$');
                rest = tail;
                continue;
            }
            let Some((name, tail)) = group_name(rest) else {
                out.push(b'$');
                continue;
            };
            rest = tail;
            if let Some((from, to)) = self.group(name, spans) {
                out.extend_from_slice(&text[from..to]);
            }
        }
        out.extend_from_slice(rest);
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
