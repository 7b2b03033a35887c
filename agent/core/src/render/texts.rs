//! The texts of a configuration, parsed.

use std::sync::Arc;

use planescape_agent_contract as config;
use planescape_agent_contract::{Problem, Template as Settings, TemplateText};
use planescape_templates::{Engine, Options, Output, Template};

/// The texts of a configuration, all of which parse, in its order.
#[derive(Debug)]
pub struct Texts(pub(super) Vec<Parsed>);

/// A text of a configuration, parsed.
pub(super) struct Parsed {
    /// The settings without the text, which the template has.
    pub(super) settings: Settings,
    pub(super) template: Arc<Template>,
}

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let target = &self.settings.target;
        f.debug_struct("Parsed")
            .field("target", target)
            .finish_non_exhaustive()
    }
}

impl Texts {
    /// Parses every text; `sources` are the texts of these templates, in order.
    ///
    /// # Errors
    /// Every text that does not parse, with its place.
    pub fn parse(templates: Vec<Settings>, sources: Vec<Vec<u8>>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut texts = Vec::new();
        for (place, (mut settings, source)) in templates.into_iter().zip(sources).enumerate() {
            match Template::parse(&source, &options(&settings)) {
                Ok(template) => {
                    if let TemplateText::Inline(text) = &mut settings.text {
                        *text = String::new();
                    }
                    texts.push(Parsed {
                        settings,
                        template: Arc::new(template),
                    });
                }
                Err(error) => problems.push(Problem {
                    field: settings.target.block(place),
                    reason: error.to_string(),
                }),
            }
        }
        if problems.is_empty() {
            Ok(Self(texts))
        } else {
            Err(problems)
        }
    }
}

fn options(settings: &Settings) -> Options {
    Options {
        engine: match settings.engine {
            config::Engine::Go => Engine::Go,
            config::Engine::Handlebars => Engine::Handlebars,
        },
        output: match settings.output {
            config::Output::Text => Output::Text,
            config::Output::Base64Decoded => Output::Base64Decoded,
        },
        left_delimiter: settings.left_delimiter.clone(),
        right_delimiter: settings.right_delimiter.clone(),
        error_on_missing_key: settings.error_on_missing_key,
        denied_functions: settings.denied_functions.clone(),
        sandbox_path: settings.sandbox_path.clone(),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::{Config, Overrides, Tree};

    use super::*;

    #[test]
    fn a_text_that_does_not_parse_is_named_as_its_block() {
        let field = |block: &str| {
            let login = "auto_auth { method \"kubernetes\" { config { role = \"r\" } } }";
            let tree = Tree::parse(&format!("{login}\n{block}")).unwrap();
            let config = Config::new(&[tree], &Overrides::default()).unwrap();
            let parsed = Texts::parse(config.templates, vec![b"{{ if }}".to_vec()]);
            parsed.unwrap_err().remove(0).field
        };

        let file = "template { contents = \"x\" destination = \"/x\" }";
        assert_eq!(field(file), "template[0]");
        let variable = "env_template \"A\" { contents = \"x\" }\nexec { command = [\"x\"] }";
        assert_eq!(field(variable), "env_template \"A\"");
    }
}
