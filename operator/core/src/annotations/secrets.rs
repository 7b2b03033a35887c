//! From annotation suffix to file: which secrets there are, where each goes and what it says.

use std::collections::BTreeSet;

use planescape_agent_contract::{Engine, Output};
use planescape_templates::spelling::closest;
use planescape_templates::{Options, Template};

use crate::dialect;

use super::{SECRETS_PATH, keys, reader::Reader, values};

/// One file to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The annotation's suffix.
    pub name: String,
    /// The file.
    pub destination: String,
    /// The text to render.
    pub template: String,
    /// The language of the text.
    pub engine: Engine,
    /// How the rendered text becomes the file.
    pub output: Output,
    /// The text that opens an action.
    pub left_delimiter: String,
    /// The text that closes an action.
    pub right_delimiter: String,
    /// The file's mode in octal; the agent's default when absent.
    pub perms: Option<String>,
    /// Whether a key that a secret lacks is an error.
    pub error_on_missing_key: bool,
    /// The command that the agent runs after the file has changed.
    pub command: Option<String>,
}

impl Secret {
    /// How its text is read.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            left_delimiter: self.left_delimiter.clone(),
            right_delimiter: self.right_delimiter.clone(),
            error_on_missing_key: self.error_on_missing_key,
            ..dialect::options(self.engine, self.output)
        }
    }
}

/// The secrets, ordered by name, and the paths they are mounted at, the common one first.
pub(super) fn read(reader: &mut Reader) -> (Vec<Secret>, Vec<String>) {
    let common = reader
        .parse("secret-volume-path", values::absolute_path)
        .unwrap_or_else(|| SECRETS_PATH.to_owned());
    let defaults = Usual {
        template: default_template(reader),
        engine: reader
            .parse("agent-inject-default-template-engine", values::engine)
            .unwrap_or_default(),
    };
    let names = declared(reader);
    refuse_orphans(reader, &names);

    let mut mounts = vec![common.clone()];
    let mut destinations = BTreeSet::new();
    let mut secrets = Vec::new();
    for name in names {
        let mount = reader
            .parse(&format!("secret-volume-path-{name}"), values::absolute_path)
            .unwrap_or_else(|| common.clone());
        let secret = read_one(reader, name, &mount, &defaults);
        if !destinations.insert(secret.destination.clone()) {
            let message = format!("another secret is written to {}", secret.destination);
            reader.refuse(&declaring_key(reader, &secret.name), message);
        }
        if !mounts.contains(&mount) {
            mounts.push(mount);
        }
        secrets.push(secret);
    }
    (secrets, mounts)
}

/// Settings of secrets that have none of their own.
struct Usual {
    template: DefaultTemplate,
    /// The language of templates that are written in annotations.
    engine: Engine,
}

#[derive(Clone, Copy)]
enum DefaultTemplate {
    Map,
    Json,
}

fn default_template(reader: &mut Reader) -> DefaultTemplate {
    let read = |text: &str| match text.to_lowercase().as_str() {
        "map" => Ok(DefaultTemplate::Map),
        "json" => Ok(DefaultTemplate::Json),
        _ => Err(format!(
            "`{text}` is not a default template: write map or json"
        )),
    };
    reader
        .parse("agent-inject-default-template", read)
        .unwrap_or(DefaultTemplate::Map)
}

/// Blank values declare nothing, as with the injector.
fn declared(reader: &Reader) -> BTreeSet<String> {
    ["agent-inject-secret-", "agent-inject-template-"]
        .into_iter()
        .flat_map(|prefix| reader.suffixed(prefix))
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, _)| name)
        .collect()
}

fn refuse_orphans(reader: &mut Reader, names: &BTreeSet<String>) {
    for companion in keys::companions() {
        for (name, _) in reader.suffixed(companion) {
            if names.contains(&name) {
                continue;
            }
            let mut message = format!("no secret is named `{name}`");
            if let Some(closest) = closest(&name, names.iter().map(String::as_str)) {
                message = format!("{message}; did you mean `{closest}`?");
            }
            reader.refuse(&format!("{companion}{name}"), message);
        }
    }
}

