//! Rules of the house that the compiler does not know.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LONGEST_FILE: usize = 600;

/// Package, and what must not be in its tree.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    (
        "planescape-vault-client",
        &[
            "kube-core",
            "k8s-openapi",
            "openssl",
            "planescape-templates",
            "planescape-agent-contract",
        ],
    ),
    (
        "planescape-vault",
        &[
            "reqwest",
            "clap",
            "tokio",
            "hyper",
            "rustls",
            "anyhow",
            "kube-core",
            "k8s-openapi",
            "planescape-templates",
            "planescape-agent-contract",
        ],
    ),
    (
        "planescape-agent",
        &[
            "kube",
            "kube-core",
            "kube-client",
            "k8s-openapi",
            "openssl",
            "planescape-operator",
            "planescape-operator-core",
        ],
    ),
    (
        "planescape-agent-core",
        &[
            "reqwest",
            "clap",
            "tokio",
            "hyper",
            "rustls",
            "anyhow",
            "kube-core",
            "k8s-openapi",
        ],
    ),
    (
        "planescape-agent-contract",
        &[
            "reqwest",
            "clap",
            "tokio",
            "hyper",
            "rustls",
            "anyhow",
            "kube-core",
            "k8s-openapi",
            "planescape-templates",
        ],
    ),
    (
        "planescape-templates",
        &[
            "reqwest",
            "clap",
            "tokio",
            "hyper",
            "rustls",
            "anyhow",
            "kube-core",
            "k8s-openapi",
            "planescape-agent-contract",
        ],
    ),
    (
        "planescape-operator-core",
        &[
            "reqwest",
            "clap",
            "tokio",
            "hyper",
            "rustls",
            "anyhow",
            "kube-client",
            "planescape-agent",
            "planescape-agent-core",
        ],
    ),
    (
        "planescape-operator",
        &["openssl", "planescape-agent", "planescape-agent-core"],
    ),
];

/// Only the files listed last may use the name before them.
const OWNERS: [(&str, &str, &[&str]); 4] = [
    (
        "agent/src",
        "std::fs",
        &[
            "files",
            "log/file.rs",
            "settings.rs",
            "ready.rs",
            "shell",
            "termination.rs",
            "tools.rs",
        ],
    ),
    ("agent/src", "reqwest", &[]),
    (
        "vault/client/src",
        "reqwest::",
        &[
            "http.rs", "http/", "body.rs", "lib.rs", "plain.rs", "proxy.rs",
        ],
    ),
    (
        "operator",
        "vault.hashicorp.com/",
        &["core/src/annotations", "core/src/inject"],
    ),
];

#[test]
fn no_package_depends_on_what_its_room_forbids() {
    for (package, forbidden) in FORBIDDEN {
        let tree = dependencies(package);
        assert!(tree.len() > 3, "{package} depends on something");
        let found: Vec<_> = forbidden
            .iter()
            .filter(|name| tree.contains(**name))
            .collect();
        assert!(found.is_empty(), "{package} depends on {found:?}");
    }
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains("/tables"))
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let lines = code_lines(&text);
            (lines > LONGEST_FILE).then(|| format!("{}: {lines}", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "split them: {long:#?}");
}

#[test]
fn files_sockets_and_annotation_keys_have_their_owners() {
    for (folder, text, owners) in OWNERS {
        for path in files(&root().join(folder), "rs") {
            let within = path.strip_prefix(root().join(folder)).unwrap();
            let is_owner = owners
                .iter()
                .any(|owner| within.to_string_lossy().starts_with(owner));
            let is_test = within.to_string_lossy().contains("test");
            if is_owner || is_test {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            let uses = code
                .lines()
                .any(|line| line.contains(text) && !line.trim_start().starts_with("//"));
            assert!(!uses, "{} uses {text}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    let words = [
        "to".to_owned() + "do!(",
        "unimple".to_owned() + "mented!(",
        "#[ig".to_owned() + "nore",
    ];
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for word in &words {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// The names of everything a package is built from when it is built alone, tests left out.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new("cargo")
        .args(["tree", "--locked", "--edges=normal", "--prefix=none"])
        .args(["--format={lib}", "--package", package])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let names = String::from_utf8(output.stdout).expect("names are text");
    names.lines().map(|name| name.replace('_', "-")).collect()
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is in a folder of the repository")
        .to_owned()
}

pub(super) fn sources() -> Vec<PathBuf> {
    ["agent", "operator", "templates", "tests", "vault"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .collect()
}

/// All files with an extension; build results and hidden folders are left out.
pub(super) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder that exists");
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found
}

/// Lines that are neither blank, nor comments, nor inline tests.
fn code_lines(text: &str) -> usize {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}
