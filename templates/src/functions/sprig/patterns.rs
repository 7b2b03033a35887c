//! Regular expressions; the text comes second here.

use std::rc::Rc;

use planescape_vault::Text;

use crate::regex::Regex;
use crate::value::{Place, Type, Value};

use super::{Failure, Function, ONE, Outcome, Run, TWO, done, int, text};

const THREE: &[Type] = &[Type::Text, Type::Text, Type::Text];
const COUNTED: &[Type] = &[Type::Text, Type::Text, Type::Int];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_regexMatch", TWO, |run, args| {
        let regex = match Regex::of(run, text(args, 0)) {
            Ok(regex) => regex,
            Err(failure) if failure.is_limit => return Err(failure),
            Err(_) => return Ok(Value::Bool(false)),
        };
        Ok(Value::Bool(regex.is_match(run, text(args, 1))?))
    }),
    Function::new("sprig_mustRegexMatch", TWO, |run, args| {
        let regex = Regex::of(run, text(args, 0))?;
        Ok(Value::Bool(regex.is_match(run, text(args, 1))?))
    }),
    Function::new("sprig_regexFind", TWO, |run, args| find(run, args, true)),
    Function::new("sprig_mustRegexFind", TWO, |run, args| {
        find(run, args, false)
    }),
    Function::new("sprig_regexFindAll", COUNTED, |run, args| {
        find_all(run, args, true)
    }),
    Function::new("sprig_mustRegexFindAll", COUNTED, |run, args| {
        find_all(run, args, false)
    }),
    Function::new("sprig_regexReplaceAll", THREE, |run, args| {
        done(compiled(run, args, true)?.replace_all(run, text(args, 1), text(args, 2))?)
    }),
    Function::new("sprig_mustRegexReplaceAll", THREE, |run, args| {
        done(compiled(run, args, false)?.replace_all(run, text(args, 1), text(args, 2))?)
    }),
    Function::new("sprig_regexReplaceAllLiteral", THREE, |run, args| {
        let regex = compiled(run, args, true)?;
        done(regex.replace_all_literal(run, text(args, 1), text(args, 2))?)
    }),
    Function::new("sprig_mustRegexReplaceAllLiteral", THREE, |run, args| {
        let regex = compiled(run, args, false)?;
        done(regex.replace_all_literal(run, text(args, 1), text(args, 2))?)
    }),
    Function::new("sprig_regexSplit", COUNTED, |run, args| {
        split(run, args, true)
    }),
    Function::new("sprig_mustRegexSplit", COUNTED, |run, args| {
        split(run, args, false)
    }),
    Function::new("sprig_regexQuoteMeta", ONE, |_, args| {
        let mut out = Vec::new();
        for &byte in &**text(args, 0) {
            if b"\\.+*?()|[]{}^$".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
        done(out)
    })
    .weighing(8),
];

/// The plain names compile with `MustCompile`, which panics in its own words.
fn compiled(run: &mut Run<'_>, args: &[Place], panics: bool) -> Result<Rc<Regex>, Failure> {
    let pattern = text(args, 0);
    Regex::of(run, pattern).map_err(|failure| {
        if !panics {
            return failure;
        }
        let shown = match std::str::from_utf8(pattern) {
            Ok(text) if !text.contains('`') && !text.chars().any(char::is_control) => {
                format!("`{text}`")
            }
            _ => crate::quote::quoted(pattern),
        };
        failure.under(format!("regexp: Compile({shown}): "))
    })
}

fn find(run: &mut Run<'_>, args: &[Place], panics: bool) -> Outcome {
    let found = compiled(run, args, panics)?.find(run, text(args, 1))?;
    done(found.unwrap_or_default())
}

fn find_all(run: &mut Run<'_>, args: &[Place], panics: bool) -> Outcome {
    let whole = text(args, 1);
    let found = compiled(run, args, panics)?.find_all(run, whole, int(args, 2))?;
    if found.is_empty() {
        return Ok(Value::TypedNil(Type::Strings));
    }
    let texts = found.iter().map(|&(from, to)| whole.slice(from, to));
    Ok(Value::strings(texts.collect()))
}

fn split(run: &mut Run<'_>, args: &[Place], panics: bool) -> Outcome {
    let count = int(args, 2);
    let regex = compiled(run, args, panics)?;
    if count == 0 {
        return Ok(Value::TypedNil(Type::Strings));
    }
    let pieces = regex.split(run, text(args, 1), count)?;
    Ok(Value::strings(pieces.into_iter().map(Text::from).collect()))
}
