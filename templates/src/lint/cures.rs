//! What to write instead, where a mistake says what was meant.

use crate::error::Error;

/// The cure for an error, if its words and its place name one.
pub(super) fn cure(text: &[u8], error: &Error) -> Option<String> {
    let message = error.message();
    if let Some(rest) = message.strip_prefix("undefined variable \"") {
        let name = rest.split('"').next()?;
        return Some(format!(
            "declare it first, in this block or one around it: `{{{{ {name} := … }}}}`"
        ));
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
        let own = match field.split(' ').next()? {
            "certificate" | "cert" => "Cert",
            "ca" | "issuing_ca" => "CA",
            "ca_chain" | "chain" => "CAChain",
            "private_key" | "key" => "Key",
            _ => return None,
        };
        return Some(format!("write `.{own}`"));
    }
    let message = message.strip_prefix("bad character U+")?;
    let line = text.split(|&byte| byte == b'\n').nth(error.line() - 1)?;
    let (before, after) = line.split_at_checked(error.column()?)?;
    match message.get(..4)? {
        "002D" => dashed(before, after),
        "005B" => bracketed(before, after),
        "002F" => path(before, after),
        _ => None,
    }
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

/// What a word of another language is here.
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
