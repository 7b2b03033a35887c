//! The shape of texts: cutting, padding, wrapping, case styles.

use crate::bytes;
use crate::error::Failure;
use crate::meter::check_length;
use crate::value::{Place, Type};

use super::{Context, Function, ONE, Outcome, case, done, int, text};

const SIZED: &[Type] = &[Type::Int, Type::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_indent", SIZED, |context, args| {
        done(indented(context, args)?)
    })
    .costing(64),
    Function::new("sprig_nindent", SIZED, |context, args| {
        let indented = indented(context, args)?;
        done([b"\n", &indented[..]].concat())
    })
    .costing(64),
    Function::new("sprig_trunc", SIZED, |_, args| {
        let whole = text(args, 1);
        let count = int(args, 0);
        let length = whole.len() as i64;
        done(if count < 0 && length + count > 0 {
            &whole[(length + count) as usize..]
        } else if count >= 0 && length > count {
            &whole[..count as usize]
        } else {
            &whole[..]
        })
    }),
    Function::new("sprig_substr", &[Type::Int, Type::Int, Type::Text], substr),
    Function::new("sprig_repeat", SIZED, repeat),
    Function::new(
        "sprig_plural",
        &[Type::Text, Type::Text, Type::Int],
        |_, args| done(text(args, usize::from(int(args, 2) != 1)).clone()),
    ),
    Function::new("sprig_abbrev", SIZED, |_, args| {
        done(abbreviated(text(args, 1), 0, int(args, 0)))
    }),
    Function::new(
        "sprig_abbrevboth",
        &[Type::Int, Type::Int, Type::Text],
        |_, args| {
            let (left, right, whole) = (int(args, 0), int(args, 1), text(args, 2));
            if right < 4 || left > 0 && right < 7 {
                return done(whole.clone());
            }
            done(abbreviated(whole, left, right))
        },
    ),
    Function::new("sprig_wrap", SIZED, |context, args| {
        done(wrapped(context, text(args, 1), int(args, 0), b"\n", false)?)
    })
    .weighing(8),
    Function::new(
        "sprig_wrapWith",
        &[Type::Int, Type::Text, Type::Text],
        |context, args| {
            let separator = match &**text(args, 1) {
                b"" => b"\n",
                separator => separator,
            };
            done(wrapped(
                context,
                text(args, 2),
                int(args, 0),
                separator,
                true,
            )?)
        },
    )
    .weighing(8),
    Function::new("sprig_snakecase", ONE, |_, args| {
        done(case::connected(text(args, 0), '_'))
    })
    .weighing(40),
    Function::new("sprig_kebabcase", ONE, |_, args| {
        done(case::connected(text(args, 0), '-'))
    })
    .weighing(40),
    Function::new("sprig_camelcase", ONE, |_, args| {
        done(case::pascal(text(args, 0)))
    })
    .weighing(24),
];

fn indented(context: &mut Context<'_>, args: &[Place]) -> Result<Vec<u8>, Failure> {
    let count = usize::try_from(int(args, 0))
        .map_err(|_| Failure::new("strings: negative Repeat count"))?;
    let whole = text(args, 1);
    let lines = whole.iter().filter(|&&byte| byte == b'\n').count() + 1;
    context
        .meter
        .makes(count.saturating_mul(lines).saturating_add(whole.len()))?;
    let pad = vec![b' '; count];
    let broken = [b"\n", &pad[..]].concat();
    Ok([&pad[..], &bytes::replace(whole, b"\n", &broken)].concat())
}

fn substr(_: &mut Context<'_>, args: &[Place]) -> Outcome {
    let (start, end, whole) = (int(args, 0), int(args, 1), text(args, 2));
    let length = whole.len() as i64;
    let (start, end, is_open) = if start < 0 {
        (0, end, true)
    } else if end < 0 || end > length {
        (start, length, false)
    } else {
        (start, end, false)
    };
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    if let Some(piece) = range.and_then(|(start, end)| whole.get(start..end)) {
        return done(piece);
    }
    let bounds = match (is_open, end < 0) {
        (true, true) => format!("[:{end}]"),
        (true, false) => format!("[:{end}] with length {length}"),
        (false, _) => format!("[{start}:{end}]"),
    };
    Err(Failure::new(format!(
        "runtime error: slice bounds out of range {bounds}"
    )))
}

fn repeat(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let count = usize::try_from(int(args, 0))
        .map_err(|_| Failure::new("strings: negative Repeat count"))?;
    let whole = text(args, 1);
    let length = whole.len().saturating_mul(count);
    context.meter.charge(length)?;
    check_length(length, context.meter.output_limit())?;
    done(whole.repeat(count))
}

/// With an ellipsis where something is left out.
fn abbreviated(whole: &[u8], left: i64, width: i64) -> Vec<u8> {
    let length = whole.len() as i64;
    if width < 4 || length <= width {
        return whole.to_vec();
    }
    let mut offset = left.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    let cut = |from: i64, to: i64| &whole[from.max(0) as usize..to.clamp(0, length) as usize];
    if offset <= 4 {
        return [cut(0, width - 3), b"..."].concat();
    }
    let width_left = width - 3;
    if offset + width_left < length {
        let inner = abbreviated(&whole[offset as usize..], 0, width_left);
        return [b"...", &inner[..]].concat();
    }
    [b"...", cut(length - (width - 3), length)].concat()
}

fn wrapped(
    context: &mut Context<'_>,
    whole: &[u8],
    width: i64,
    separator: &[u8],
    breaks_words: bool,
) -> Result<Vec<u8>, Failure> {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let mut out = Vec::new();
    let mut rest = whole;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let is_blank = |byte: &u8| *byte == b' ';
        let (line, skipped) = match rest[..=width].iter().rposition(is_blank) {
            Some(at) => (at, at + 1),
            None if breaks_words => (width, width),
            None => match rest[width..].iter().position(is_blank) {
                Some(at) => (width + at, width + at + 1),
                None => break,
            },
        };
        context.meter.write(&mut out, &rest[..line])?;
        context.meter.write(&mut out, separator)?;
        rest = &rest[skipped..];
    }
    context.meter.write(&mut out, rest)?;
    Ok(out)
}
