//! Paths and URLs.

use std::collections::BTreeMap;

use planescape_vault::Text;
use planescape_vault::path::{self, clean_bytes as clean};

use crate::error::Failure;
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

/// The parts of a URL as far as templates need them: the query and what is opaque are not decoded.
fn url_parse(url: &Text) -> Outcome {
    let url = readable(url);
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(Failure::new("unable to parse url: parse ")
            .quoted(url.as_bytes())
            .words(": net/url: invalid control character in URL"));
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let mistakes = [(rest, url_mistake(rest)), (&*url, broken_escape(fragment))];
    for (part, mistake) in mistakes {
        if let Some(mistake) = mistake {
            return Err(Failure::new("unable to parse url: parse ")
                .quoted(part.as_bytes())
                .words(format!(": {mistake}")));
        }
    }
    let (scheme, rest) = scheme(rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = BTreeMap::new();
    let mut put = |name: &str, value: Vec<u8>| parts.insert(Text::from(name), Value::text(value));
    let decoded = path::percent_decoded_bytes;
    let (mut authority, mut path, mut opaque) = ("", rest, "");
    let is_rooted = scheme.is_empty() && rest.starts_with("///");
    if let Some(after) = rest.strip_prefix("//").filter(|_| !is_rooted) {
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
    put("scheme", scheme.to_ascii_lowercase().into_bytes());
    put("host", decoded(host));
    put("hostname", decoded(hostname));
    put("path", decoded(path));
    put("query", query.into());
    put("opaque", opaque.into());
    put("fragment", decoded(fragment));
    put("userinfo", normal_userinfo(userinfo).into_bytes());
    Ok(Value::map(parts))
}

/// Bytes that are no character as the escapes they stand for.
fn readable(url: &[u8]) -> String {
    let mut out = String::with_capacity(url.len());
    for chunk in url.utf8_chunks() {
        out.push_str(chunk.valid());
        out.push_str(&escaped(chunk.invalid(), ""));
    }
    out
}

/// Why a text without a fragment is no URL.
fn url_mistake(rest: &str) -> Option<String> {
    if rest.starts_with(':') {
        return Some("missing protocol scheme".to_owned());
    }
    let (scheme, rest) = scheme(rest);
    let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
    if !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or_default();
        return match (scheme.is_empty(), first.contains(':')) {
            (false, _) => None,
            (true, true) => Some("first path segment in URL cannot contain colon".to_owned()),
            (true, false) => broken_escape(rest),
        };
    }
    let is_rooted = scheme.is_empty() && rest.starts_with("///");
    let mut path = rest;
    if let Some(after) = rest.strip_prefix("//").filter(|_| !is_rooted) {
        let end = after.find('/').unwrap_or(after.len());
        let authority = &after[..end];
        path = &after[end..];
        let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if let Some(mistake) = host_mistake(host).or_else(|| userinfo_mistake(userinfo)) {
            return Some(mistake);
        }
    }
    broken_escape(path)
}

fn host_mistake(host: &str) -> Option<String> {
    let port = if host.starts_with('[') {
        let Some(end) = host.rfind(']') else {
            return Some("missing ']' in host".to_owned());
        };
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_port {
        let shown = crate::quote::quoted(port.as_bytes());
        return Some(format!("invalid port {shown} after host"));
    }
    let escape = broken_escape(host).or_else(|| {
        // Only bytes beyond ASCII are escaped in a host.
        let mut escapes = host.match_indices('%').filter(|_| !host.starts_with('['));
        let (at, _) = escapes.find(|(at, _)| {
            let code = &host.as_bytes()[at + 1..at + 3];
            code[0] < b'8' && code != b"25"
        })?;
        let shown = crate::quote::quoted(&host.as_bytes()[at..at + 3]);
        Some(format!("invalid URL escape {shown}"))
    });
    escape.or_else(|| {
        let bad = host.chars().find(|c| " \\^`{}|".contains(*c))?;
        let shown = crate::quote::quoted(bad.to_string().as_bytes());
        Some(format!("invalid character {shown} in host name"))
    })
}

fn userinfo_mistake(userinfo: &str) -> Option<String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !userinfo.bytes().all(is_fine) {
        return Some("net/url: invalid userinfo".to_owned());
    }
    broken_escape(userinfo)
}

/// A name and perhaps a password, escaped no more than they must be.
fn normal_userinfo(userinfo: &str) -> String {
    let normal = |part: &str| escaped(&path::percent_decoded_bytes(part), "$&+,;=");
    match userinfo.split_once(':') {
        Some((name, password)) => format!("{}:{}", normal(name), normal(password)),
        None => normal(userinfo),
    }
}

/// A percent sign without two digits.
fn broken_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let at = (0..bytes.len())
        .find(|&at| bytes[at] == b'%' && !(is_digit(at + 1) && is_digit(at + 2)))?;
    let shown = crate::quote::quoted(&bytes[at..bytes.len().min(at + 3)]);
    Some(format!("invalid URL escape {shown}"))
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
    let userinfo = joined_userinfo(&part("userinfo")?)?;
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
            url.push_str(&escaped(host.as_bytes(), "!$&'()*+,;=:[]<>\""));
        } else if !scheme.is_empty() && path.starts_with("//") {
            url.push_str("//");
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url.push_str(&escaped(path.as_bytes(), "$&+,/:;=@"));
    } else {
        url.push_str(&opaque);
    }
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    if !fragment.is_empty() {
        url.push('#');
        url.push_str(&escaped(fragment.as_bytes(), "$&+,/:;=?@!()*"));
    }
    done(url)
}

/// What stands before the host, which is read as if it were part of a URL.
fn joined_userinfo(written: &str) -> Result<String, Failure> {
    let url = format!("proto://{written}@host");
    let (plain, _) = url.split_once('#').unwrap_or((&url, ""));
    if let Some(mistake) = url_mistake(plain) {
        return Err(Failure::new("unable to parse userinfo in dict: parse ")
            .quoted(plain.as_bytes())
            .words(format!(": {mistake}")));
    }
    let authority = plain["proto://".len()..].split(['/', '?']).next();
    let userinfo = authority.and_then(|authority| authority.rsplit_once('@'));
    Ok(userinfo.map_or_else(String::new, |(userinfo, _)| normal_userinfo(userinfo)))
}

fn escaped(text: &[u8], kept: &str) -> String {
    let mut out = String::new();
    for &byte in text {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) && c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
