//! Finds the configuration, reads it, and reads the template files it names.

mod check;

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use planescape_agent_contract::{Config, Problem, SyntaxError, TemplateText, Tree, parse_bool};
use planescape_agent_core::Texts;

use crate::args::Arguments;
use crate::files;
pub(crate) use check::check;

/// The configuration and the text of each of its templates.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) texts: Vec<Vec<u8>>,
}

/// Why there is no configuration, one reason a line.
#[derive(Debug)]
pub(crate) struct Unusable {
    lines: Vec<String>,
    /// Whether the process is to end with exit codes of our own.
    pub(crate) has_own_exit_codes: bool,
    /// Set if no valid configuration tells them.
    pub(crate) places: Option<Places>,
}

/// The file of the tokens that earlier lives have left, and the file to name them in. Both serve even if all else is
/// wrong.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) ledger: Option<String>,
    pub(crate) termination_log: Option<String>,
}

impl Places {
    fn of(trees: &[Tree]) -> Self {
        let text = |key| {
            let mut texts = trees
                .iter()
                .rev()
                .filter_map(|it| it.text("planescape", key));
            texts.next().map(str::to_owned)
        };
        Self {
            ledger: text("ledger"),
            termination_log: text("termination_log"),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Unusable {}

impl Unusable {
    /// All problems of a configuration.
    pub(crate) fn problems(problems: &[Problem], has_own_exit_codes: bool) -> Self {
        let head = "configuration is not valid:".to_owned();
        let problems = problems.iter().map(ToString::to_string);
        Self {
            lines: std::iter::once(head).chain(problems).collect(),
            has_own_exit_codes,
            places: None,
        }
    }
}

impl Settings {
    /// Reads the template files that the configuration names.
    pub(crate) fn with_texts(config: Config) -> Result<Self, Unusable> {
        let (texts, lines) = split(config.templates.iter().map(|template| text(&template.text)));
        if lines.is_empty() {
            return Ok(Self { config, texts });
        }
        Err(Unusable {
            lines,
            has_own_exit_codes: config.has_own_exit_codes,
            places: None,
        })
    }

    /// Parses the templates.
    pub(crate) fn parse(self) -> Result<Texts, Unusable> {
        let has_own_exit_codes = self.config.has_own_exit_codes;
        Texts::parse(self.config.templates, self.texts)
            .map_err(|problems| Unusable::problems(&problems, has_own_exit_codes))
    }
}

/// The configuration without the template files that it names.
pub(crate) fn load_config(arguments: &Arguments) -> Result<Config, Unusable> {
    let trees = trees(arguments).map_err(|lines| Unusable {
        lines,
        // The operator's document has no mistake in its grammar.
        has_own_exit_codes: false,
        places: None,
    })?;
    let has_own_exit_codes = trees.iter().any(|tree| tree.has("planescape"));
    Config::new(&trees, &arguments.overrides()).map_err(|problems| Unusable {
        places: has_own_exit_codes.then(|| Places::of(&trees)),
        ..Unusable::problems(problems.as_slice(), has_own_exit_codes)
    })
}

fn text(text: &TemplateText) -> Result<Vec<u8>, String> {
    match text {
        TemplateText::Inline(text) => Ok(text.clone().into_bytes()),
        TemplateText::File(path) => match files::read(path.as_ref()) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(format!(
                "template server failed to create: failed to read template: {path}: {error}"
            )),
        },
    }
}

/// One tree for each file, or one line for each file that cannot be read.
fn trees(arguments: &Arguments) -> Result<Vec<Tree>, Vec<String>> {
    let paths = match arguments.config.as_slice() {
        [] => paths_of_bao(),
        said => said.to_vec(),
    };
    if paths.is_empty() {
        return from_environment()
            .map(|tree| vec![tree])
            .map_err(|line| vec![line]);
    }
    let mut files = Vec::new();
    let mut lines = Vec::new();
    for path in &paths {
        match files_of(path) {
            Ok(found) => files.extend(found),
            Err(error) => lines.push(unloadable(path, &error)),
        }
    }
    let (trees, unread) = split(files.iter().map(|file| from_file(file)));
    lines.extend(unread);
    if lines.is_empty() {
        Ok(trees)
    } else {
        Err(lines)
    }
}

/// The paths in `BAO_AGENT_CONFIG_PATH`, which count if no flag names one.
fn paths_of_bao() -> Vec<PathBuf> {
    let paths = std::env::var("BAO_AGENT_CONFIG_PATH").unwrap_or_default();
    let paths = paths.split(',').filter(|path| !path.is_empty());
    paths.map(PathBuf::from).collect()
}

fn from_environment() -> Result<Tree, String> {
    let Some(encoded) = std::env::var_os("VAULT_CONFIG") else {
        return Err(
            "Must specify exactly at least one config path using -config, or set VAULT_CONFIG to \
             the base64 of a configuration"
                .to_owned(),
        );
    };
    let encoded = encoded.into_encoded_bytes();
    let bytes = BASE64_STANDARD
        .decode(encoded.trim_ascii())
        .map_err(|error| format!("VAULT_CONFIG is not base64: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "VAULT_CONFIG is not text".to_owned())?;
    parse(&text).map_err(|error| format!("VAULT_CONFIG: {error}"))
}

/// A variable lets files be read that say an argument twice, as `vault agent` once did.
fn parse(text: &str) -> Result<Tree, SyntaxError> {
    let says = std::env::var("VAULT_ALLOW_PENDING_REMOVAL_DUPLICATE_HCL_ATTRIBUTES");
    match parse_bool(&says.unwrap_or_default()) {
        Some(true) => Tree::parse_with_doubles(text),
        Some(false) | None => Tree::parse(text),
    }
}

fn from_file(path: &Path) -> Result<Tree, String> {
    let text = fs::read_to_string(path).map_err(|error| unloadable(path, &error))?;
    let tree = parse(&text).map_err(|error| unloadable(path, &error))?;
    Ok(tree.named(&path.display().to_string()))
}

fn unloadable(path: &Path, error: &dyn fmt::Display) -> String {
    format!(
        "error loading configuration from {}: {error}",
        path.display()
    )
}

/// The file itself; of a folder its `.hcl` and `.json` files, sorted by name, without left-overs
/// of editors.
fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let is_config = name.ends_with(".hcl") || name.ends_with(".json");
        let is_left_over = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#'));
        // A link is read, too. A link that leads nowhere is an error, since the configuration would be half.
        if is_config && !is_left_over && !entry.file_type()?.is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The good results, and the errors.
fn split<T>(results: impl Iterator<Item = Result<T, String>>) -> (Vec<T>, Vec<String>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(it) => good.push(it),
            Err(line) => bad.push(line),
        }
    }
    (good, bad)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_that_leads_to_no_file_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("a.hcl")).unwrap();
        fs::write(at("b.hcl"), "").unwrap();
        fs::write(at(".#c.hcl"), "").unwrap();
        symlink("b.hcl", at("d.json")).unwrap();
        symlink("gone", at("e.hcl")).unwrap();
        symlink("a.hcl", at("f.hcl")).unwrap();

        let files = files_of(folder.path()).unwrap();

        let read: Vec<bool> = files.iter().map(|file| from_file(file).is_ok()).collect();
        assert_eq!(files, ["b.hcl", "d.json", "e.hcl", "f.hcl"].map(at));
        assert_eq!(read, [true, true, false, false]);
    }
}
