//! Whether a value fits its field, and what to do if it does not. Values are not told: they may be secrets.

use planescape_templates::spelling::closest;
use serde_json::{Number, Value};

/// The patterns of the definition, with what they allow between letters and digits, and its name.
const PATTERNS: [(&str, &str, &str); 2] = [
    ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "-", "hyphens"),
    ("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "-.", "hyphens and dots"),
];

/// Checks the value itself; what it holds is for others.
pub(super) fn check(value: &Value, schema: &Value) -> Result<(), String> {
    check_kind(value, schema)?;
    check_choice(value, schema)?;
    match value {
        Value::Number(number) => check_number(number, schema),
        Value::String(text) => check_text(text, schema),
        Value::Array(items) => check_count(items.len(), schema, ("minItems", "maxItems")),
        Value::Object(fields) => check_count(fields.len(), schema, ("", "maxProperties")),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

/// A DNS label, as RFC 1123 has it, but for its length.
#[must_use]
pub fn is_label(text: &str) -> bool {
    is_name(text, "-")
}

fn is_name(text: &str, between: &str) -> bool {
    let is_usual = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_within = |letter: char| is_usual(letter) || between.contains(letter);
    text.starts_with(is_usual) && text.ends_with(is_usual) && text.chars().all(is_within)
}

fn check_kind(value: &Value, schema: &Value) -> Result<(), String> {
    let (fits, expected) = match schema["type"].as_str() {
        Some("string") => (value.is_string(), "a text"),
        Some("integer") => (value.is_i64(), "a whole number"),
        Some("number") => (value.is_number(), "a number"),
        Some("boolean") => (value.is_boolean(), "true or false"),
        Some("array") => (value.is_array(), "a list"),
        Some("object") => (value.is_object(), "an object with fields"),
        _ if schema["x-kubernetes-int-or-string"] == true => (
            value.is_i64() || value.is_string(),
            "a whole number or a text",
        ),
        _ => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    let cure = match value {
        Value::Null => ", and is empty: fill it in, or leave it out",
        Value::Bool(_) | Value::Number(_) if expected == "a text" => ": put the value in quotes",
        Value::String(text) if is_quoted(text, expected) => ": take the quotes away",
        _ if expected == "a list" => ": begin each of its items with a hyphen",
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => "",
    };
    Err(format!("must be {expected}{cure}"))
}

/// Whether a text would be the expected value without its quotes.
fn is_quoted(text: &str, expected: &str) -> bool {
    match expected {
        "a whole number" => text.parse::<i64>().is_ok(),
        "a number" => text.parse::<f64>().is_ok(),
        "true or false" => matches!(text, "true" | "false"),
        _ => false,
    }
}

fn check_choice(value: &Value, schema: &Value) -> Result<(), String> {
    let Some(choices) = schema["enum"].as_array() else {
        return Ok(());
    };
    if choices.contains(value) {
        return Ok(());
    }
    let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    let written = value.as_str().unwrap_or_default();
    let close = closest(written, choices.iter().copied());
    let guess = close.map_or_else(String::new, |close| format!("; did you mean {close}?"));
    let listed = match choices.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => choices.concat(),
    };
    Err(format!("must be {listed}{guess}"))
}

fn check_number(number: &Number, schema: &Value) -> Result<(), String> {
    let value = number.as_f64().unwrap_or_default();
    let least = schema["minimum"].as_f64();
    let most = schema["maximum"].as_f64();
    let is_narrow = schema["format"] == "int32";
    if let Some(least) = least.filter(|least| value < *least) {
        return Err(format!("must be at least {least}"));
    }
    if let Some(most) = most.filter(|most| value > *most) {
        return Err(format!("must be at most {most}"));
    }
    if is_narrow && number.as_i64().is_some_and(|it| i32::try_from(it).is_err()) {
        return Err(format!("must be within {} to {}", i32::MIN, i32::MAX));
    }
    Ok(())
}

fn check_text(text: &str, schema: &Value) -> Result<(), String> {
    let count = text.chars().count();
    check_count(count, schema, ("minLength", "maxLength"))?;
    let pattern = schema["pattern"].as_str();
    let pattern = PATTERNS.iter().find(|(known, ..)| pattern == Some(*known));
    match pattern {
        Some((_, between, name)) if !is_name(text, between) => Err(format!(
            "must be of lower-case letters, digits, {name}, with a letter or digit at both ends"
        )),
        _ => Ok(()),
    }
}

fn check_count(count: usize, schema: &Value, (least, most): (&str, &str)) -> Result<(), String> {
    let bound = |name: &str| {
        let bound = schema[name].as_u64()?;
        usize::try_from(bound).ok()
    };
    let what = match most {
        "maxLength" => "characters",
        "maxItems" => "items",
        _ => "entries",
    };
    if let Some(least) = bound(least).filter(|least| count < *least) {
        return Err(format!("has {count} {what}, and needs at least {least}"));
    }
    if let Some(most) = bound(most).filter(|most| count > *most) {
        return Err(format!("has {count} {what}, and may have {most} at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::custom_resource_definition;

    #[test]
    fn knows_every_pattern_of_the_definition() {
        let definition = serde_json::to_value(custom_resource_definition()).unwrap();
        let mut patterns = Vec::new();
        collect(&definition, &mut patterns);

        assert_eq!(patterns.len(), PATTERNS.len(), "{patterns:?}");
        for pattern in patterns {
            let is_known = PATTERNS.iter().any(|(known, ..)| *known == pattern);
            assert!(is_known, "{pattern}");
        }
    }

    #[test]
    fn a_name_is_of_what_its_pattern_allows() {
        let fits = |text: &str, position: usize| {
            let (pattern, ..) = PATTERNS[position];
            let schema = json!({ "type": "string", "minLength": 1, "pattern": pattern });
            check(&json!(text), &schema).is_ok()
        };

        for (text, is_label, is_dotted) in [
            ("a", true, true),
            ("a-0", true, true),
            ("a.b", false, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("A", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(
                (fits(text, 0), fits(text, 1)),
                (is_label, is_dotted),
                "{text}"
            );
        }
    }

    fn collect(value: &Value, patterns: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let pattern = fields.get("pattern").and_then(Value::as_str);
                patterns.extend(pattern.map(str::to_owned));
                fields.values().for_each(|field| collect(field, patterns));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, patterns)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