fn read_one(reader: &mut Reader, name: String, mount: &str, usual: &Usual) -> Secret {
    let key = |prefix: &str| format!("{prefix}{name}");
    let inline = reader
        .text(&key("agent-inject-template-"))
        .filter(|template| !template.is_empty());
    let engine = engine(reader, &name, inline.is_some(), usual.engine);
    let mut secret = Secret {
        destination: format!("{mount}/{}", file_name(reader, &name)),
        engine,
        output: reader
            .parse(&key("agent-inject-template-output-"), values::output)
            .unwrap_or_default(),
        left_delimiter: delimiter(reader, &key("agent-template-left-delim-"), "{{", engine),
        right_delimiter: delimiter(reader, &key("agent-template-right-delim-"), "}}", engine),
        perms: reader.parse(&key("agent-inject-perms-"), values::file_mode),
        error_on_missing_key: reader
            .boolean(&key("error-on-missing-key-"), engine == Engine::Handlebars),
        command: reader
            .text(&key("agent-inject-command-"))
            .filter(|command| !command.trim().is_empty()),
        template: String::new(),
        name,
    };
    secret.template = inline.unwrap_or_else(|| {
        let path = reader.text(&format!("agent-inject-secret-{}", secret.name));
        usual.template.of(&path.unwrap_or_default())
    });
    refuse_a_bad_template(reader, &secret);
    secret
}

/// The default templates are Go's, even if the templates of annotations are not.
fn engine(reader: &mut Reader, name: &str, has_template: bool, usual: Engine) -> Engine {
    let key = format!("agent-inject-template-engine-{name}");
    let own = reader.parse(&key, values::engine);
    if has_template {
        return own.unwrap_or(usual);
    }
    if own == Some(Engine::Handlebars) {
        let message = format!(
            "the default template is not written in it: write agent-inject-template-{name}"
        );
        reader.refuse(&key, message);
    }
    Engine::Go
}

fn delimiter(reader: &mut Reader, key: &str, usual: &str, engine: Engine) -> String {
    let own = reader.text(key).filter(|delimiter| !delimiter.is_empty());
    match (own, engine) {
        (Some(own), Engine::Handlebars) if own != usual => {
            reader.refuse(key, format!("must be {usual} in handlebars"));
            usual.to_owned()
        }
        (Some(own), _) => own,
        (None, _) => usual.to_owned(),
    }
}

impl DefaultTemplate {
    fn of(self, path: &str) -> String {
        let body = match self {
            Self::Map => "{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}",
            Self::Json => "{{ .Data | toJSON }}\n",
        };
        format!("{{{{ with secret \"{path}\" }}}}{body}{{{{ end }}}}")
    }
}

/// The file's name below its mount: that of the secret, or what `agent-inject-file-` says.
fn file_name(reader: &mut Reader, name: &str) -> String {
    let preserves_case = reader.boolean("preserve-secret-case", false);
    let preserves_case = reader.boolean(&format!("preserve-secret-case-{name}"), preserves_case);
    reader
        .parse(&format!("agent-inject-file-{name}"), relative_path)
        .flatten()
        .unwrap_or_else(|| {
            if preserves_case {
                name.to_owned()
            } else {
                name.to_lowercase()
            }
        })
}

/// A path that stays below its mount; nothing when it is empty.
fn relative_path(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => {
                return Err(format!("`{text}` leaves the secrets volume"));
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(format!("`{text}` names no file"));
    }
    Ok(Some(parts.join("/")))
}

fn refuse_a_bad_template(reader: &mut Reader, secret: &Secret) {
    let Err(error) = Template::parse(secret.template.as_bytes(), &secret.options()) else {
        return;
    };
    let place = match error.column() {
        // People count columns from 1.
        Some(column) => format!("line {}, column {}", error.line(), column + 1),
        None => format!("line {}", error.line()),
    };
    let message = format!("{place}: {}", error.message());
    reader.refuse(&declaring_key(reader, &secret.name), message);
}

fn declaring_key(reader: &Reader, name: &str) -> String {
    let template = format!("agent-inject-template-{name}");
    match reader.text(&template) {
        Some(_) => template,
        None => format!("agent-inject-secret-{name}"),
    }
}
