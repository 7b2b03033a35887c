//! Numbers: lenient conversion, integer and decimal arithmetic, sequences.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::error::Failure;
use crate::fmt::shortest;
use crate::number::{Base, parse_float, parse_int};
use crate::value::{Place, Type, Value};

use super::{ANY, Context, Function, ONE, Outcome, done, int, paid, text};

const PAIR: &[Type] = &[Type::Any, Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_atoi", ONE, |_, args| {
        let number = parse_int(text(args, 0), Base::Fixed(10));
        Ok(Value::Int(saturated(number, text(args, 0))))
    }),
    Function::new("sprig_int", ANY, |_, args| {
        Ok(Value::Int(to_int(&args[0].value)))
    }),
    Function::new("sprig_int64", ANY, |_, args| {
        Ok(Value::Int64(to_int(&args[0].value)))
    }),
    Function::new("sprig_float64", ANY, |_, args| {
        Ok(Value::Float(to_float(&args[0].value)))
    })
    .weighing(16),
    Function::new("sprig_toDecimal", ANY, |context, args| {
        let text = paid(context, &args[0].value)?;
        Ok(Value::Int64(parse_int(&text, Base::Fixed(8)).unwrap_or(0)))
    })
    .writing(),
    Function::new("sprig_add1", ANY, |_, args| {
        Ok(Value::Int64(to_int(&args[0].value).wrapping_add(1)))
    }),
    Function::new("sprig_add", &[], |_, args| {
        let sum = args
            .iter()
            .fold(0i64, |sum, place| sum.wrapping_add(to_int(&place.value)));
        Ok(Value::Int64(sum))
    })
    .rest(Type::Any),
    Function::new("sprig_sub", PAIR, |_, args| {
        let (a, b) = (to_int(&args[0].value), to_int(&args[1].value));
        Ok(Value::Int64(a.wrapping_sub(b)))
    }),
    Function::new("sprig_mul", ANY, |_, args| {
        let product = args.iter().fold(1i64, |product, place| {
            product.wrapping_mul(to_int(&place.value))
        });
        Ok(Value::Int64(product))
    })
    .rest(Type::Any),
    Function::new("sprig_div", PAIR, |_, args| {
        divided(args, i64::wrapping_div)
    }),
    Function::new("sprig_mod", PAIR, |_, args| {
        divided(args, i64::wrapping_rem)
    }),
    Function::new("sprig_max", ANY, |_, args| Ok(ints(args, i64::max))).rest(Type::Any),
    Function::new("sprig_biggest", ANY, |_, args| Ok(ints(args, i64::max))).rest(Type::Any),
    Function::new("sprig_min", ANY, |_, args| Ok(ints(args, i64::min))).rest(Type::Any),
    Function::new("sprig_maxf", ANY, |_, args| Ok(floats(args, larger))).rest(Type::Any),
    Function::new("sprig_minf", ANY, |_, args| {
        Ok(floats(args, |a, b| -larger(-a, -b)))
    })
    .rest(Type::Any),
    Function::new("sprig_add1f", ANY, |_, args| {
        decimal(
            to_float(&args[0].value),
            &[Value::Int(1).into()],
            Operation::Add,
        )
    }),
    Function::new("sprig_addf", &[], |_, args| {
        decimal(0.0, args, Operation::Add)
    })
    .weighing(64)
    .rest(Type::Any),
    Function::new("sprig_subf", ANY, |_, args| {
        decimal(to_float(&args[0].value), &args[1..], Operation::Subtract)
    })
    .weighing(64)
    .rest(Type::Any),
    Function::new("sprig_mulf", ANY, |_, args| {
        decimal(to_float(&args[0].value), &args[1..], Operation::Multiply)
    })
    .weighing(64)
    .rest(Type::Any),
    Function::new("sprig_divf", ANY, |_, args| {
        decimal(to_float(&args[0].value), &args[1..], Operation::Divide)
    })
    .weighing(64)
    .rest(Type::Any),
    Function::new("sprig_ceil", ANY, |_, args| {
        Ok(Value::Float(to_float(&args[0].value).ceil()))
    }),
    Function::new("sprig_floor", ANY, |_, args| {
        Ok(Value::Float(to_float(&args[0].value).floor()))
    }),
    Function::new("sprig_round", &[Type::Any, Type::Int], |_, args| {
        Ok(rounded(args))
    })
    .rest(Type::Float),
    Function::new("sprig_seq", &[], seq).rest(Type::Int),
    Function::new("sprig_until", &[Type::Int], |context, args| {
        let count = int(args, 0);
        steps(context, 0, count, if count < 0 { -1 } else { 1 })
    }),
    Function::new(
        "sprig_untilStep",
        &[Type::Int, Type::Int, Type::Int],
        |context, args| steps(context, int(args, 0), int(args, 1), int(args, 2)),
    ),
    Function::new("sprig_randInt", &[Type::Int, Type::Int], rand_int),
];

