//! The words of a configuration for what the template engine can do.

use planescape_agent_contract::{Engine, Output};
use planescape_templates::{self as templates, Options};

/// How a text is read and what becomes of it, everything else as usual.
#[must_use]
pub fn options(engine: Engine, output: Output) -> Options {
    Options {
        engine: match engine {
            Engine::Go => templates::Engine::Go,
            Engine::Handlebars => templates::Engine::Handlebars,
        },
        output: match output {
            Output::Text => templates::Output::Text,
            Output::Base64Decoded => templates::Output::Base64Decoded,
        },
        ..Options::default()
    }
}
