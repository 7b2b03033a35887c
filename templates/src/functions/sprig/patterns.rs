//! Regular expressions; the text comes second here.

use std::rc::Rc;

use crate::regex::Regex;
use crate::value::{Place, Type, Value};

use super::{Context, Failure, Function, ONE, Outcome, TWO, done, int, text};

const THREE: &[Type] = &[Type::Text, Type::Text, Type::Text];
const COUNTED: &[Type] = &[Type::Text, Type::Text, Type::Int];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_regexMatch", TWO, |context, args| {
        let regex = match context.patterns.regex(&mut context.meter, text(args, 0)) {
            Ok(regex) => regex,
            Err(failure) if failure.is_limit => return Err(failure),
            Err(_) => return Ok(Value::Bool(false)),
        };
        Ok(Value::Bool(
            regex.is_match(&mut context.meter, text(args, 1))?,
        ))
    }),
    Function::new("sprig_mustRegexMatch", TWO, |context, args| {
        let regex = context.patterns.regex(&mut context.meter, text(args, 0))?;
        Ok(Value::Bool(
            regex.is_match(&mut context.meter, text(args, 1))?,
        ))
    }),
    Function::new("sprig_regexFind", TWO, |context, args| {
        find(context, args, true)
    }),
    Function::new("sprig_mustRegexFind", TWO, |context, args| {
        find(context, args, false)
    }),
    Function::new("sprig_regexFindAll", COUNTED, |context, args| {
        find_all(context, args, true)
    }),
    Function::new("sprig_mustRegexFindAll", COUNTED, |context, args| {
        find_all(context, args, false)
    }),
    Function::new("sprig_regexReplaceAll", THREE, |context, args| {
        done(compiled(context, args, true)?.replace_all(
            &mut context.meter,
            text(args, 1),
            text(args, 2),
        )?)
    }),
    Function::new("sprig_mustRegexReplaceAll", THREE, |context, args| {
        done(compiled(context, args, false)?.replace_all(
            &mut context.meter,
            text(args, 1),
            text(args, 2),
        )?)
    }),
    Function::new("sprig_regexReplaceAllLiteral", THREE, |context, args| {
        let regex = compiled(context, args, true)?;
        done(regex.replace_all_literal(&mut context.meter, text(args, 1), text(args, 2))?)
    }),
    Function::new(
        "sprig_mustRegexReplaceAllLiteral",
        THREE,
        |context, args| {
            let regex = compiled(context, args, false)?;
            done(regex.replace_all_literal(&mut context.meter, text(args, 1), text(args, 2))?)
        },
    ),
    Function::new("sprig_regexSplit", COUNTED, |context, args| {
        split(context, args, true)
    }),
    Function::new("sprig_mustRegexSplit", COUNTED, |context, args| {
        split(context, args, false)
    }),
    Function::new("sprig_regexQuoteMeta", ONE, |context, args| {
        let whole = text(args, 0);
        let is_special = |byte: &u8| b"\\.+*?()|[]{}^$".contains(byte);
        let length = whole.len() + whole.iter().filter(|&byte| is_special(byte)).count();
        context.meter.makes(length)?;
        let mut out = Vec::with_capacity(length);
        for byte in whole.iter() {
            if is_special(byte) {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        done(out)
    })
    .weighing(8),
];

/// The plain names compile with `MustCompile`, which panics in its own words.
fn compiled(context: &mut Context<'_>, args: &[Place], panics: bool) -> Result<Rc<Regex>, Failure> {
    let pattern = text(args, 0);
    context
        .patterns
        .regex(&mut context.meter, pattern)
        .map_err(|failure| {
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

fn find(context: &mut Context<'_>, args: &[Place], panics: bool) -> Outcome {
    let found = compiled(context, args, panics)?.find(&mut context.meter, text(args, 1))?;
    done(found.unwrap_or_default())
}

fn find_all(context: &mut Context<'_>, args: &[Place], panics: bool) -> Outcome {
    let whole = text(args, 1);
    let found =
        compiled(context, args, panics)?.find_all(&mut context.meter, whole, int(args, 2))?;
    if found.is_empty() {
        return Ok(Value::TypedNil(Type::Strings));
    }
    let texts = found.iter().map(|&(from, to)| whole.slice(from, to));
    Ok(Value::strings(texts.collect()))
}

fn split(context: &mut Context<'_>, args: &[Place], panics: bool) -> Outcome {
    let count = int(args, 2);
    let regex = compiled(context, args, panics)?;
    if count == 0 {
        return Ok(Value::TypedNil(Type::Strings));
    }
    let whole = text(args, 1);
    let pieces = regex.split(&mut context.meter, whole, count)?;
    let texts = pieces.into_iter().map(|piece| whole.part(piece));
    Ok(Value::strings(texts.collect()))
}
