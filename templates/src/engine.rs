//! The two template languages. The language of a text is said, never guessed; only an error may
//! point at the other one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use planescape_vault::Text;

use crate::bytes;
use crate::error::Failure;

/// The language of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Engine {
    /// Go's `text/template` with the functions of consul-template.
    #[default]
    Go,
    /// Handlebars with helpers of our own. Needs the cargo feature `handlebars`.
    Handlebars,
}

/// How a rendered text becomes the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// It is the file.
    #[default]
    Text,
    /// It is base64, and what it stands for is the file. White space does not count.
    Base64Decoded,
}

impl Output {
    pub(crate) fn of(self, rendered: Vec<u8>) -> Result<Text, Failure> {
        let rendered = Text::from(rendered);
        match self {
            Self::Text => Ok(rendered),
            Self::Base64Decoded => {
                let is_digit = |byte: &u8| !byte.is_ascii_whitespace();
                let digits = Text::from(Vec::from_iter(rendered.iter().copied().filter(is_digit)));
                STANDARD
                    .decode(&*digits)
                    .map(Text::from)
                    .map_err(|_| Failure::new("the rendered text is not base64"))
            }
        }
    }
}

impl Engine {
    /// The hint for a parse error of a text that looks like the other language.
    pub(crate) fn hint(self, source: &[u8]) -> Option<&'static str> {
        let has = |marks: fn(&[u8]) -> bool| {
            bytes::split(source, b"{{", usize::MAX)[1..]
                .iter()
                .any(|tag| marks(tag))
        };
        match self {
            Self::Go if has(is_handlebars) => Some("did you mean engine \"handlebars\"?"),
            Self::Handlebars if has(is_go) => Some("did you mean engine \"go\"?"),
            Self::Go | Self::Handlebars => None,
        }
    }
}

/// Helpers and blocks that Go has no function for.
const HANDLEBARS_WORDS: [&[u8]; 14] = [
    b"base64_decode",
    b"base64_encode",
    b"concat",
    b"default",
    b"from_json",
    b"kv",
    b"lower",
    b"pki_cert",
    b"raw_secret",
    b"this",
    b"to_json",
    b"to_toml",
    b"to_yaml",
    b"upper",
];

const GO_WORDS: [&[u8]; 7] = [
    b"block",
    b"define",
    b"end",
    b"if",
    b"range",
    b"template",
    b"with",
];

/// `tag` is the text behind two braces.
fn is_handlebars(tag: &[u8]) -> bool {
    let tag = tag.strip_prefix(b"~").unwrap_or(tag);
    match tag {
        [b'#' | b'^' | b'!' | b'>' | b'{' | b'&' | b'@', ..] => true,
        [b'/', next, ..] => next.is_ascii_alphabetic(),
        _ => HANDLEBARS_WORDS.contains(&first_word(tag)),
    }
}

fn is_go(tag: &[u8]) -> bool {
    let body = match bytes::find(tag, b"}}") {
        Some(end) => &tag[..end],
        None => tag,
    };
    let is_trimmed = body.starts_with(b"- ") || body.ends_with(b" -");
    let body = body.strip_prefix(b"- ").unwrap_or(body).trim_ascii_start();
    match body {
        [b'$', ..] | [b'/', b'*', ..] => true,
        [b'.', next, ..] if !matches!(next, b'.' | b'/') => true,
        _ => {
            is_trimmed
                || body.trim_ascii() == b"."
                || bytes::contains(body, b":=")
                || bytes::contains(body, b" | ")
                || GO_WORDS.contains(&first_word(body))
        }
    }
}

fn first_word(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii_start();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = body.iter().position(|byte| !is_word(byte));
    &body[..end.unwrap_or(body.len())]
}
