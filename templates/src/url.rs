//! URLs as Go's `net/url` takes them apart and puts them together, byte for byte.

use std::net::Ipv6Addr;

use planescape_vault::path::percent_decoded_bytes;

use crate::bytes;
use crate::error::Failure;
use crate::quote;

/// The parts of a URL; escapes are undone, except in the query and in the opaque part.
#[derive(Default)]
pub(crate) struct Url {
    pub(crate) scheme: Vec<u8>,
    pub(crate) opaque: Vec<u8>,
    pub(crate) userinfo: Option<Userinfo>,
    pub(crate) host: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Vec<u8>,
    pub(crate) fragment: Vec<u8>,
}

/// A name and perhaps a password.
pub(crate) struct Userinfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// The part of a URL that some bytes stand in, which decides how they are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    /// The zone of an IPv6 address.
    Zone,
    Userinfo,
    Fragment,
}

impl Part {
    /// Whether a byte stands for itself.
    fn keeps(self, byte: u8) -> bool {
        let more: &[u8] = match self {
            Self::Path => b"$&+,/:;=@",
            Self::Host | Self::Zone => b"!$&'()*+,;=:[]<>\"",
            Self::Userinfo => b"$&+,;=",
            Self::Fragment => b"$&+,/:;=?@!()*",
        };
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || more.contains(&byte)
    }

    /// Bytes with escapes for those that cannot stand for themselves.
    fn escaped(self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for &byte in text {
            if self.keeps(byte) {
                out.push(byte);
            } else {
                let [high, low] = bytes::hex_digits(byte);
                out.extend([b'%', high, low]);
            }
        }
        out
    }

    /// The bytes behind the escapes, or why they cannot stand here.
    fn unescaped(self, text: &[u8]) -> Result<Vec<u8>, Mistake> {
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            if byte != b'%' {
                if matches!(self, Self::Host | Self::Zone) && byte.is_ascii() && !self.keeps(byte) {
                    return Err(Mistake::Character(byte));
                }
                at += 1;
                continue;
            }
            let escape = &text[at..text.len().min(at + 3)];
            let refused = || Err(Mistake::Escape(escape.to_vec()));
            let [_, high, low] = *escape else {
                return refused();
            };
            let hex = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (hex(high), hex(low)) else {
                return refused();
            };
            let code = (high << 4 | low) as u8;
            // A host may only hide bytes beyond ASCII, and a zone only bytes that it could also show.
            let is_hidden = match self {
                Self::Host => code.is_ascii(),
                Self::Zone => code != b' ' && !self.keeps(code),
                Self::Path | Self::Userinfo | Self::Fragment => false,
            };
            if is_hidden && escape != b"%25" {
                return refused();
            }
            at += 3;
        }
        Ok(match text.contains(&b'%') {
            true => percent_decoded(text),
            false => text.to_vec(),
        })
    }
}

/// Every escape is known to be sound.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.extend(percent_decoded_bytes(chunk.valid()));
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// Why a text is no URL.
enum Mistake {
    Plain(&'static str),
    Escape(Vec<u8>),
    Character(u8),
    Port(Vec<u8>),
    Address(Vec<u8>, &'static str),
}

impl Mistake {
    fn words(&self) -> String {
        match self {
            Self::Plain(words) => (*words).to_owned(),
            Self::Escape(escape) => format!("invalid URL escape {}", quote::quoted(escape)),
            Self::Character(byte) => {
                format!("invalid character {} in host name", quote::quoted(&[*byte]))
            }
            Self::Port(port) => format!("invalid port {} after host", quote::quoted(port)),
            Self::Address(address, words) => {
                format!(
                    "invalid host: ParseAddr({}): {words}",
                    quote::quoted(address)
                )
            }
        }
    }
}

impl Url {
    /// `url.Parse`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let refuse = |part: &[u8], mistake: Mistake| {
            Failure::new("parse ")
                .quoted(part)
                .words(format!(": {}", mistake.words()))
        };
        let (rest, fragment) = cut(text, b'#');
        let mut url = Self::parts(rest).map_err(|mistake| refuse(rest, mistake))?;
        url.fragment = Part::Fragment
            .unescaped(fragment)
            .map_err(|mistake| refuse(text, mistake))?;
        Ok(url)
    }

