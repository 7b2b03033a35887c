//! `planescape template render`: a template, canned answers, the text.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use planescape_templates::responses::{RenderError, Responses};
use planescape_templates::{Effect, Environment, Options, Template, Text};

/// A required answer is not among the responses.
const MISSING: u8 = 3;

/// Render a template with canned answers and print the text, exactly, on standard output.
///
/// Exit codes: 0 rendered, 1 failed, 2 wrong usage, 3 responses are missing.
#[derive(Debug, Args)]
#[command(after_help = RESPONSES)]
pub struct Render {
    /// The template; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,

    /// The answers: a JSON file (see below).
    #[arg(long, value_name = "FILE")]
    responses: Option<PathBuf>,

    /// What opens an action.
    #[arg(long, value_name = "TEXT", default_value = "{{")]
    left_delimiter: String,

    /// What closes an action.
    #[arg(long, value_name = "TEXT", default_value = "}}")]
    right_delimiter: String,

    /// Fail on a key that a map lacks, instead of writing `<no value>`.
    #[arg(long)]
    error_on_missing_key: bool,

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

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}

impl Render {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let text = super::read(&self.template)?;
        let responses = self.read_responses()?;
        let name = super::shown(&self.template);
        let template = Template::parse(&text, &self.options())
            .with_context(|| format!("{name} is no template"))?;
        let rendered = match responses.render(&template, &self.environment(), read_file) {
            Ok(rendered) => rendered,
            Err(error @ RenderError::Missing { .. }) => {
                writeln!(std::io::stderr(), "planescape: {name}: {error}")?;
                return Ok(ExitCode::from(MISSING));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot render {name}")),
        };
        let mut notes = std::io::stderr().lock();
        for warning in &rendered.warnings {
            writeln!(notes, "warning: {name}:{warning}")?;
        }
        for effect in &rendered.effects {
            if let Effect::WriteFile { path, .. } = effect {
                writeln!(notes, "note: {name}: writeToFile {path} is left out here")?;
            }
        }
        let mut out = std::io::stdout().lock();
        out.write_all(&rendered.text)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn read_responses(&self) -> anyhow::Result<Responses> {
        let Some(path) = &self.responses else {
            return Ok(Responses::default());
        };
        let document = super::read(path)?;
        Responses::from_json(&document)
            .with_context(|| format!("{} has no answers", path.display()))
    }

    fn options(&self) -> Options {
        Options {
            left_delimiter: self.left_delimiter.clone(),
            right_delimiter: self.right_delimiter.clone(),
            error_on_missing_key: self.error_on_missing_key,
            ..Options::default()
        }
    }

    fn environment(&self) -> Environment {
        let own = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let variables: BTreeMap<_, _> = own.chain(self.variables.iter().cloned()).collect();
        Environment {
            now: SystemTime::now(),
            variables,
            seed: u64::from(std::process::id()),
            ..Environment::default()
        }
    }
}

fn read_file(path: &str) -> Result<Text, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Text::from(bytes)),
        Err(error) => Err(error.to_string()),
    }
}
