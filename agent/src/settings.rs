//! Finds the configuration, reads it, and reads the template files it names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use planescape_agent_contract::{Config, Problem, TemplateText, Tree};

use crate::args::Arguments;
use crate::files;

/// The configuration and the text of each of its templates.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) texts: Vec<Vec<u8>>,
}

impl Settings {
    pub(crate) fn load(arguments: &Arguments) -> anyhow::Result<Self> {
        let trees = if arguments.config.is_empty() {
            vec![from_environment()?]
        } else {
            from_files(&arguments.config)?
        };
        let config = Config::new(&trees, &arguments.overrides())
            .map_err(|problems| describe(problems.as_slice().to_vec()))?;
        let texts = config
            .templates
            .iter()
            .map(|template| match &template.text {
                TemplateText::Inline(text) => Ok(text.clone().into_bytes()),
                TemplateText::File(path) => files::read(path.as_ref())
                    .map(|bytes| bytes.to_vec())
                    .with_context(|| format!("cannot read template source {path}")),
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { config, texts })
    }
}

/// All problems in one message, a line each.
pub(crate) fn describe(problems: Vec<Problem>) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow!("configuration is not valid:\n{}", lines.join("\n"))
}

fn from_environment() -> anyhow::Result<Tree> {
    let Some(encoded) = std::env::var_os("VAULT_CONFIG") else {
        bail!("no configuration: use -config=PATH, or set VAULT_CONFIG to base64 of one");
    };
    let encoded = encoded.into_encoded_bytes();
    let bytes = BASE64_STANDARD
        .decode(encoded.trim_ascii())
        .context("VAULT_CONFIG is not base64")?;
    let text = String::from_utf8(bytes).context("VAULT_CONFIG is not text")?;
    Tree::parse(&text).context("VAULT_CONFIG")
}

fn from_files(paths: &[PathBuf]) -> anyhow::Result<Vec<Tree>> {
    let mut trees = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in files_of(path)? {
                trees.push(from_file(&file)?);
            }
        } else {
            trees.push(from_file(path)?);
        }
    }
    Ok(trees)
}

fn from_file(path: &Path) -> anyhow::Result<Tree> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("error loading configuration from {}", path.display()))?;
    Tree::parse(&text)
        .with_context(|| format!("error loading configuration from {}", path.display()))
}

/// The `.hcl` and `.json` files of a folder, sorted by name, without what editors leave.
fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_config = name.ends_with(".hcl") || name.ends_with(".json");
        let is_left_over = name.starts_with(".#") || name.starts_with('#');
        if is_config && !is_left_over && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
