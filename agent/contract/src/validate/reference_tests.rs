//! The reference page names every key that is read, and no other; that of differences gives its reasons.

use std::collections::BTreeSet;

use super::*;
use crate::method::Method;

const PAGE: &str = "docs/reference/agent-configuration.md";

/// Enough of everything for every reader to be asked.
const EVERYTHING: &str = r#"
    auto_auth { method "kubernetes" { config {} } sink "file" { config {} } }
    vault { retry {} }
    cache { persist "kubernetes" {} }
    api_proxy {}
    listener "unix" { agent_api {} }
    template { wait {} exec { command = "x" } }
    env_template "A" {}
    exec { command = ["x"] }
    template_config {}
    planescape {}
"#;

#[test]
fn the_page_names_every_key_that_is_read() {
    let notes = Notes::default();
    let tree = Tree::parse(EVERYTHING).unwrap();
    read(&Reader::new(&tree.root, &notes), &Overrides::default());
    let mut known = notes.known.into_inner();
    known.retain(|(path, _)| path != "auto_auth.method.config");
    for method in Method::KNOWN {
        let notes = Notes::default();
        let nothing = Body::new();
        Method::read(method, &Reader::new(&nothing, &notes));
        let keys = notes.known.into_inner().into_iter();
        known.extend(keys.map(|(_, key)| (format!("auto_auth.method.config of {method}"), key)));
    }
    let known: BTreeSet<String> = known
        .into_iter()
        .map(|(path, key)| match path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        })
        .collect();

    let page = include_str!("../../../../docs/reference/agent-configuration.md");
    let documented = documented(page);

    let missing: Vec<_> = known.difference(&documented).collect();
    let extra: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{PAGE} lacks {missing:#?} and has {extra:#?}"
    );
}

#[test]
fn each_difference_says_what_both_do_and_why() {
    let page = include_str!("../../../../docs/reference/differences.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));

    let unfilled = rows.clone().filter(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.filter(|cell| !cell.trim().is_empty()).count() != 3
    });
    let unfilled: Vec<&str> = unfilled.collect();

    assert!(rows.count() > 70, "the page has lost its tables");
    assert!(unfilled.is_empty(), "{unfilled:#?}");
}

/// Headings name blocks, first columns keys.
fn documented(page: &str) -> BTreeSet<String> {
    let mut block = String::new();
    let mut keys = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            block = match heading {
                "At the top" => String::new(),
                heading => format!("{}.", heading.replace('`', "")),
            };
        }
        let Some(cell) = line.strip_prefix("| `") else {
            continue;
        };
        let cell = cell.split(" |").next().unwrap_or_default();
        for key in cell.split('`').filter(|it| !it.is_empty() && *it != ", ") {
            keys.insert(format!("{block}{key}"));
        }
    }
    keys
}
