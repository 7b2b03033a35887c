//! `planescape template`: tries templates where there is no cluster and no Vault.

mod render;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

pub use render::Render;

/// What to do with a template.
#[derive(Debug, Subcommand)]
pub enum Template {
    /// Render a template with canned answers and print the text.
    Render(Render),
}

impl Template {
    /// Does it.
    ///
    /// # Errors
    /// What cannot be read or printed.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Render(render) => render.run(),
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

/// How messages name a file.
fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.display().to_string()
}
