//! Cures of mistakes that show what was meant.

use crate::error::Error;

/// The cure for an error, if its words and its place name one.
pub(super) fn cure(text: &[u8], error: &Error) -> Option<String> {
    let message = error.message();
    if let Some(rest) = message.strip_prefix("undefined variable \"") {
        return Some(declare(rest.split('"').next()?));
    }
    if let Some(name) = message.strip_prefix("undefined variable: ") {
        return Some(declare(name));
    }
    if let Some(constant) = message.strip_prefix("malformed character constant: '") {
        let inner = constant.strip_suffix('\'')?;
        return Some(format!("write double quotes: `\"{inner}\"`"));
    }
    if message.starts_with("illegal number syntax: \"+") {
        return Some("write `add A B` for numbers, `print A B` for texts".to_owned());
    }
    if message.starts_with("bad number syntax: \"-.") {
        return Some("a blank follows `{{-`".to_owned());
    }
    if message.starts_with("unrecognized character in action: U+20") {
        return Some("write straight quotes: `\"`".to_owned());
    }
    if message.ends_with("; got json.Number") || message.contains("expected string; got int") {
        return Some(
            "a number is not a text: write `sprig_int` for it, or `print` before it".to_owned(),
        );
    }
    if message.ends_with("in type dependency.PemEncoded") {
        let field = message.strip_prefix("can't evaluate field ")?;
        let own = of_certificate(field.split(' ').next()?)?;
        return Some(format!("write `.{own}`"));
    }
    let (before, after) = around(text, error)?;
    if message.starts_with("unexpected \"") {
        return operator(before, after);
    }
    let message = message.strip_prefix("bad character U+")?;
    match message.get(..4)? {
        "002D" => dashed(before, after),
        "005B" => bracketed(before, after),
        "002F" => path(before, after),
        _ => None,
    }
}

/// The field of `pkiCert` for Vault's field of this name.
pub(super) fn of_certificate(name: &str) -> Option<&'static str> {
    Some(match name {
        "certificate" | "cert" => "Cert",
        "ca" | "issuing_ca" => "CA",
        "ca_chain" | "chain" => "CAChain",
        "private_key" | "key" => "Key",
        _ => return None,
    })
}

fn declare(name: &str) -> String {
    format!("declare it first, in this block or one around it: `{{{{ {name} := … }}}}`")
}

/// The text before a mistake in its line, and the text from there on.
fn around<'t>(text: &'t [u8], error: &Error) -> Option<(&'t [u8], &'t [u8])> {
    let line = text.split(|&byte| byte == b'\n').nth(error.line() - 1)?;
    line.split_at_checked(error.column()?)
}

/// How to write here what an operator of another language means.
fn operator(before: &[u8], after: &[u8]) -> Option<String> {
    if after.starts_with(b"/*") {
        return Some("write `{{/*` and `*/}}` without blanks".to_owned());
    }
    if after.starts_with(b"/") {
        return path(before, after);
    }
    let written = [
        ("==", "eq A B"),
        ("!=", "ne A B"),
        ("<=", "le A B"),
        (">=", "ge A B"),
        ("<", "lt A B"),
        (">", "gt A B"),
        ("&&", "and A B"),
        ("!", "not A"),
        ("?", "sprig_ternary A B CONDITION"),
    ];
    let mut written = written.iter();
    let found = written.find(|(sign, _)| after.starts_with(sign.as_bytes()));
    found.map(|(_, call)| format!("write `{call}`"))
}

/// The cure for an unknown name: a variable is made there, or a text was meant.
pub(super) fn name(text: &[u8], error: &Error, name: &str) -> Option<String> {
    let (before, after) = around(text, error)?;
    let rest = after.strip_prefix(name.as_bytes())?.trim_ascii_start();
    if rest.starts_with(b":=") || rest.starts_with(b"=") && !rest.starts_with(b"==") {
        return Some(format!(
            "the name of a variable starts with a dollar: `${name}`"
        ));
    }
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = before.trim_ascii_end();
    let start = before.iter().rposition(|byte| !word(byte));
    let function = &before[start.map_or(0, |at| at + 1)..];
    let is_argument = crate::functions::find(function).is_some();
    (is_argument && !matches!(function, b"and" | b"or" | b"not"))
        .then(|| format!("quote it: `\"{name}\"`"))
}

/// `.Data.data.api-key`: a key with a dash is no name.
fn dashed(before: &[u8], after: &[u8]) -> Option<String> {
    let (chain, start) = chain(before).rsplit_once('.')?;
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let rest = String::from_utf8_lossy(after);
    let rest: String = rest.chars().take_while(|&c| is_key(c)).collect();
    let map = if chain.is_empty() { "." } else { chain };
    Some(format!("write `index {map} \"{start}{rest}\"`"))
}

/// `.Data.data["key"]`: there are no brackets.
fn bracketed(before: &[u8], after: &[u8]) -> Option<String> {
    let map = chain(before);
    let rest = std::str::from_utf8(after).ok()?.strip_prefix('[')?;
    let (key, _) = rest.split_once(']')?;
    Some(format!("write `index {map} {key}`"))
}

/// `secret kv/data/app`: a text has quotes.
fn path(before: &[u8], after: &[u8]) -> Option<String> {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"(){}|".contains(byte);
    let start = before.iter().rposition(is_end).map_or(0, |at| at + 1);
    let end = after.iter().position(is_end).unwrap_or(after.len());
    let path = [&before[start..], &after[..end]].concat();
    let path = String::from_utf8_lossy(&path);
    Some(format!("quote it: `\"{}\"`", path.trim_matches('"')))
}

/// The fields and the variable that end here.
fn chain(before: &[u8]) -> &str {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$".contains(byte);
    let start = before.iter().rposition(|byte| !is_part(byte));
    let chain = &before[start.map_or(0, |at| at + 1)..];
    std::str::from_utf8(chain).unwrap_or_default()
}

/// How to write here what a word of another language means.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "for" | "foreach" | "each" => "write `range`",
        "elif" | "elseif" | "elsif" => "write `else if`",
        "endif" | "endfor" | "endrange" | "endwith" | "fi" | "done" => "write `end`",
        "unless" => "write `if not`",
        "set" | "let" | "var" => "write `$name := value`",
        "include" | "import" | "tpl" => "write `template` or `executeTemplate`",
        _ => return None,
    })
}
