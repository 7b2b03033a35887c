//! Claims of pages and manifests about the programs, where a machine can hold them against the source.

#![expect(
    clippy::unwrap_used,
    reason = "a page that cannot be read fails its test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use planescape_tests::deployment::MANIFESTS;
use serde_json::Value;

use crate::tidy::{files, root, sources};

/// The files that make words of conditions and events, beside the agent's.
const REASONS: [&str; 11] = [
    "operator/core/src/job/plan.rs",
    "operator/core/src/job/status/conditions.rs",
    "operator/core/src/job/status/events.rs",
    "operator/core/src/job/status/fit.rs",
    "operator/core/src/job/status/vault.rs",
    "operator/core/src/problem.rs",
    "operator/src/cluster/events.rs",
    "operator/src/job/apply.rs",
    "operator/src/job/attempt.rs",
    "operator/src/job/create.rs",
    "operator/src/job/report.rs",
];

/// Words that stand there with a capital and are neither a reason nor a condition.
const NO_REASONS: [&str; 10] = [
    "Conflict",
    "False",
    "Job",
    "NamespaceTerminating",
    "Normal",
    "PlanescapeJob",
    "Reconcile",
    "Running",
    "True",
    "Warning",
];

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
fn the_variables_of_the_programs_and_those_of_the_pages_are_the_same() {
    let mut read = BTreeSet::new();
    let mut known = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let is_of_program = path.to_string_lossy().contains("operator/src/args");
        for name in quoted(&text).filter(|it| it.starts_with("PLANESCAPE_")) {
            if is_of_program {
                read.insert(name.to_owned());
            }
            known.insert(name.to_owned());
        }
    }
    let mut named = BTreeSet::new();
    for (_, text) in pages().into_iter().chain(manifests()) {
        let is_part = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
        let words = text.split(|it: char| !is_part(it));
        named.extend(
            words
                .filter(|it| it.starts_with("PLANESCAPE_"))
                .map(str::to_owned),
        );
    }
    assert!(read.len() > 20, "{read:?}");
    let unnamed: Vec<_> = read.difference(&named).collect();
    assert!(unnamed.is_empty(), "no page names {unnamed:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "nobody reads {unknown:?}");
}

#[test]
fn every_word_of_conditions_and_events_stands_on_a_page() {
    let pages = page("docs/job-management-guide.md") + &page("docs/reference/events.md");
    let named: BTreeSet<&str> = pages.split(|it: char| !it.is_ascii_alphabetic()).collect();
    let of_the_agent = page("agent/contract/src/report.rs");
    let mut words: BTreeSet<String> = of_the_agent
        .lines()
        .filter_map(|line| line.strip_suffix("\",")?.split_once(" = \""))
        .map(|(_, word)| word.to_owned())
        .collect();
    assert!(words.len() > 30, "{words:?}");
    for file in REASONS {
        let text = page(file);
        let code = text.split("#[cfg(test)]").next().unwrap();
        let is_reason = |it: &&str| {
            it.starts_with(|it: char| it.is_ascii_uppercase())
                && it.len() > 2
                && it.chars().all(|it| it.is_ascii_alphabetic())
                && it.contains(|it: char| it.is_ascii_lowercase())
                && !NO_REASONS.contains(it)
        };
        words.extend(quoted(code).filter(is_reason).map(str::to_owned));
    }
    let unnamed: Vec<_> = words
        .iter()
        .filter(|word| !named.contains(word.as_str()))
        .collect();
    assert!(
        unnamed.is_empty(),
        "no page says what these mean: {unnamed:?}"
    );
}

#[test]
fn the_page_of_metrics_names_each_reason_of_an_end() {
    let source = page("operator/core/src/job/status/ended.rs");
    let list = source.split("const REASONS").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    let page = page("docs/reference/metrics.md");
    let reasons: Vec<_> = quoted(list).collect();
    assert!(reasons.len() > 5, "{reasons:?}");
    for reason in reasons {
        assert!(page.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_file_and_every_test_that_a_page_names_is_there() {
    let sources = sources();
    let code: String = sources
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut count = 0;
    for (page, text) in pages() {
        for word in text.split('`').skip(1).step_by(2) {
            let is_name = word
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "_-./:".contains(it));
            if !is_name {
                continue;
            }
            if let Some((_, test)) = word.rsplit_once("::").filter(|(_, it)| it.contains('_')) {
                let is_there = code.contains(&format!("fn {test}("));
                assert!(is_there, "{}: {word}", page.display());
                count += 1;
            } else if word.contains('/') && word.ends_with(".rs") {
                let is_there = sources.iter().any(|path| path.ends_with(word));
                assert!(is_there, "{}: {word}", page.display());
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
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

/// The rules of the one object of this kind and name.
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

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All pages but the changelog, whose words were true of their version and stay.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut paths = files(&root(), "md");
    paths.retain(|path| !path.ends_with("CHANGELOG.md"));
    read(paths)
}

fn manifests() -> BTreeMap<PathBuf, String> {
    read(files(Path::new(MANIFESTS), "yaml"))
}

fn read(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, String> {
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (resolved(&path), text)
    };
    paths.into_iter().map(text).collect()
}

/// The path without `..`; the file system would follow links that a reader does not.
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

/// The texts between quotation marks, which hold none themselves.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}
