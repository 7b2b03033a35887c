//! Texts and what they are made of: writing, reading, encoding, cutting.

use planescape_vault::Text;

use crate::context::Context;
use crate::error::Failure;
use crate::function::Outcome;
use crate::handlebars::model::plain;
use crate::json;
use crate::value::Value;

use super::{Arguments, Helper, MANY, go, sort, text_of};

pub(super) const HELPERS: &[Helper] = &[
    Helper::new("to_json", 1..=1, |context, args| {
        written(context, "toUnescapedJSON", args)
    }),
    Helper::new("to_json_pretty", 1..=1, |context, args| {
        written(context, "toUnescapedJSONPretty", args)
    }),
    Helper::new("to_yaml", 1..=1, |context, args| {
        written(context, "toYAML", args)
    }),
    Helper::new("to_toml", 1..=1, |context, args| match args.value(0) {
        Value::Map(_) => written(context, "toTOML", args),
        value => {
            let sort = sort(value);
            Err(Failure::new(format!(
                "TOML is made of an object, and not of {sort}"
            )))
        }
    }),
    Helper::new("from_json", 1..=1, |context, args| {
        /// The cost of reading one byte.
        const BYTE: usize = 150;
        let text = args.text(0)?;
        if text.is_empty() {
            return Ok(Value::Nil);
        }
        context.meter.charge(text.len().saturating_mul(BYTE))?;
        context.meter.keep(json::memory(&text))?;
        json::read(&text).map_err(|failure| match failure.is_limit {
            true => failure,
            false => Failure::new("the text is not JSON"),
        })
    }),
    Helper::new("base64_encode", 1..=1, |context, args| {
        let text = args.text(0)?;
        go(context, "base64Encode", vec![Value::Text(text)])
    }),
    Helper::new("base64_decode", 1..=1, base64_decode),
    Helper::new("sha256", 1..=1, |context, args| {
        let text = args.text(0)?;
        go(context, "sha256Hex", vec![Value::Text(text)])
    }),
    Helper::new("upper", 1..=1, |context, args| {
        let text = args.text(0)?;
        go(context, "toUpper", vec![Value::Text(text)])
    }),
    Helper::new("lower", 1..=1, |context, args| {
        let text = args.text(0)?;
        go(context, "toLower", vec![Value::Text(text)])
    }),
    Helper::new("trim", 1..=1, |context, args| {
        let text = args.text(0)?;
        go(context, "trimSpace", vec![Value::Text(text)])
    }),
    Helper::new("replace", 3..=3, |context, args| {
        let texts = vec![args.text(1)?, args.text(2)?, args.text(0)?];
        go(
            context,
            "replaceAll",
            texts.into_iter().map(Value::Text).collect(),
        )
    }),
    Helper::new("split", 2..=2, |context, args| {
        let texts = vec![args.text(1)?, args.text(0)?];
        let pieces = go(
            context,
            "split",
            texts.into_iter().map(Value::Text).collect(),
        )?;
        Ok(plain(&pieces))
    }),
    Helper::new("join", 2..=2, |context, args| {
        let items = match args.value(0) {
            Value::Nil => Vec::new(),
            Value::List(items) => items
                .iter()
                .map(text_of)
                .collect::<Result<Vec<Text>, _>>()?,
            value => {
                let sort = sort(value);
                return Err(Failure::new(format!("a list is joined, and not {sort}")));
            }
        };
        let separator = Value::Text(args.text(1)?);
        go(context, "join", vec![separator, Value::strings(items)])
    }),
    Helper::new("indent", 2..=2, |context, args| {
        let text = args.text(0)?;
        let blanks = args.text(1)?;
        let blanks = std::str::from_utf8(&blanks)
            .ok()
            .and_then(|digits| digits.parse::<u32>().ok());
        let blanks = blanks.ok_or_else(|| Failure::new("the number of blanks comes second"))?;
        go(
            context,
            "indent",
            vec![Value::Int(i64::from(blanks)), Value::Text(text)],
        )
    }),
    Helper::new("concat", 1..=MANY, |context, args| {
        let texts = args
            .values
            .iter()
            .map(text_of)
            .collect::<Result<Vec<Text>, _>>()?;
        let length: usize = texts.iter().map(|text| text.len()).sum();
        context.meter.makes(length)?;
        context.meter.keep(length)?;
        Ok(Value::text(texts.concat()))
    }),
];

fn written(context: &mut Context<'_>, function: &str, args: &Arguments<'_>) -> Outcome {
    go(context, function, vec![args.value(0).clone()])
}

/// A text: other bytes would be written as they are, and are rarely meant to stand in one.
fn base64_decode(context: &mut Context<'_>, args: &Arguments<'_>) -> Outcome {
    let text = args.text(0)?;
    let decoded = go(context, "base64Decode", vec![Value::Text(text)]).map_err(|failure| {
        match failure.is_limit {
            true => failure,
            false => Failure::new("the text is not base64"),
        }
    })?;
    match decoded.as_text() {
        Some(bytes) if std::str::from_utf8(bytes).is_err() => Err(Failure::new(
            "the bytes are not UTF-8 text; write a binary file with output \"base64-decoded\"",
        )),
        _ => Ok(decoded),
    }
}
