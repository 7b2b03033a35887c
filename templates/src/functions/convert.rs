//! Texts to values and back.

use std::collections::BTreeMap;

use planescape_vault::Text;

use crate::error::Failure;
use crate::json::{self, Style};
use crate::number::{Base, NumberError, parse_float, parse_int, parse_uint};
use crate::unicode;
use crate::value::{Place, Type, Value};

use super::collection::SHARED;
use super::{Context, Function, Outcome, done, text};

const ONE: &[Type] = &[Type::Text];
const ANY: &[Type] = &[Type::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("parseBool", ONE, |_, args| parse_bool(text(args, 0))),
    Function::new("parseInt", ONE, |_, args| {
        let parse = |text: &[u8]| parse_int(text, Base::Fixed(10)).map(Value::Int64);
        number(args, "Int", Value::Int64(0), parse)
    }),
    Function::new("parseUint", ONE, |_, args| {
        let parse = |text: &[u8]| parse_uint(text, Base::Fixed(10)).map(Value::Uint64);
        number(args, "Uint", Value::Uint64(0), parse)
    }),
    Function::new("parseFloat", ONE, |_, args| {
        let parse = |text: &[u8]| parse_float(text).map(Value::Float);
        number(args, "Float", Value::Float(0.0), parse)
    })
    .weighing(16),
    Function::new("parseJSON", ONE, |context, args| match text(args, 0) {
        text if text.is_empty() => Ok(Value::map(BTreeMap::new())),
        text => {
            context.meter.keep(json::memory(text))?;
            json::read_strictly(text)
        }
    })
    .weighing(150),
    Function::new("parseYAML", ONE, |context, args| match text(args, 0) {
        text if text.is_empty() => Ok(Value::map(BTreeMap::new())),
        text => {
            context.meter.keep(json::memory(text))?;
            let (value, merged) = crate::yaml::decode(text)?;
            context.meter.charge(merged * MERGED)?;
            context.meter.keep(merged * SHARED)?;
            Ok(value)
        }
    })
    .weighing(400),
    Function::new("toJSON", ANY, |context, args| {
        let style = Style {
            pretty: false,
            html: true,
        };
        to_json(context, args, "toJSON", style)
    })
    .writing(),
    Function::new("toJSONPretty", ANY, |context, args| {
        let style = Style {
            pretty: true,
            html: true,
        };
        to_json(context, args, "toJSONPretty", style)
    })
    .writing(),
    Function::new("toUnescapedJSON", ANY, |context, args| {
        let style = Style {
            pretty: false,
            html: false,
        };
        to_json(context, args, "toUnescapedJSON", style)
    })
    .writing(),
    Function::new("toUnescapedJSONPretty", ANY, |context, args| {
        let style = Style {
            pretty: true,
            html: false,
        };
        to_json(context, args, "toUnescapedJSONPretty", style)
    })
    .writing(),
    Function::new("toYAML", ANY, |context, args| {
        // Go's encoder panics, and a panic goes past the function that would name itself.
        let encoded = crate::yaml::encode(&args[0].value, context.meter.output_limit())?;
        let encoded = Text::from(encoded);
        done(encoded.part(unicode::trim_space(&encoded)))
    })
    .weighing(60)
    .writing(),
    Function::new("toTOML", ANY, |context, args| {
        if args[0].value.is_nil() {
            return Err(Failure::new(
                "reflect: call of reflect.Value.Type on zero Value",
            ));
        }
        let encoded = crate::toml::encode(&args[0].value, context.meter.output_limit())
            .map_err(|failure| failure.under("toTOML: "))?;
        let encoded = Text::from(encoded);
        done(encoded.part(unicode::trim_space(&encoded)))
    })
    .weighing(60)
    .writing(),
];

/// What an entry of a document costs that a merge has copied.
const MERGED: usize = 128;

fn parse_bool(text: &Text) -> Outcome {
    match &text[..] {
        b"" | b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(Value::Bool(false)),
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(Value::Bool(true)),
        _ => Err(NumberError::Syntax
            .failure("ParseBool", text)
            .under("parseBool: ")),
    }
}

fn number(
    args: &[Place],
    of: &str,
    zero: Value,
    parse: impl Fn(&[u8]) -> Result<Value, NumberError>,
) -> Outcome {
    let text = text(args, 0);
    if text.is_empty() {
        return Ok(zero);
    }
    parse(text).map_err(|error| {
        error
            .failure(&format!("Parse{of}"), text)
            .under(format!("parse{of}: "))
    })
}

fn to_json(context: &Context<'_>, args: &[Place], name: &str, style: Style) -> Outcome {
    done(
        json::encode(&args[0].value, style, context.meter.output_limit())
            .map_err(|failure| failure.under(format!("{name}: ")))?,
    )
}
