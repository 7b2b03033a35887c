//! `planescape template render`: a template, canned answers, the text.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use planescape_templates::responses::RenderError;
use planescape_templates::{Effect, Template};

use super::{Answers, Reading};

/// A required answer is not among the responses.
const MISSING: u8 = 3;

/// Render a template with canned answers and print the text, exactly, on standard output.
///
/// Exit codes: 0 rendered, 1 failed, 2 wrong usage, 3 responses are missing.
#[derive(Debug, Args)]
pub struct Render {
    /// The template; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,

    #[command(flatten)]
    answers: Answers,

    #[command(flatten)]
    reading: Reading,
}

impl Render {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let text = super::read(&self.template)?;
        let responses = self.answers.read()?.unwrap_or_default();
        let name = super::shown(&self.template);
        let template = Template::parse(&text, &self.reading.options())
            .with_context(|| format!("{name} is not a template"))?;
        let environment = self.answers.environment();
        let rendered = match responses.render(&template, &environment, super::read_file) {
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
}
