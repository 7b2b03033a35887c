//! The templates of a file.

use std::path::Path;

use planescape_operator_core::annotations;
use planescape_templates::Options;
use serde_json::Value;

use crate::template::Reading;

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
    let embedded = match (extension, std::str::from_utf8(bytes)) {
        (Some("yaml" | "yml" | "json"), Ok(text)) => manifests(text),
        _ => None,
    };
    if let Some(sources) = embedded {
        return Ok(sources);
    }
    Ok(vec![Source {
        within: None,
        text: bytes.to_vec(),
        options: reading.options(),
    }])
}

/// The annotations of every object, if these are objects.
fn manifests(text: &str) -> Option<Vec<Source>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let is_object =
        |document: &Value| document["apiVersion"].is_string() && document["kind"].is_string();
    if documents.is_empty() || !documents.iter().all(is_object) {
        return None;
    }
    let sources = documents
        .iter()
        .flat_map(annotations::templates)
        .map(|(key, secret)| Source {
            within: Some(key),
            options: secret.options(),
            text: secret.template.into_bytes(),
        });
    Some(sources.collect())
}
