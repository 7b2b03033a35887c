//! Functions that read the world outside: secrets, files, environment, time. Nothing is fetched here;
//! an answer that is not known yet is noted as missing.

use std::collections::BTreeMap;

use planescape_vault::{Text, path};

use crate::error::Failure;
use crate::number::{Base, parse_uint};
use crate::pass::Effect;
use crate::quote;
use crate::request::Request;
use crate::time::Moment;
use crate::unicode;
use crate::value::{Place, Type, Value};

use super::{Context, Function, Outcome, done, text};

const ONE: &[Type] = &[Type::Text];

/// The cost of looking for an answer.
const ASKING: usize = 1_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("secret", &[], secret)
        .weighing(32)
        .costing(ASKING)
        .rest(Type::Text),
    Function::new("secrets", ONE, secrets)
        .weighing(32)
        .costing(ASKING),
    Function::new("pkiCert", &[], pki_cert)
        .weighing(32)
        .costing(ASKING)
        .rest(Type::Text),
    Function::new("file", ONE, file)
        .weighing(32)
        .costing(ASKING),
    Function::new("env", ONE, |context, args| {
        done(variable(context, text(args, 0)).unwrap_or_default())
    }),
    Function::new("mustEnv", ONE, |context, args| {
        let name = text(args, 0);
        match variable(context, name) {
            Some(value) if !value.is_empty() => done(value),
            _ => Err(Failure::new("required environment variable ")
                .plain(name)
                .words(" is empty")),
        }
    }),
    Function::new(
        "envOrDefault",
        &[Type::Text, Type::Text],
        |context, args| {
            done(variable(context, text(args, 0)).unwrap_or_else(|| text(args, 1).clone()))
        },
    ),
    Function::new("timestamp", &[], timestamp)
        .weighing(64)
        .rest(Type::Text),
    Function::new(
        "writeToFile",
        &[Type::Text, Type::Text, Type::Text, Type::Text],
        write_to_file,
    )
    .weighing(8)
    .costing(256)
    .rest(Type::Text),
];

/// A path as it is asked for: no blanks and no slashes around it.
fn trimmed_path(written: &[u8], kind: &str) -> Result<String, Failure> {
    let path = unicode::trim_space(written);
    let path = unicode::trim(path, |c| c == '/');
    if path.is_empty() {
        return Err(Failure::new(format!("vault.{kind}: invalid format: \"\"")));
    }
    Ok(String::from_utf8_lossy(path).into_owned())
}

/// Refuses what `url.Parse` refuses, and drops a fragment.
fn checked_url(path: String) -> Result<String, Failure> {
    let refuse = |reason: &str| {
        Err(Failure::new("parse ")
            .quoted(path.as_bytes())
            .words(format!(": {reason}")))
    };
    if path.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return refuse("net/url: invalid control character in URL");
    }
    let plain = path.split('#').next().unwrap_or_default();
    if plain.starts_with(':') {
        return refuse("missing protocol scheme");
    }
    let before_query = plain.split('?').next().unwrap_or_default();
    let first = before_query.split('/').next().unwrap_or_default();
    if first.contains(':') {
        return refuse("first path segment in URL cannot contain colon");
    }
    let mut escapes = before_query.split('%').skip(1);
    let is_hex = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if let Some(bad) = escapes.find(|escape| !is_hex(escape)) {
        let shown: String = std::iter::once('%').chain(bad.chars().take(2)).collect();
        let shown = quote::quoted(shown.as_bytes());
        return refuse(&format!("invalid URL escape {shown}"));
    }
    Ok(plain.to_owned())
}

/// `key=value` arguments; empty ones are skipped.
fn parameters(args: &[Place]) -> Result<BTreeMap<String, String>, Failure> {
    let mut parameters = BTreeMap::new();
    for index in 0..args.len() {
        let pair = text(args, index);
        if pair.is_empty() {
            continue;
        }
        let Some(at) = pair.iter().position(|&byte| byte == b'=') else {
            return Err(Failure::new("not k=v pair ").quoted(pair));
        };
        let part = |part: &[u8]| String::from_utf8_lossy(unicode::trim_space(part)).into_owned();
        parameters.insert(part(&pair[..at]), part(&pair[at + 1..]));
    }
    Ok(parameters)
}