/// `strconv.Atoi` whose error is ignored: zero, or the nearest number there is.
pub(super) fn saturated(number: Result<i64, crate::number::NumberError>, text: &[u8]) -> i64 {
    match number {
        Ok(number) => number,
        Err(crate::number::NumberError::Syntax) => 0,
        Err(crate::number::NumberError::Range) if text.starts_with(b"-") => i64::MIN,
        Err(crate::number::NumberError::Range) => i64::MAX,
    }
}

/// `1.00` counts as `1`.
fn without_zero_decimals(text: &[u8]) -> &[u8] {
    let digits = text.iter().rposition(|&byte| byte != b'0').map(|at| at + 1);
    match digits {
        // A point with nothing behind it is no number.
        Some(end) if end < text.len() && text[end - 1] == b'.' => &text[..end - 1],
        _ => text,
    }
}

pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Bool(truth) => i64::from(*truth),
        Value::Float(number) => truncated(*number),
        Value::Text(text) | Value::Number(text) => {
            parse_int(without_zero_decimals(text), Base::Prefixed).unwrap_or(0)
        }
        _ => match (value.as_int(), value.as_uint()) {
            (Some(number), _) => number,
            (_, Some(number)) => number as i64,
            _ => 0,
        },
    }
}

/// The integer that the processor makes of a float, also of one that no integer can hold.
fn truncated(number: f64) -> i64 {
    let is_inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if is_inside { number as i64 } else { i64::MIN }
}

pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Float(number) => *number,
        Value::Text(text) | Value::Number(text) => parse_float(text).unwrap_or(0.0),
        _ => match (value.as_int(), value.as_uint()) {
            (Some(number), _) => number as f64,
            (_, Some(number)) => number as f64,
            _ => 0.0,
        },
    }
}

fn ints(args: &[Place], pick: fn(i64, i64) -> i64) -> Value {
    let numbers = args.iter().map(|place| to_int(&place.value));
    Value::Int64(numbers.reduce(pick).unwrap_or(0))
}

/// `math.Max`: infinity wins, then what is not a number, and zero is larger than minus zero.
fn larger(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a.total_cmp(&b).is_gt() { a } else { b }
}

fn floats(args: &[Place], pick: fn(f64, f64) -> f64) -> Value {
    let numbers = args.iter().map(|place| to_float(&place.value));
    Value::Float(numbers.reduce(pick).unwrap_or(0.0))
}

fn divided(args: &[Place], divide: fn(i64, i64) -> i64) -> Outcome {
    let (a, b) = (to_int(&args[0].value), to_int(&args[1].value));
    if b == 0 {
        return Err(Failure::new("runtime error: integer divide by zero"));
    }
    Ok(Value::Int64(divide(a, b)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A number as digits and a power of ten, as far as 128 bits reach.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    fn of(number: f64) -> Option<Self> {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let fraction = mantissa
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.len());
        Some(Self {
            digits: mantissa.replace('.', "").parse().ok()?,
            exponent: exponent - fraction as i32,
        })
    }

    fn scaled(self, exponent: i32) -> Option<i128> {
        let by = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10i128.checked_pow(by)?)
    }

    fn combined(self, other: Self, operation: Operation) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Some(match operation {
            Operation::Add => Self {
                digits: self
                    .scaled(exponent)?
                    .checked_add(other.scaled(exponent)?)?,
                exponent,
            },
            Operation::Subtract => Self {
                digits: self
                    .scaled(exponent)?
                    .checked_sub(other.scaled(exponent)?)?,
                exponent,
            },
            Operation::Multiply => Self {
                digits: self.digits.checked_mul(other.digits)?,
                exponent: self.exponent.checked_add(other.exponent)?,
            },
            Operation::Divide => return self.divided(other),
        })
    }

    /// Sixteen places, halves away from zero.
    fn divided(self, other: Self) -> Option<Self> {
        const PLACES: i32 = 16;
        let shift = self.exponent - other.exponent + PLACES;
        let (mut above, mut below) = (self.digits, other.digits);
        let power = 10i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            above = above.checked_mul(power)?;
        } else {
            below = below.checked_mul(power)?;
        }
        let quotient = above.checked_div(below)?;
        let rest = above.checked_rem(below)?;
        let rounds = rest.unsigned_abs().checked_mul(2)? >= below.unsigned_abs();
        let away = if (above < 0) == (below < 0) { 1 } else { -1 };
        Some(Self {
            digits: quotient + if rounds { away } else { 0 },
            exponent: -PLACES,
        })
    }

    fn to_float(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent)
            .parse()
            .unwrap_or(0.0)
    }
}

