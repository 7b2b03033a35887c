//! Times and durations, as far as they do not depend on the clock.

use std::rc::Rc;

use crate::number::{Base, parse_int};
use crate::object::Object;
use crate::time::{Moment, parse_duration};
use crate::value::{Place, Type, Value};

use super::{ANY, Failure, Function, Outcome, TWO, done, text};

const MODIFY: &[Type] = &[Type::Text, Type::Time];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_toDate", TWO, |_, args| {
        let read = Moment::read(text(args, 0), text(args, 1));
        Ok(time(read.unwrap_or(Moment::ZERO)))
    })
    .weighing(24),
    Function::new("sprig_mustToDate", TWO, |_, args| {
        Moment::read(text(args, 0), text(args, 1)).map(time)
    })
    .weighing(24),
    Function::new("sprig_unixEpoch", &[Type::Time], |_, args| {
        done(moment(args, 0)?.seconds.to_string())
    }),
    Function::new("sprig_mustDateModify", MODIFY, |_, args| modified(args)),
    Function::new("sprig_must_date_modify", MODIFY, |_, args| modified(args)),
    Function::new("sprig_duration", ANY, |_, args| {
        let seconds = match &args[0].value {
            Value::Text(text) => super::numbers::saturated(parse_int(text, Base::Fixed(10)), text),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        done(duration(seconds))
    }),
    Function::new("sprig_durationRound", ANY, |context, args| {
        let nanoseconds = match &args[0].value {
            Value::Text(text) => parse_duration(text).unwrap_or(0),
            Value::Int64(nanoseconds) => *nanoseconds,
            Value::Object(object) => match &**object {
                Object::Time(time) => {
                    let now = Moment::from(context.environment.now);
                    now.nanoseconds_since(*time)
                }
                Object::Struct { .. } | Object::Scratch(_) => 0,
            },
            _ => 0,
        };
        done(rounded(nanoseconds))
    })
    .weighing(4),
];

fn time(moment: Moment) -> Value {
    Value::Object(Rc::new(Object::Time(moment)))
}

fn moment(args: &[Place], index: usize) -> Result<Moment, Failure> {
    match &args[index].value {
        Value::Object(object) => match &**object {
            Object::Time(time) => Ok(*time),
            Object::Struct { .. } | Object::Scratch(_) => Err(Failure::new("no time")),
        },
        _ => Err(Failure::new("no time")),
    }
}

fn modified(args: &[Place]) -> Outcome {
    let nanoseconds = parse_duration(text(args, 0))?;
    Ok(time(moment(args, 1)?.after(nanoseconds)))
}

/// `Duration.String` of whole seconds.
fn duration(seconds: i64) -> String {
    let nanoseconds = seconds.wrapping_mul(1_000_000_000);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    let (whole, fraction) = (size / 1_000_000_000, size % 1_000_000_000);
    if whole == 0 && fraction > 0 {
        return format!("{sign}{}", small(fraction));
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let fraction = match fraction {
        0 => String::new(),
        fraction => {
            let digits = format!(".{fraction:09}");
            digits.trim_end_matches('0').to_owned()
        }
    };
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}{fraction}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}{fraction}s")
    } else {
        format!("{sign}{seconds}{fraction}s")
    }
}

/// Less than a second, in the unit that leaves a whole part.
fn small(nanoseconds: u64) -> String {
    let (unit, name) = match nanoseconds {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "\u{b5}s"),
        _ => (1_000_000, "ms"),
    };
    let width = unit.to_string().len() - 1;
    let digits = format!("{}.{:0width$}", nanoseconds / unit, nanoseconds % unit);
    let digits = if unit == 1 {
        nanoseconds.to_string()
    } else {
        digits
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    format!("{digits}{name}")
}

fn rounded(nanoseconds: i64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let size = nanoseconds.unsigned_abs();
    let units = [
        (365 * 86_400 * SECOND, "y"),
        (30 * 86_400 * SECOND, "mo"),
        (86_400 * SECOND, "d"),
        (3600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    match units.into_iter().find(|(unit, _)| size > *unit) {
        Some((unit, name)) => format!("{}{name}", size / unit),
        None => "0s".to_owned(),
    }
}
