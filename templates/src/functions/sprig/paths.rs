//! Paths and URLs.

use std::collections::BTreeMap;

use crate::error::Failure;
use crate::mount::{self, clean_bytes as clean};
use crate::text::Text;
use crate::value::{Kind, Place, Type, Value};

use super::defaults::kind_name;
use super::{Function, ONE, Outcome, done, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sprig_base", ONE, |_, args| done(base(text(args, 0)))),
    Function::new("sprig_osBase", ONE, |_, args| done(base(text(args, 0)))),
    Function::new("sprig_dir", ONE, |_, args| done(dir(text(args, 0)))),
    Function::new("sprig_osDir", ONE, |_, args| done(dir(text(args, 0)))),
    Function::new("sprig_clean", ONE, |_, args| done(clean(text(args, 0)))),
    Function::new("sprig_osClean", ONE, |_, args| done(clean(text(args, 0)))),
    Function::new("sprig_ext", ONE, |_, args| done(ext(text(args, 0)))),
    Function::new("sprig_osExt", ONE, |_, args| done(ext(text(args, 0)))),
    Function::new("sprig_isAbs", ONE, |_, args| Ok(is_absolute(args))),
    Function::new("sprig_osIsAbs", ONE, |_, args| Ok(is_absolute(args))),
    Function::new("sprig_urlParse", ONE, |_, args| url_parse(text(args, 0))),
    Function::new("sprig_urlJoin", &[Type::Map], |_, args| {
        url_join(&args[0].value)
    }),
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

fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&byte| byte == b'/');
    clean(&path[..end.map_or(0, |slash| slash + 1)])
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

/// The parts of a URL as far as templates need them: nothing is decoded but the path and the fragment.
fn url_parse(url: &Text) -> Outcome {
    let url = String::from_utf8_lossy(url).into_owned();
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(Failure::new("unable to parse url: parse ")
            .quoted(url.as_bytes())
            .words(": net/url: invalid control character in URL"));
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (scheme, rest) = scheme(rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = BTreeMap::new();
    let mut put = |name: &str, value: &str| parts.insert(Text::from(name), Value::text(value));
    let (mut authority, mut path, mut opaque) = ("", rest, "");
    if let Some(after) = rest.strip_prefix("//") {
        let end = after.find('/').unwrap_or(after.len());
        (authority, path) = after.split_at(end);
    } else if !scheme.is_empty() && !rest.starts_with('/') {
        (path, opaque) = ("", rest);
    }
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let hostname = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    put("scheme", &scheme.to_ascii_lowercase());
    put("host", host);
    put("hostname", hostname);
    put("path", &mount::percent_decoded(path));
    put("query", query);
    put("opaque", opaque);
    put("fragment", &mount::percent_decoded(fragment));
    put("userinfo", userinfo);
    Ok(Value::map(parts))
}

fn scheme(url: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", url),
    }
}

fn url_join(parts: &Value) -> Outcome {
    let Value::Map(parts) = parts else {
        return done("");
    };
    let parts = parts.borrow();
    let part = |name: &str| -> Result<String, Failure> {
        match parts.get(name.as_bytes()) {
            None => Ok(String::new()),
            Some(value) if value.kind() == Kind::Text => {
                let text = value.as_text().cloned().unwrap_or_default();
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Some(value) => {
                let kind = kind_name(value);
                Err(Failure::new(format!(
                    "unable to parse {name} key, must be of type string, but {kind} found"
                )))
            }
        }
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (query, opaque, fragment) = (part("query")?, part("opaque")?, part("fragment")?);
    let userinfo = part("userinfo")?;
    let mut url = String::new();
    if !scheme.is_empty() {
        url.push_str(&scheme);
        url.push(':');
    }
    if opaque.is_empty() {
        if !host.is_empty() || !userinfo.is_empty() {
            url.push_str("//");
            if !userinfo.is_empty() {
                url.push_str(&userinfo);
                url.push('@');
            }
            url.push_str(&host);
        } else if !scheme.is_empty() && path.starts_with("//") {
            url.push_str("//");
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url.push_str(&escaped(&path, "$&+,/:;=@"));
    } else {
        url.push_str(&opaque);
    }
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    if !fragment.is_empty() {
        url.push('#');
        url.push_str(&escaped(&fragment, "$&+,/:;=?@!()*"));
    }
    done(url)
}

fn escaped(text: &str, kept: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) && c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
