//! `generate-config`: a configuration that gives a program every field of some secrets as variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, anyhow, bail};
use planescape_agent_contract::FileMode;
use planescape_vault::json::Datum;
use planescape_vault::mount::{self, Mount};
use planescape_vault::{Call, SecretText, Text};
use planescape_vault_client::{Answer, Client};

use crate::files::{self, Target};

/// The options of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// `-type`.
    pub kind: String,
    /// `-path`, each of them.
    pub paths: Vec<String>,
    /// `-exec`.
    pub exec: String,
    /// The file to write.
    pub output: String,
}

/// The file, as text.
pub(crate) async fn text(
    wish: &Wish,
    client: &Client,
    token: &SecretText,
    address: &str,
    token_file: &str,
) -> anyhow::Result<String> {
    let mut variables = String::new();
    let mut names = BTreeSet::new();
    for path in &wish.paths {
        for (path, mount) in secrets(path, client, token).await? {
            let fields = fields(&path, &mount, client, token).await?;
            for field in fields {
                let name = name(&path, &field);
                if !names.insert(name.clone()) {
                    tracing::warn!(%name, "two fields become one variable: rename one of them");
                }
                let access = access(&field, &mount);
                let path = shown(&path, &mount);
                // Writing into memory cannot fail.
                let _ = write!(
                    variables,
                    "env_template \"{name}\" {{\n  contents             = \"{{{{ with secret \\\"{path}\\\" }}}}{{{{ {access} }}}}{{{{ end }}}}\"\n  error_on_missing_key = true\n}}\n"
                );
            }
        }
    }
    let words: Vec<String> = wish
        .exec
        .split(' ')
        .map(|word| format!("{word:?}"))
        .collect();
    Ok(format!(
        "\nauto_auth {{\n\n  method {{\n    type = \"token_file\"\n\n    config {{\n      token_file_path = {token_file:?}\n    }}\n  }}\n}}\n\n\
         template_config {{\n  static_secret_render_interval = \"5m\"\n  exit_on_retry_failure         = true\n  max_connections_per_host      = 10\n}}\n\n\
         vault {{\n  address = {address:?}\n}}\n\n{variables}\n\
         exec {{\n  command                   = [{}]\n  restart_on_secret_changes = \"always\"\n  restart_stop_signal       = \"SIGTERM\"\n}}\n",
        words.join(", ")
    ))
}

/// Writes the file, and replaces one that is there.
pub(crate) fn write(path: &str, text: &str) -> anyhow::Result<()> {
    let target = Target {
        path: path.into(),
        mode: FileMode::parse("0644"),
        create_parents: false,
        owner: planescape_agent_contract::Owner::default(),
        backup: false,
    };
    files::write(&target, &[], text.as_bytes()).with_context(|| path.to_owned())?;
    Ok(())
}

/// The secrets of a path, and their mount; `/*` at its end means all below it.
async fn secrets(
    path: &str,
    client: &Client,
    token: &SecretText,
) -> anyhow::Result<Vec<(String, Mount)>> {
    let (root, is_tree) = match path.strip_suffix("/*") {
        Some(root) => (root, true),
        None => (path, false),
    };
    if root.contains('*') {
        bail!("unsupported path {path}: `*` stands only at the end, as in secret/app/*");
    }
    let mount = client.mount_of(root, token).await;
    let mount = mount.with_context(|| format!("cannot find the mount of {root}"))?;
    if !is_tree {
        return Ok(vec![(root.to_owned(), mount)]);
    }
    let mut found = Vec::new();
    let mut folders = vec![root.trim_end_matches('/').to_owned()];
    while let Some(folder) = folders.pop() {
        let path = mount::list_path(&without_data(&folder, &mount), Some(&mount));
        let Answer::List(mut keys) = client.call(Call::List { path }, token).await? else {
            bail!("{folder} cannot be listed");
        };
        keys.sort();
        for key in keys {
            match key.strip_suffix('/') {
                Some(inner) => folders.push(format!("{folder}/{inner}")),
                None => found.push((format!("{folder}/{key}"), mount.clone())),
            }
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    if found.is_empty() {
        bail!("no secrets found at {path}");
    }
    Ok(found)
}

async fn fields(
    path: &str,
    mount: &Mount,
    client: &Client,
    token: &SecretText,
) -> anyhow::Result<Vec<String>> {
    let (read, query) = mount::read_path(&without_data(path, mount), Some(mount), None);
    let answer = client.call(Call::Get { path: read, query }, token).await;
    let Answer::Secret(Some(secret)) = answer.with_context(|| format!("cannot read {path}"))?
    else {
        bail!("no secret exists at {path}");
    };
    let data = secret.data();
    let missing = || anyhow!("no secret exists at {path}");
    let mut entries = object(data).ok_or_else(missing)?;
    if mount.is_kv_v2() {
        let mut inner = entries.iter();
        let inner = inner.find(|(name, _)| name.as_bytes() == b"data");
        entries = inner
            .and_then(|(_, inner)| object(inner))
            .ok_or_else(missing)?;
    }
    // The keys are in order already.
    let names = entries.keys().map(|name| String::from_utf8_lossy(name));
    Ok(names.map(std::borrow::Cow::into_owned).collect())
}

fn object(datum: &Datum) -> Option<&BTreeMap<Text, Datum>> {
    if let Datum::Object(entries) = datum {
        Some(entries)
    } else {
        None
    }
}

/// The same path without `data/` after its mount.
fn without_data(path: &str, mount: &Mount) -> String {
    let own = mount.path();
    match path
        .strip_prefix(own)
        .and_then(|rest| rest.strip_prefix("data/"))
    {
        Some(rest) if mount.is_kv_v2() => format!("{own}{rest}"),
        _ => path.to_owned(),
    }
}

/// The path as a template writes it: with `data/` if the mount has versions.
fn shown(path: &str, mount: &Mount) -> String {
    let plain = without_data(path, mount);
    match plain.strip_prefix(mount.path()) {
        Some(rest) if mount.is_kv_v2() => format!("{}data/{rest}", mount.path()),
        _ => plain,
    }
}

/// The expression of a field in a template. A field whose name a template cannot write is looked up by `index`.
fn access(field: &str, mount: &Mount) -> String {
    let data = if mount.is_kv_v2() {
        ".Data.data"
    } else {
        ".Data"
    };
    let mut characters = field.chars();
    let is_name = characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_');
    if is_name {
        format!("{data}.{field}")
    } else {
        format!("index {data} \\\"{field}\\\"")
    }
}

/// The last element of the path and the field, in capitals, joined by underscores.
fn name(path: &str, field: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let pieces = [last, field]
        .into_iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
        .filter(|piece| !piece.is_empty());
    let pieces: Vec<String> = pieces.map(str::to_uppercase).collect();
    pieces.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_after_the_last_element_and_the_field() {
        assert_eq!(name("secret/data/my-app", "db.pass"), "MY_APP_DB_PASS");
        assert_eq!(name("kv/app", "user"), "APP_USER");
    }

    #[test]
    fn a_path_is_shown_as_templates_write_it() {
        let versioned = Mount::new("kv/", "kv", "2");
        let plain = Mount::new("v1/", "kv", "1");

        assert_eq!(shown("kv/app", &versioned), "kv/data/app");
        assert_eq!(shown("kv/data/app", &versioned), "kv/data/app");
        assert_eq!(shown("v1/app", &plain), "v1/app");
    }
}
