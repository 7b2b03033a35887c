//! Paths and URLs.

use std::collections::BTreeMap;

use planescape_vault::Text;
use planescape_vault::path::clean_bytes as clean;

use crate::bytes;
use crate::error::Failure;
use crate::url::{Url, Userinfo};
use crate::value::{Place, Type, Value};

use super::defaults::kind_name;
use super::{Context, Function, ONE, Outcome, done, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_base", ONE, |_, args| done(base(text(args, 0)))),
    Function::new("sprig_osBase", ONE, |_, args| done(base(text(args, 0)))),
    Function::new("sprig_dir", ONE, dir).weighing(8),
    Function::new("sprig_osDir", ONE, dir).weighing(8),
    Function::new("sprig_clean", ONE, |context, args| {
        cleaned(context, text(args, 0))
    })
    .weighing(8),
    Function::new("sprig_osClean", ONE, |context, args| {
        cleaned(context, text(args, 0))
    })
    .weighing(8),
    Function::new("sprig_ext", ONE, |_, args| done(ext(text(args, 0)))),
    Function::new("sprig_osExt", ONE, |_, args| done(ext(text(args, 0)))),
    Function::new("sprig_isAbs", ONE, |_, args| Ok(is_absolute(args))),
    Function::new("sprig_osIsAbs", ONE, |_, args| Ok(is_absolute(args))),
    Function::new("sprig_urlParse", ONE, |_, args| url_parse(text(args, 0))).weighing(24),
    Function::new("sprig_urlJoin", &[Type::Map], |_, args| {
        url_join(&args[0].value)
    })
    .weighing(24),
];

fn is_absolute(args: &[Place]) -> Value {
    Value::Bool(text(args, 0).starts_with(b"/"))
}

fn base(path: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return b".".to_vec();
    }
    let end = path.iter().rposition(|&byte| byte != b'/');
    let Some(end) = end else {
        return b"/".to_vec();
    };
    let start = path[..=end].iter().rposition(|&byte| byte == b'/');
    path[start.map_or(0, |slash| slash + 1)..=end].to_vec()
}

fn dir(context: &mut Context<'_>, args: &[Place]) -> Outcome {
    let path = text(args, 0);
    let end = path.iter().rposition(|&byte| byte == b'/');
    cleaned(context, &path[..end.map_or(0, |slash| slash + 1)])
}

fn cleaned(context: &mut Context<'_>, path: &[u8]) -> Outcome {
    // The parts are held until they are joined, in a list that grows by doubling.
    let parts = bytes::count(path, b"/");
    context
        .meter
        .keep(parts.saturating_mul(2 * size_of::<&[u8]>()))?;
    done(clean(path))
}

fn ext(path: &[u8]) -> &[u8] {
    let name = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    match path[name..].iter().rposition(|&byte| byte == b'.') {
        Some(dot) => &path[name + dot..],
        None => b"",
    }
}

fn url_parse(text: &Text) -> Outcome {
    let url = Url::parse(text).map_err(|failure| failure.under("unable to parse url: "))?;
    let hostname = url.hostname().to_vec();
    let userinfo = url.userinfo.as_ref().map(Userinfo::joined);
    let parts = [
        ("scheme", url.scheme),
        ("host", url.host),
        ("hostname", hostname),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", url.fragment),
        ("userinfo", userinfo.unwrap_or_default()),
    ];
    let parts = parts.map(|(name, part)| (Text::from(name), Value::text(part)));
    Ok(Value::map(BTreeMap::from(parts)))
}

fn url_join(parts: &Value) -> Outcome {
    let Value::Map(parts) = parts else {
        return done("");
    };
    let parts = parts.borrow();
    let part = |name: &str| -> Result<Vec<u8>, Failure> {
        match parts.get(name.as_bytes()) {
            None => Ok(Vec::new()),
            Some(Value::Text(text) | Value::Number(text)) => Ok(text.to_vec()),
            Some(value) => {
                let kind = kind_name(value);
                Err(Failure::new(format!(
                    "unable to parse {name} key, must be of type string, but {kind} found"
                )))
            }
        }
    };
    let mut url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        userinfo: None,
    };
    let userinfo = part("userinfo")?;
    if !userinfo.is_empty() {
        // It is read as if it were part of a URL.
        let whole = [b"proto://", &userinfo[..], b"@host"].concat();
        let read = Url::parse(&whole)
            .map_err(|failure| failure.under("unable to parse userinfo in dict: "))?;
        url.userinfo = read.userinfo;
    }
    done(url.joined())
}
