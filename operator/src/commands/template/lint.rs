//! `planescape template lint`: mistakes in templates, wherever they are written down.

mod place;
mod report;
mod source;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use planescape_templates::lint::{Finding, MOST, lint};

use super::{Answers, Reading};
use place::Place;
use source::Source;

/// Find mistakes in templates before they run.
///
/// A file is a template, a Kubernetes manifest (YAML or JSON: its agent-inject-template annotations,
/// and agents' configurations in ConfigMaps), or an agent's configuration (HCL or JSON: its template
/// stanzas). Exit codes: 0 nothing found,
/// 1 something found or unreadable, 2 wrong usage.
#[derive(Debug, Args)]
pub struct Lint {
    /// The files; `-` reads a template from standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    #[command(flatten)]
    answers: Answers,

    #[command(flatten)]
    reading: Reading,
}

/// How to report.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people: place, line and caret.
    Text,
    /// An array of objects.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// A finding at its place in a file.
struct Located {
    file: String,
    /// The annotation or stanza, if the file is not all template.
    within: Option<String>,
    place: Place,
    finding: Finding,
}

impl Lint {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let responses = self.answers.read()?;
        let environment = self.answers.environment();
        let mut found = Vec::new();
        let (mut templates, mut is_cut) = (0, false);
        for path in &self.files {
            let file = super::shown(path);
            let bytes = super::read(path)?;
            for source in source::sources(path, &bytes, &self.reading)? {
                templates += 1;
                let Source { text, options, .. } = &source;
                let findings = lint(
                    text,
                    options,
                    responses.as_ref(),
                    &environment,
                    super::read_file,
                );
                is_cut |= findings.len() == MOST;
                found.extend(findings.into_iter().map(|finding| Located {
                    file: file.clone(),
                    within: source.within.clone(),
                    place: place::of(&finding, &source, &bytes),
                    finding,
                }));
            }
        }
        let report = match self.format {
            Format::Text => report::text(&found, templates, is_cut),
            Format::Json => report::json(&found)?,
            Format::Sarif => report::sarif(&found)?,
        };
        std::io::stdout().lock().write_all(report.as_bytes())?;
        Ok(if found.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