    fn parts(text: &[u8]) -> Result<Self, Mistake> {
        if text.iter().any(|&byte| byte < b' ' || byte == 0x7f) {
            let words = "net/url: invalid control character in URL";
            return Err(Mistake::Plain(words));
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = cut(rest, b'?');
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            query: query.to_vec(),
            ..Self::default()
        };
        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                let words = "first path segment in URL cannot contain colon";
                return Err(Mistake::Plain(words));
            }
        }
        let has_authority = !scheme.is_empty() || !rest.starts_with(b"///");
        let mut path = rest;
        if let Some(after) = rest.strip_prefix(b"//").filter(|_| has_authority) {
            let end = after.iter().position(|&byte| byte == b'/');
            let (authority, after) = after.split_at(end.unwrap_or(after.len()));
            path = after;
            let at = authority.iter().rposition(|&byte| byte == b'@');
            url.host = host(&url.scheme, &authority[at.map_or(0, |at| at + 1)..])?;
            url.userinfo = at.map(|at| Userinfo::parse(&authority[..at])).transpose()?;
        }
        url.path = Part::Path.unescaped(path)?;
        Ok(url)
    }

    /// The host without a port and brackets.
    pub(crate) fn hostname(&self) -> &[u8] {
        let host = &self.host[..];
        let colon = host.iter().rposition(|&byte| byte == b':');
        let host = match colon.filter(|&colon| is_port(&host[colon..])) {
            Some(colon) => &host[..colon],
            None => host,
        };
        let inner = host.strip_prefix(b"[");
        inner
            .and_then(|inner| inner.strip_suffix(b"]"))
            .unwrap_or(host)
    }

    /// `URL.String`.
    pub(crate) fn joined(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.join_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(Part::Fragment.escaped(&self.fragment));
        }
        out
    }

    fn join_hierarchy(&self, out: &mut Vec<u8>) {
        let has_authority = !self.host.is_empty() || self.userinfo.is_some();
        if has_authority || !self.scheme.is_empty() && !self.path.is_empty() {
            out.extend_from_slice(b"//");
        }
        if let Some(userinfo) = &self.userinfo {
            out.extend(userinfo.joined());
            out.push(b'@');
        }
        out.extend(Part::Host.escaped(&self.host));
        let path = match &self.path[..] {
            b"*" => b"*".to_vec(),
            path => Part::Path.escaped(path),
        };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        // A first segment with a colon would be read as a scheme.
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

impl Userinfo {
    fn parse(text: &[u8]) -> Result<Self, Mistake> {
        let is_fine =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !text.iter().all(is_fine) {
            return Err(Mistake::Plain("net/url: invalid userinfo"));
        }
        let has_password = text.contains(&b':');
        let (name, password) = cut(text, b':');
        let name = Part::Userinfo.unescaped(name)?;
        let password = Part::Userinfo.unescaped(password)?;
        Ok(Self {
            name,
            password: has_password.then_some(password),
        })
    }

    /// Both, escaped no more than they must be.
    pub(crate) fn joined(&self) -> Vec<u8> {
        let mut out = Part::Userinfo.escaped(&self.name);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(Part::Userinfo.escaped(password));
        }
        out
    }
}

/// The text before and the text after the first such byte.
fn cut(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&own| own == byte) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

fn scheme(text: &[u8]) -> Result<(&[u8], &[u8]), Mistake> {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let end = text.iter().position(|byte| !is_inside(byte));
    match end.map(|end| text.split_at(end)) {
        Some((b"", [b':', ..])) => Err(Mistake::Plain("missing protocol scheme")),
        Some((scheme, [b':', rest @ ..])) if scheme[0].is_ascii_alphabetic() => Ok((scheme, rest)),
        _ => Ok((b"", text)),
    }
}

/// Whether it is nothing, or a colon and digits.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, Mistake> {
    match host.iter().rposition(|&byte| byte == b'[') {
        Some(0) => return address(host),
        Some(_) => return Err(Mistake::Plain("invalid IP-literal")),
        None => {}
    }
    let is_colon = |byte: &u8| *byte == b':';
    let colon = match scheme {
        b"http" | b"https" => host.iter().position(is_colon),
        _ => host.iter().rposition(is_colon),
    };
    let port = colon.map_or(&host[..0], |colon| &host[colon..]);
    if !is_port(port) {
        return Err(Mistake::Port(port.to_vec()));
    }
    Part::Host.unescaped(host)
}

/// An IPv6 address in brackets, with a zone and a port perhaps.
fn address(host: &[u8]) -> Result<Vec<u8>, Mistake> {
    let Some(end) = host.iter().rposition(|&byte| byte == b']') else {
        return Err(Mistake::Plain("missing ']' in host"));
    };
    let port = &host[end + 1..];
    if !is_port(port) {
        return Err(Mistake::Port(port.to_vec()));
    }
    let inner = &host[1..end];
    let (plain, zone) = inner.split_at(bytes::find(inner, b"%25").unwrap_or(inner.len()));
    let mut address = Part::Host.unescaped(plain)?;
    address.extend(Part::Zone.unescaped(zone)?);
    let (plain, zone) = cut(&address, b'%');
    let has_zone = address.contains(&b'%');
    let shape = address.iter().find(|byte| b".:%".contains(byte));
    let plain = std::str::from_utf8(plain).unwrap_or_default();
    let words = match shape {
        Some(b'.') if plain.parse::<std::net::Ipv4Addr>().is_ok() && !has_zone => {
            return Err(Mistake::Plain("invalid IP-literal"));
        }
        Some(b'%') => "missing IPv6 address",
        Some(b':') if has_zone && zone.is_empty() => "zone must be a non-empty string",
        Some(b':') if plain.parse::<Ipv6Addr>().is_ok() => {
            return Ok([b"[", &address[..], b"]", port].concat());
        }
        _ => "unable to parse IP",
    };
    Err(Mistake::Address(address, words))
}
