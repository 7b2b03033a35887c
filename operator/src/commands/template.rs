//! `planescape template`: tries templates where there is no cluster and no Vault.

mod lint;
mod render;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use planescape_templates::responses::Responses;
use planescape_templates::{self as templates, Environment, Options, reference};

pub use lint::Lint;
pub use render::Render;

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub enum Template {
    /// Render a template with canned answers and print the text.
    #[command(after_help = RESPONSES)]
    Render(Render),
    /// Find mistakes in templates before they run.
    #[command(after_help = RESPONSES)]
    Lint(Lint),
    /// Print the reference of all functions, in Markdown.
    Functions,
}

/// How a text is read that is a template as a whole.
#[derive(Debug, Args)]
pub struct Reading {
    /// The template's language.
    #[arg(long, value_name = "ENGINE", default_value = "go")]
    engine: Engine,

    /// What opens an action.
    #[arg(long, value_name = "TEXT", default_value = "{{")]
    left_delimiter: String,

    /// What closes an action.
    #[arg(long, value_name = "TEXT", default_value = "}}")]
    right_delimiter: String,

    /// Fail on a key that a map lacks, instead of writing `<no value>`. Handlebars does unless it is
    /// told not to.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    error_on_missing_key: Option<bool>,
}

/// What a template is told.
#[derive(Debug, Args)]
pub struct Answers {
    /// What Vault would answer: a JSON file (see below).
    #[arg(long, value_name = "FILE")]
    responses: Option<PathBuf>,

    /// A variable for the function `env`, besides this process's own.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

const RESPONSES: &str = r#"The responses are what Vault would answer:

  {
    "mounts": {"kv/": {"type": "kv", "options": {"version": "2"}}},
    "responses": {
      "GET kv/data/app": {"data": {"data": {"user": "svc"}, "metadata": {"version": 1}}},
      "LIST kv/metadata/": {"data": {"keys": ["app"]}},
      "PUT pki/issue/web {\"common_name\":\"a.example\"}": {"data": {"certificate": "..."}},
      "GET kv/data/gone": {"status": 404},
      "GET kv/data/secret": {"status": 403, "errors": ["permission denied"]}
    }
  }

A PUT without parameters answers any. Without `mounts`, paths are taken as they are written."#;

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is not a variable: write NAME=VALUE, for example LEVEL=debug".to_owned()),
    }
}

/// The template's language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Engine {
    /// Go's `text/template` with the functions of consul-template.
    Go,
    /// Handlebars; keys that are not there are errors.
    Handlebars,
}

impl Template {
    /// Does it.
    ///
    /// # Errors
    /// A file cannot be read, or the result cannot be printed.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Render(render) => render.run(),
            Self::Lint(lint) => lint.run(),
            Self::Functions => {
                std::io::stdout()
                    .lock()
                    .write_all(reference::functions().as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Reading {
    fn options(&self) -> Options {
        Options {
            engine: match self.engine {
                Engine::Go => templates::Engine::Go,
                Engine::Handlebars => templates::Engine::Handlebars,
            },
            left_delimiter: self.left_delimiter.clone(),
            right_delimiter: self.right_delimiter.clone(),
            error_on_missing_key: self
                .error_on_missing_key
                .unwrap_or(self.engine == Engine::Handlebars),
            ..Options::default()
        }
    }
}

impl Answers {
    fn read(&self) -> anyhow::Result<Option<Responses>> {
        let Some(path) = &self.responses else {
            return Ok(None);
        };
        let document = read(path)?;
        let name = path.display();
        let responses = Responses::from_json(&document);
        responses.map(Some).with_context(|| {
            format!("{name} holds no responses, which planescape template render --help shows")
        })
    }

    fn environment(&self) -> Environment {
        let own = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let variables: BTreeMap<_, _> = own.chain(self.variables.iter().cloned()).collect();
        Environment {
            now: SystemTime::now(),
            variables: Arc::new(variables),
            seed: u64::from(std::process::id()),
            ..Environment::default()
        }
    }
}

/// A file's bytes; `-` is standard input.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A file that a template names.
fn read_file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

/// How messages name a file.
fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.display().to_string()
}
