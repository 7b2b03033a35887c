//! The templates of a file.

use std::path::Path;

use anyhow::{Context as _, ensure};
use planescape_agent_contract::{Template, TemplateText, Tree};
use planescape_operator_core::{annotations, dialect};
use planescape_templates::Options;
use serde_json::Value;

use crate::commands::manifests::{Object, mistakes, objects};
use crate::commands::template::Reading;

/// One template, and where in its file it is.
pub(super) struct Source {
    /// The annotation or stanza; nothing if the file is the template.
    pub(super) within: Option<String>,
    pub(super) text: Vec<u8>,
    pub(super) options: Options,
}

/// A file that is neither a manifest nor an agent's configuration is a template itself.
pub(super) fn sources(path: &Path, bytes: &[u8], reading: &Reading) -> anyhow::Result<Vec<Source>> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let file = path.display();
    let embedded = match (extension, std::str::from_utf8(bytes)) {
        (Some("hcl"), Ok(text)) => {
            let tree =
                Tree::parse(text).with_context(|| format!("{file} is not a configuration"))?;
            Some(configuration(&tree))
        }
        (Some("yaml" | "yml"), Ok(text)) => {
            manifests(text, reading).with_context(|| file.to_string())?
        }
        (Some("json"), Ok(text)) => manifests(text, reading)
            .with_context(|| file.to_string())?
            .or_else(|| configured(text)),
        _ => None,
    };
    Ok(embedded.unwrap_or_else(|| {
        vec![Source {
            within: None,
            text: bytes.to_vec(),
            options: reading.options(),
        }]
    }))
}

/// The templates of a text that may be an agent's configuration, if it has any.
fn configured(text: &str) -> Option<Vec<Source>> {
    let sources = configuration(&Tree::parse(text).ok()?);
    (!sources.is_empty()).then_some(sources)
}

/// The texts that an agent's configuration holds itself.
fn configuration(tree: &Tree) -> Vec<Source> {
    let inline = |(field, template): (String, Template)| {
        let options = Options {
            left_delimiter: template.left_delimiter,
            right_delimiter: template.right_delimiter,
            error_on_missing_key: template.error_on_missing_key,
            denied_functions: template.denied_functions,
            ..dialect::options(template.engine, template.output)
        };
        match template.text {
            TemplateText::Inline(text) => Some(Source {
                within: Some(field),
                text: text.into_bytes(),
                options,
            }),
            TemplateText::File(_) => None,
        }
    };
    tree.templates().into_iter().filter_map(inline).collect()
}

/// The templates in every object, if these are objects.
fn manifests(text: &str, reading: &Reading) -> anyhow::Result<Option<Vec<Source>>> {
    let Ok(objects) = objects(text) else {
        return Ok(None);
    };
    let is_object = |Object { value, .. }: &Object| {
        value["apiVersion"].is_string() && value["kind"].is_string()
    };
    if objects.is_empty() || !objects.iter().all(is_object) {
        return Ok(None);
    }
    let mistakes = mistakes(&objects);
    ensure!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    let values = objects.iter().map(|object| &object.value);
    let annotated = values
        .clone()
        .flat_map(annotations::templates)
        .map(|(key, secret)| Source {
            within: Some(key),
            options: secret.options(),
            text: secret.template.into_bytes(),
        });
    let mounted = values.flat_map(|object| mounted(object, reading));
    Ok(Some(annotated.chain(mounted).collect()))
}

/// The templates in ConfigMaps, which agents find as files: in their configurations, or by themselves where the name
/// says so.
fn mounted(object: &Value, reading: &Reading) -> Vec<Source> {
    let mut found = Vec::new();
    let data = (object["kind"] == "ConfigMap").then(|| object["data"].as_object());
    for (name, text) in data.flatten().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        let extension = Path::new(name).extension();
        match extension.and_then(|extension| extension.to_str()) {
            Some("hcl" | "json") => {
                let sources = configured(text).unwrap_or_default().into_iter();
                found.extend(sources.map(|source| Source {
                    within: source.within.map(|field| format!("{name}: {field}")),
                    ..source
                }));
            }
            Some("ctmpl") => found.push(Source {
                within: Some(name.clone()),
                text: text.as_bytes().to_vec(),
                options: reading.options(),
            }),
            _ => {}
        }
    }
    found
}
