//! What pages and manifests say of the programs, where a machine can hold it against the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use planescape_tests::deployment::MANIFESTS;
use serde_json::Value;

use crate::tidy::{files, root};

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = read(files(&root(), "md"));
    assert!(pages.len() > 5, "{}", pages.len());
    let headings: BTreeMap<&PathBuf, BTreeSet<String>> = pages
        .iter()
        .map(|(path, text)| (path, headings(text)))
        .collect();
    for (page, text) in &pages {
        for link in links(text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => resolved(&page.parent().unwrap().join(file)),
            };
            assert!(target.exists(), "{} links to {link}", page.display());
            let has_it = heading.is_empty()
                || headings
                    .get(&target)
                    .is_some_and(|all| all.contains(heading));
            assert!(
                has_it,
                "{} links to {link}: no such heading",
                page.display()
            );
        }
    }
}

#[test]
fn roles_for_one_namespace_allow_what_those_for_all_do() {
    let all = objects("60-credentials.yaml");
    let one = objects("one-namespace/60-credentials-access.yaml");
    let mut wanted = rules(&all, "ClusterRole", "planescape-credentials");
    wanted.extend(rules(&all, "ClusterRole", "planescape-credentials-runs"));
    assert_eq!(rules(&one, "Role", "planescape-credentials"), wanted);

    let mut leases = rules(&all, "Role", "planescape-credentials");
    leases.retain(|rule| rule["resources"][0] == "leases");
    for name in leases
        .iter_mut()
        .filter_map(|rule| rule.get_mut("resourceNames"))
    {
        *name = serde_json::json!(["planescape-credentials-team"]);
    }
    assert_eq!(rules(&one, "Role", "planescape-credentials-team"), leases);
}

/// Of the one object of this kind and name.
fn rules(objects: &[Value], kind: &str, name: &str) -> Vec<Value> {
    let mut found = objects
        .iter()
        .filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    let rules = found.next().unwrap()["rules"].as_array().unwrap().clone();
    assert!(found.next().is_none(), "one {kind} {name}");
    rules
}

fn objects(manifest: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(MANIFESTS).join(manifest)).unwrap();
    text.split("\n---\n")
        .map(|object| serde_saphyr::from_str(object).unwrap())
        .collect()
}

fn read(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, String> {
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (resolved(&path), text)
    };
    paths.into_iter().map(text).collect()
}

/// Without `..`; of links the file system would follow more than a reader does.
fn resolved(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// Targets of Markdown links that are no addresses.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://"))
}

/// The names by which links find the headings of a page.
fn headings(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !line.starts_with('#') || is_code {
            continue;
        }
        let title = line.trim_start_matches('#').trim();
        let name = title.chars().filter_map(|it| match it {
            ' ' => Some('-'),
            '-' | '_' => Some(it),
            it if it.is_alphanumeric() => Some(it.to_ascii_lowercase()),
            _ => None,
        });
        names.insert(name.collect());
    }
    names
}
