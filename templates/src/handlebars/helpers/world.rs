//! Secrets, files, environment. Nothing is fetched here; an answer that is not known yet is noted as missing
//! and null for now.

use planescape_vault::Text;

use crate::context::Context;
use crate::error::Failure;
use crate::function::Outcome;
use crate::handlebars::logic::text;
use crate::handlebars::model::{self, field, plain};
use crate::value::Value;

use super::{Arguments, Helper, MANY, go};

pub(super) const HELPERS: &[Helper] = &[
    Helper::new("secret", 1..=MANY, |context, args| {
        asked(context, "secret", args).map(|answer| model::secret(&answer))
    })
    .with_named(),
    Helper::new("raw_secret", 1..=MANY, |context, args| {
        asked(context, "secret", args).map(|answer| plain(&answer))
    })
    .with_named(),
    Helper::new("kv", 2..=3, kv),
    Helper::new("secrets", 1..=1, |context, args| {
        asked(context, "secrets", args).map(|keys| plain(&keys))
    }),
    Helper::new("pki_cert", 1..=MANY, |context, args| {
        asked(context, "pkiCert", args).map(|certificate| plain(&certificate))
    })
    .with_named(),
    Helper::new("env", 1..=2, env),
    Helper::new("file", 1..=1, |context, args| asked(context, "file", args)),
];

/// Asks with texts only: `name=value` is a text as well.
fn asked(context: &mut Context<'_>, function: &str, args: &Arguments<'_>) -> Outcome {
    let mut texts = Vec::with_capacity(args.values.len() + args.named.len());
    for value in &args.values {
        texts.push(Value::Text(text(value)?));
    }
    for (name, value) in &args.named {
        texts.push(Value::text(
            [name.as_bytes(), b"=", &*text(value)?].concat(),
        ));
    }
    go(context, function, texts)
}

/// One field of a secret. A field that is not there is an error, unless something stands in for it.
fn kv(context: &mut Context<'_>, args: &Arguments<'_>) -> Outcome {
    let path = args.text(0)?;
    let name = args.text(1)?;
    let answer = go(context, "secret", vec![Value::Text(path.clone())])?;
    let answer = model::secret(&answer);
    let name_text = String::from_utf8_lossy(&name);
    let found = field(&answer, "data").and_then(|data| field(&data, &name_text));
    let fallback = args.values.get(2);
    match (found, fallback) {
        (None | Some(Value::Nil), Some(fallback)) => Ok(fallback.clone()),
        (Some(value), _) => Ok(value),
        (None, None) => Err(nothing_at(&answer, &path, &name)),
    }
}

fn nothing_at(answer: &Value, path: &Text, name: &Text) -> Failure {
    if answer.is_nil() {
        return Failure::new("there is no secret at ").quoted(path);
    }
    Failure::new("the secret at ")
        .quoted(path)
        .words(" has no field ")
        .quoted(name)
}

fn env(context: &mut Context<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text(0)?;
    let variables = &context.environment.variables;
    let value = std::str::from_utf8(&name)
        .ok()
        .and_then(|name| variables.get(name));
    match (value, args.values.get(1)) {
        (Some(value), _) => Ok(Value::text(value.as_str())),
        (None, Some(fallback)) => Ok(fallback.clone()),
        (None, None) if context.options.error_on_missing_key => {
            Err(Failure::new("there is no variable ").quoted(&name))
        }
        (None, None) => Ok(Value::Nil),
    }
}
