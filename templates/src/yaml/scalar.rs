//! The properties of a text, which decide how it can be written.

use crate::unicode;

/// The answers of libyaml's scalar analysis.
#[derive(Clone, Copy)]
pub(super) struct Analysis {
    pub(super) multi_line: bool,
    pub(super) plain: bool,
    pub(super) single_quoted: bool,
    pub(super) block: bool,
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_printable(c: char) -> bool {
    matches!(
        c,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
    )
}

#[derive(Default)]
struct Seen {
    indicators: bool,
    line_breaks: bool,
    special: bool,
    space_at_start: bool,
    break_at_start: bool,
    space_at_end: bool,
    break_at_end: bool,
    break_space: bool,
    space_break: bool,
}

pub(super) fn analyse(text: &[u8]) -> Analysis {
    if text.is_empty() {
        return Analysis {
            multi_line: false,
            plain: true,
            single_quoted: true,
            block: false,
        };
    }
    let chars: Vec<char> = unicode::chars(text).collect();
    let seen = look(&chars);
    let edges =
        seen.space_at_start || seen.break_at_start || seen.space_at_end || seen.break_at_end;
    let twisted = seen.space_break || seen.special;
    Analysis {
        multi_line: seen.line_breaks,
        plain: !(edges || seen.break_space || twisted || seen.line_breaks || seen.indicators),
        single_quoted: !(seen.break_space || twisted),
        block: !(seen.space_at_end || twisted),
    }
}

fn look(chars: &[char]) -> Seen {
    let mut seen = Seen {
        indicators: chars.starts_with(&['-'; 3]) || chars.starts_with(&['.'; 3]),
        ..Seen::default()
    };
    let mut after_blank = true;
    let (mut after_space, mut after_break) = (false, false);
    for (index, &c) in chars.iter().enumerate() {
        let is_last = index + 1 == chars.len();
        let before_blank = is_last || matches!(chars[index + 1], ' ' | '\t');
        seen.indicators |= match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if index == 0 =>
            {
                true
            }
            '?' | '-' if index == 0 => before_blank,
            ':' => before_blank,
            '#' => after_blank,
            _ => false,
        };
        seen.special |= !is_printable(c);
        if c == ' ' {
            seen.space_at_start |= index == 0;
            seen.space_at_end |= is_last;
            seen.break_space |= after_break;
        } else if is_break(c) {
            seen.line_breaks = true;
            seen.break_at_start |= index == 0;
            seen.break_at_end |= is_last;
            seen.space_break |= after_space;
        }
        after_space = c == ' ';
        after_break = is_break(c);
        after_blank = matches!(c, ' ' | '\t' | '\0') || is_break(c);
    }
    seen
}
