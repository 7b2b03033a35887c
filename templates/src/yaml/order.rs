//! The order of keys in a mapping.

use std::cmp::Ordering;

use crate::unicode;
use crate::value::{Kind, Value};

fn as_number(key: &Value) -> Option<f64> {
    match key {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Float(number) => Some(*number),
        _ => match (key.as_int(), key.as_uint()) {
            (Some(number), _) => Some(number as f64),
            (_, Some(number)) => Some(number as f64),
            _ => None,
        },
    }
}

/// Numbers before texts; texts with the numbers inside them compared as numbers.
pub(super) fn natural_order(a: &Value, b: &Value) -> Ordering {
    /// Go's order of kinds.
    fn rank(key: &Value) -> usize {
        match key.kind() {
            Kind::Invalid => 7,
            Kind::Bool => 1,
            Kind::Int => 2,
            Kind::Uint => 3,
            Kind::Float => 4,
            Kind::Complex => 5,
            Kind::Channel => 6,
            Kind::Map => 8,
            Kind::Pointer => 9,
            Kind::List => 10,
            Kind::Text => 11,
            Kind::Struct => 12,
        }
    }
    if let (Some(a_number), Some(b_number)) = (as_number(a), as_number(b)) {
        let by_number = a_number.partial_cmp(&b_number).unwrap_or(Ordering::Equal);
        return by_number.then(rank(a).cmp(&rank(b)));
    }
    match (a.as_text(), b.as_text()) {
        (Some(a), Some(b)) => natural_texts(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn natural_texts(a: &[u8], b: &[u8]) -> Ordering {
    let a: Vec<char> = unicode::chars(a).collect();
    let b: Vec<char> = unicode::chars(b).collect();
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    let (a_char, b_char) = (a[at], b[at]);
    match (unicode::is_letter(a_char), unicode::is_letter(b_char)) {
        (true, true) => return a_char.cmp(&b_char),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let has_value_before = (a_char == '0' || b_char == '0')
        && a[..at]
            .iter()
            .rev()
            .take_while(|c| unicode::is_digit(**c))
            .any(|&c| c != '0');
    let number = |chars: &[char]| {
        let digits: Vec<char> = chars
            .iter()
            .copied()
            .take_while(|c| unicode::is_digit(*c))
            .collect();
        let value = digits.iter().fold(i64::from(has_value_before), |value, c| {
            let digit = i64::from(u32::from(*c)) - i64::from(u32::from('0'));
            value.wrapping_mul(10).wrapping_add(digit)
        });
        (value, digits.len())
    };
    number(&a[at..])
        .cmp(&number(&b[at..]))
        .then(a_char.cmp(&b_char))
}
