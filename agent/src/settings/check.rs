//! All mistakes of a configuration and of the texts that it names, at once.

use planescape_agent_contract::{Config, Overrides, Problem, Template, Tree};
use planescape_agent_core::Texts;

use super::{Unusable, text, trees};
use crate::args::Arguments;

/// The lines to print: warnings, and before them the problems if there are some.
pub(crate) fn check(arguments: &Arguments) -> Result<Vec<String>, Vec<String>> {
    let trees = trees(arguments)?;
    let overrides = arguments.overrides();
    let (warnings, mut problems) = match Config::new(&trees, &overrides) {
        Ok(config) => (config.warnings, Vec::new()),
        Err(problems) => {
            let problems = problems.as_slice().to_vec();
            (hints(&trees, overrides, &problems), problems)
        }
    };
    let (misread, unread) = texts(&trees);
    problems.extend(misread);
    let mut lines = match problems.as_slice() {
        [] => Vec::new(),
        problems => Unusable::problems(problems, false).lines,
    };
    lines.extend(unread);
    let is_valid = lines.is_empty();
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    if is_valid { Ok(lines) } else { Err(lines) }
}

/// The oddities of a configuration that is not valid: a missing key may stand there, misspelt.
fn hints(trees: &[Tree], overrides: Overrides, problems: &[Problem]) -> Vec<Problem> {
    let strict = Overrides {
        refuses_unknown_keys: true,
        ..overrides
    };
    let mut all = match Config::new(trees, &strict) {
        Ok(_) => Vec::new(),
        Err(all) => all.as_slice().to_vec(),
    };
    all.retain(|problem| !problems.contains(problem));
    all
}

/// The texts that cannot be parsed, and those that cannot be read. They are numbered as in the merged configuration:
/// those of files come first.
fn texts(trees: &[Tree]) -> (Vec<Problem>, Vec<String>) {
    let templates = trees.iter().flat_map(Tree::templates);
    let mut templates: Vec<Template> = templates.map(|(_, template)| template).collect();
    templates.sort_by_key(|template| template.target.file().is_none());
    let (mut texts, mut unread) = (Vec::new(), Vec::new());
    for template in &templates {
        let read = text(&template.text);
        texts.push(read.unwrap_or_else(|line| {
            unread.push(line);
            Vec::new()
        }));
    }
    let misread = Texts::parse(templates, texts).err();
    (misread.unwrap_or_default(), unread)
}
