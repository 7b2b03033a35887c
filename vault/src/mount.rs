//! Finds the path at which KV secrets really are: version 2 mounts keep them under `data/` and `metadata/`,
//! and templates may leave that out.

use crate::json::Datum;
use crate::path::{clean, percent_decoded};
use crate::secret::{MalformedAnswer, object};

/// The engine that made a lease: the lease's id without the role and the number at its end. Empty if the id has no
/// more than those.
#[must_use]
pub fn engine_of(lease: &str) -> &str {
    lease.rsplitn(3, '/').nth(2).unwrap_or_default()
}

/// A mount, as `sys/internal/ui/mounts/<path>` describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    path: String,
    kind: String,
    version: String,
}

impl Mount {
    /// A mount known by other means; `path` ends with a slash.
    pub fn new(path: &str, kind: &str, version: &str) -> Self {
        Self {
            path: path.to_owned(),
            kind: kind.to_owned(),
            version: version.to_owned(),
        }
    }

    /// Reads the body of the answer.
    pub fn from_json(body: &[u8]) -> Result<Self, MalformedAnswer> {
        let answer = object(body)?;
        let text = |of: Option<&Datum>| of.and_then(Datum::as_str).unwrap_or_default().to_owned();
        let data = answer.get("data").unwrap_or(&Datum::Null);
        let options = data.get("options").unwrap_or(&Datum::Null);
        Ok(Self {
            path: text(data.get("path")),
            kind: text(data.get("type")),
            version: text(options.get("version")),
        })
    }

    /// Its path, with the slash at the end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it keeps keys and values, one version of each.
    pub fn is_kv_v1(&self) -> bool {
        self.kind == "kv" && self.version != "2"
    }

    /// Whether it makes users of databases.
    #[must_use]
    pub fn is_database(&self) -> bool {
        self.kind == "database"
    }

    /// Whether secrets in it have versions.
    pub fn is_kv_v2(&self) -> bool {
        self.kind == "kv" && self.version == "2"
    }
}

/// A path with percent escapes resolved, and the query it was written with.
pub fn read_path(
    request_path: &str,
    mount: Option<&Mount>,
    namespace: Option<&str>,
) -> (String, Option<String>) {
    let (path, query) = match request_path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (request_path, None),
    };
    let path = percent_decoded(path);
    (versioned(&path, mount, namespace), query)
}

/// The path to list; never rewritten outside KV v2.
pub fn list_path(request_path: &str, mount: Option<&Mount>) -> String {
    let Some(mount) = mount.filter(|mount| mount.is_kv_v2()) else {
        return request_path.to_owned();
    };
    let mount = mount.path.trim_end_matches('/');
    let metadata = joined(&[mount, "metadata"]);
    if request_path.starts_with(&metadata) {
        return request_path.to_owned();
    }
    if request_path == mount {
        return metadata;
    }
    let rest = request_path.strip_prefix(mount).unwrap_or(request_path);
    joined(&[mount, "metadata", rest])
}

/// The path to write, and whether the body must be wrapped in `data`.
pub fn write_path(
    request_path: &str,
    mount: Option<&Mount>,
    namespace: Option<&str>,
) -> (String, bool) {
    let wrapped = mount.is_some_and(Mount::is_kv_v2);
    (versioned(request_path, mount, namespace), wrapped)
}

fn versioned(path: &str, mount: Option<&Mount>, namespace: Option<&str>) -> String {
    let Some(mount) = mount.filter(|mount| mount.is_kv_v2()) else {
        return path.to_owned();
    };
    let mount = mount.path.as_str();
    if path == mount || path == mount.strip_suffix('/').unwrap_or(mount) {
        return joined(&[mount, "data"]);
    }
    // The client puts its namespace in front of every path; a mount that has it too would double it.
    let namespace = namespace.unwrap_or_default();
    let namespace = format!("{}/", namespace.strip_suffix('/').unwrap_or(namespace));
    let is_longer = mount.matches('/').count() > 1 && mount.len() > namespace.len();
    let mount = mount
        .strip_prefix(&namespace)
        .filter(|_| is_longer)
        .unwrap_or(mount);
    let rest = path.strip_prefix(mount).unwrap_or(path);
    let is_explicit = ["data/", "metadata/", "subkeys/"]
        .iter()
        .any(|prefix| rest.starts_with(prefix));
    if is_explicit {
        return path.to_owned();
    }
    joined(&[mount, "data", rest])
}

/// `path.Join`: non-empty parts joined, then cleaned.
fn joined(parts: &[&str]) -> String {
    let parts: Vec<_> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    clean(&parts.join("/"))
}
