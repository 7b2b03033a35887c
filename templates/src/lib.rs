//! Go's `text/template` with the consul-template function set, in pure Rust: the language of Vault Agent
//! templates, byte for byte. Handlebars is a second language, for templates that say so ([`Engine`]).
//!
//! Nothing here reads a clock, a file or a network. A [`Template`] is rendered in passes: each pass says
//! which [`Request`]s it made, the caller finds the [`Answers`], and a pass with nothing missing is the text.
//!
//! ```
//! use planescape_templates::{Answer, Answers, Environment, Options, Pass, Template};
//! use planescape_vault::Secret;
//!
//! let text = br#"{{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }}"#;
//! let template = Template::parse(text, &Options::default())?;
//! let mut answers = Answers::new();
//! let environment = Environment::default();
//!
//! let Pass::Waiting { missing, .. } = template.render(&answers, &environment)? else {
//!     panic!("the secret is not known yet");
//! };
//! for request in missing {
//!     let secret = Secret::from_json(br#"{"data": {"data": {"user": "svc"}}}"#)?;
//!     answers.insert(request, Answer::Secret(Some(secret)));
//! }
//!
//! let Pass::Complete(rendered) = template.render(&answers, &environment)? else {
//!     panic!("everything is known");
//! };
//! assert_eq!(rendered.text.as_bytes(), b"svc");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a Go value has some twenty types, and most functions care for one or two of them"
)]

mod ast;
mod bytes;
mod certificate;
mod context;
mod engine;
mod error;
mod exec;
mod fmt;
mod function;
mod functions;
#[cfg(feature = "handlebars")]
mod handlebars;
mod json;
mod lex;
pub mod lint;
mod meter;
mod number;
mod object;
mod options;
mod parse;
mod pass;
mod quote;
pub mod reference;
mod regex;
mod request;
pub mod responses;
mod secret;
pub mod spelling;
mod strings;
mod template;
mod time;
mod toml;
mod unicode;
mod url;
mod value;
mod version;
pub mod yaml;

pub use certificate::Certificate;
pub use engine::{Engine, Output};
pub use error::{Error, ErrorKind};
pub use options::{Environment, Limits, Options};
pub use pass::{Effect, Pass, Rendered, Warning};
pub use request::{Answer, Answers, Request};
pub use template::Template;