/// The request of `secret` with these texts.
pub(crate) fn secret_request(args: &[Place]) -> Result<Option<Request>, Failure> {
    if args.is_empty() {
        return Ok(None);
    }
    let parameters = parameters(&args[1..])?;
    Ok(Some(if args.len() == 1 {
        let path = checked_url(trimmed_path(text(args, 0), "read")?)?;
        Request::Read { path }
    } else {
        let path = trimmed_path(text(args, 0), "write")?;
        Request::Write { path, parameters }
    }))
}

/// The request of `secrets` with this text.
pub(crate) fn secrets_request(args: &[Place]) -> Result<Option<Request>, Failure> {
    let path = text(args, 0);
    if path.is_empty() {
        return Ok(None);
    }
    let path = trimmed_path(path, "list")?;
    Ok(Some(Request::List { path }))
}

fn secret(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let Some(request) = secret_request(args)? else {
        return Ok(Value::Nil);
    };
    Ok(context.value_of(request)?.unwrap_or(Value::Nil))
}

fn secrets(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let nothing = Value::TypedNil(Type::Strings);
    let Some(request) = secrets_request(args)? else {
        return Ok(nothing);
    };
    Ok(context.value_of(request)?.unwrap_or(nothing))
}

fn pki_cert(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    if args.is_empty() {
        return Ok(Value::Nil);
    }
    let parameters = parameters(&args[1..])?;
    let path = checked_url(trimmed_path(text(args, 0), "read")?)?;
    let destination = context.environment.destination.clone();
    let request = Request::Pki {
        path,
        parameters,
        destination,
    };
    Ok(context.value_of(request)?.unwrap_or(Value::Nil))
}

fn file(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let path = text(args, 0);
    if path.is_empty() {
        return done("");
    }
    let path = String::from_utf8_lossy(path).into_owned();
    if let Some(sandbox) = context
        .options
        .sandbox_path
        .as_deref()
        .filter(|s| !s.is_empty())
    {
        let sandbox = path::clean(sandbox);
        let inside = path::clean(&path)
            .strip_prefix(&sandbox)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || sandbox == "/");
        if !inside {
            return Err(Failure::new(format!("'{path}' is outside of sandbox")));
        }
    }
    let content = context.value_of(Request::File { path })?;
    Ok(content.unwrap_or_else(|| Value::Text(Text::default())))
}

fn variable(context: &Context<'_>, name: &[u8]) -> Option<Text> {
    let name = std::str::from_utf8(name).ok()?;
    let value = context.environment.variables.get(name)?;
    Some(Text::from(value.as_str()))
}

fn timestamp(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let now = Moment::from(context.environment.now);
    match args {
        [] => done(now.format("2006-01-02T15:04:05Z07:00")),
        [_] => match &**text(args, 0) {
            b"unix" => done(now.seconds.to_string()),
            layout => done(now.format_bytes(layout)),
        },
        _ => {
            let count = args.len();
            Err(Failure::new(format!(
                "timestamp: wrong number of arguments, expected 0 or 1, but got {count}"
            )))
        }
    }
}

/// The memory of an effect, besides its texts.
const EFFECT: usize = 256;

fn write_to_file(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let plain = |index: usize| String::from_utf8_lossy(text(args, index)).into_owned();
    let content = match args.len() {
        0..=4 => return Err(Failure::new("runtime error: index out of range [-1]")),
        count => text(args, count - 1).clone(),
    };
    let flags = if args.len() == 6 {
        plain(4)
    } else {
        String::new()
    };
    let permissions = text(args, 3);
    let mode = parse_uint(permissions, Base::Fixed(8))
        .and_then(|mode| u32::try_from(mode).map_err(|_| crate::number::NumberError::Range))
        .map_err(|error| error.failure("ParseUint", permissions))?;
    let content = if flags.contains("newline") {
        context.meter.keep(content.len())?;
        Text::from([&content[..], b"\n"].concat())
    } else {
        content
    };
    context.meter.charge(content.len())?;
    let words: usize = (0..3).map(|index| text(args, index).len()).sum();
    context.meter.keep(EFFECT + words)?;
    context.gathered.effects.push(Effect::WriteFile {
        path: plain(0),
        user: plain(1),
        group: plain(2),
        mode,
        appends: flags.contains("append"),
        content,
    });
    done("")
}
