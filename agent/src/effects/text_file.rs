//! The file that a text becomes.

use std::path::{Path, PathBuf};

use planescape_agent_contract::{Config, Template, TemplateText};
use planescape_agent_core::Failure;
use planescape_templates::Effect;

use super::file_failure;
use crate::files::{self, Target};

/// A text's file.
#[derive(Clone, Debug)]
pub(super) struct TextFile {
    /// The name of the text in the log, as in that of `vault agent`: the file that holds it.
    source: String,
    target: Target,
}

impl TextFile {
    pub(super) fn new(template: &Template) -> Self {
        let source = match &template.text {
            TemplateText::File(path) => path.clone(),
            TemplateText::Inline(_) => "(dynamic)".to_owned(),
        };
        Self {
            source,
            target: Target {
                path: template.target.file().unwrap_or_default().into(),
                mode: template.mode,
                create_parents: template.create_parents,
                owner: template.owner.clone(),
                backup: template.backup,
            },
        }
    }

    /// The texts of a configuration, in its order.
    pub(super) fn all(config: &Config) -> impl Iterator<Item = Self> {
        config.templates.iter().map(Self::new)
    }

    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    /// Writes the files beside the text's own first: a program that waits for the own file then finds the others. Says
    /// whether the own file was written.
    pub(super) fn write(
        &self,
        shared: &[PathBuf],
        contents: &[u8],
        effects: Vec<Effect>,
    ) -> Result<bool, Failure> {
        for effect in effects {
            let written = files::write_beside(&effect, shared);
            written.map_err(|(path, error)| file_failure(&path, &error))?;
        }
        let path = self.path().display().to_string();
        let is_new = files::write(&self.target, shared, contents);
        let is_new = is_new.map_err(|error| file_failure(&path, &error))?;
        if is_new {
            tracing::info!("{}", self.rendered(&path));
        }
        Ok(is_new)
    }

    fn rendered(&self, path: &str) -> String {
        format!("(runner) rendered {:?} => {path:?}", self.source)
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::{Overrides, Tree};

    use super::*;

    #[test]
    fn a_file_that_is_written_is_told_with_the_file_of_its_text() {
        let told = |text: &str| {
            let login = r#"auto_auth { method "kubernetes" { config { role = "r" } } }"#;
            let template = format!("template {{ {text} destination = \"/out\" }}");
            let tree = Tree::parse(&format!("{login}\n{template}")).unwrap();
            let config = Config::new(&[tree], &Overrides::default()).unwrap();
            let file = TextFile::all(&config).next().unwrap();
            file.rendered("/out")
        };

        assert_eq!(
            told(r#"source = "/a.tpl""#),
            r#"(runner) rendered "/a.tpl" => "/out""#
        );
        assert_eq!(
            told(r#"contents = "x""#),
            r#"(runner) rendered "(dynamic)" => "/out""#
        );
    }
}