/// Decimal arithmetic, so that 0.1 and 0.2 make 0.3; floats where decimals get too long.
fn decimal(first: f64, rest: &[Place], operation: Operation) -> Outcome {
    let numbers: Vec<f64> = rest.iter().map(|place| to_float(&place.value)).collect();
    finite(first)?;
    for &number in &numbers {
        finite(number)?;
        if operation == Operation::Divide && number == 0.0 {
            return Err(Failure::new("decimal division by 0"));
        }
    }
    let exact = numbers.iter().try_fold(Decimal::of(first), |sum, &number| {
        Some(Some(sum?.combined(Decimal::of(number)?, operation)?))
    });
    if let Some(Some(exact)) = exact {
        return Ok(Value::Float(exact.to_float()));
    }
    let float = numbers.iter().fold(first, |a, b| match operation {
        Operation::Add => a + b,
        Operation::Subtract => a - b,
        Operation::Multiply => a * b,
        Operation::Divide => a / b,
    });
    Ok(Value::Float(float))
}

fn finite(number: f64) -> Result<(), Failure> {
    if number.is_finite() {
        return Ok(());
    }
    let shown = shortest(number, 'g');
    Err(Failure::new("Cannot create a Decimal from ").plain(shown.as_bytes()))
}

fn rounded(args: &[Place]) -> Value {
    let round_on = args.get(2).map_or(0.5, |place| to_float(&place.value));
    let power = 10f64.powi(int(args, 1).clamp(-400, 400) as i32);
    let digit = power * to_float(&args[0].value);
    let whole = if digit.fract() >= round_on {
        digit.ceil()
    } else {
        digit.floor()
    };
    Value::Float(whole / power)
}

/// From `start` up to or down to `stop`, which is left out.
fn counted(
    context: &mut Context<'_>,
    start: i64,
    stop: i64,
    step: i64,
) -> Result<Vec<i64>, Failure> {
    let is_down = stop < start;
    if is_down && step >= 0 || !is_down && step <= 0 {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    context
        .meter
        .charge(usize::try_from(count.saturating_mul(16)).unwrap_or(usize::MAX))?;
    context
        .meter
        .keep((count as usize).saturating_mul(size_of::<i64>()))?;
    let mut numbers = Vec::with_capacity(count as usize);
    let mut next = start;
    for _ in 0..count {
        numbers.push(next);
        next = next.wrapping_add(step);
    }
    Ok(numbers)
}

fn steps(context: &mut Context<'_>, start: i64, stop: i64, step: i64) -> Outcome {
    Ok(Value::Ints(Rc::new(counted(context, start, stop, step)?)))
}

fn seq(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    /// The cost of writing one number.
    const WRITTEN: usize = 32;
    let number = |index| int(args, index);
    let sign = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let (start, end, step) = match args.len() {
        1 => (1, number(0), sign(1, number(0))),
        2 => (number(0), number(1), sign(number(0), number(1))),
        3 if number(2) < number(0) && number(1) > 0 => return done(""),
        3 => (number(0), number(2), number(1)),
        _ => return done(""),
    };
    let stop = end.wrapping_add(sign(start, end));
    let numbers = counted(context, start, stop, step)?;
    let width = |number: i64| number.to_string().len() + 1;
    let longest = width(start).max(width(stop));
    context
        .meter
        .charge(numbers.len().saturating_mul(WRITTEN))?;
    context.meter.makes(numbers.len().saturating_mul(longest))?;
    let mut out = String::new();
    for number in numbers {
        if !out.is_empty() {
            out.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{number}");
    }
    done(out)
}

/// The same seed gives the same numbers, so that a file changes only when its answers do.
fn rand_int(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let (low, high) = (int(args, 0), int(args, 1));
    let span = high.checked_sub(low).filter(|span| *span > 0);
    let span = span.ok_or_else(|| Failure::new("invalid argument to Intn"))?;
    let drawn = super::strings::next_random(context) % span as u64;
    Ok(Value::Int(low + drawn as i64))
}
