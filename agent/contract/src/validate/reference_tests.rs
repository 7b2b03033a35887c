//! The reference page names every key that is read with its type, and no other; that of differences gives its reasons.

use super::*;
use crate::method::Method;
use crate::reference;

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
fn the_page_names_every_key_that_is_read_and_what_is_read_of_it() {
    let notes = Notes::default();
    let tree = Tree::parse(EVERYTHING).unwrap();
    read(
        &Reader::new(&tree.root, &notes),
        None,
        &Overrides::default(),
    );
    let mut known = notes.known.into_inner();
    known.retain(|(path, _), _| path != "auto_auth.method.config");
    // Without this key some others are not asked for.
    let settings = Tree::parse(r#"secret_id_file_path = "/s""#).unwrap();
    for method in Method::KNOWN {
        let notes = Notes::default();
        Method::read(method, &Reader::new(&settings.root, &notes));
        let keys = notes.known.into_inner().into_iter();
        let block = format!("auto_auth.method.config of {method}");
        known.extend(keys.map(|((_, key), kind)| ((block.clone(), key), kind)));
    }

    let documented: BTreeMap<(String, &str), &str> = reference::rows()
        .into_iter()
        .flat_map(|(block, row)| {
            let keys = row.keys.into_iter();
            keys.map(move |key| ((block.clone(), key), row.kind))
        })
        .collect();
    // A key without effect has no type there.
    for (key, kind) in &mut known {
        if documented.get(key) == Some(&"") {
            *kind = "";
        }
    }

    let missing: Vec<_> = known
        .iter()
        .filter(|(key, kind)| documented.get(*key) != Some(*kind))
        .collect();
    let extra: Vec<_> = documented
        .keys()
        .filter(|key| !known.contains_key(*key))
        .collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "agent/contract/src/reference/keys.tsv lacks {missing:#?} and has {extra:#?}"
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

/// The places where one key of the page may stand and has an effect; `<block>` is the place of a block's keys.
const FILES: &str = r#"
    <>
    log_file = "/log"
    telemetry { statsd_address = "s:1" <telemetry> }
    vault { <vault> retry { <vault.retry> } }
    auto_auth {
      <auto_auth>
      method "METHOD" { <auto_auth.method> config { NEEDED <auto_auth.method.config> } }
      sink "file" {
        dh_type = "curve25519" dh_path = "/key" <auto_auth.sink>
        config { path = "/token" <auto_auth.sink.config> }
      }
    }
    template {
      contents = "x" destination = "/x" <template>
      exec { command = ["x"] <template.exec> }
      wait { min = "1s" <template.wait> }
    }
    template_config { <template_config> }
    api_proxy { <api_proxy> }
    cache { <cache> persist "kubernetes" { path = "/cache" <cache.persist> } }
    listener "tcp" {
      tls_cert_file = "/c" tls_key_file = "/k" tls_auto_reload = true <listener>
      agent_api { <listener.agent_api> }
    }
    planescape { <planescape> }
"#;

/// The places of keys that cannot stand beside files.
const VARIABLES: &str = r#"
    auto_auth { method "METHOD" { config { NEEDED } } }
    env_template "A" { contents = "x" <env_template> }
    exec { command = ["x"] <exec> }
"#;

#[test]
fn to_say_what_the_page_calls_a_default_is_to_say_nothing() {
    let mut count = 0;
    for (block, row) in reference::rows() {
        let default = row.default;
        if default.is_empty() {
            continue;
        }
        let [key] = row.keys[..] else {
            panic!("one key has a default: {row:?}");
        };
        count += 1;

        let nothing = configuration(&block, "");
        let said = configuration(&block, &format!("{key} = {default}"));
        let another = configuration(&block, &format!("{key} = {}", another(default)));

        assert!(nothing.is_ok(), "{block}: {nothing:?}");
        assert_eq!(said, nothing, "{block} {key}");
        assert_ne!(another, nothing, "{block} {key} has no effect");
    }
    assert!(count > 50, "the page has lost its defaults");
}

/// The configuration with one more line in a block.
fn configuration(block: &str, line: &str) -> Result<Config, Problems> {
    let method = block.strip_prefix("auto_auth.method.config of ");
    let (base, place) = match (block, method) {
        (_, Some(_)) => (FILES, "<auto_auth.method.config>".to_owned()),
        ("exec" | "env_template", None) => (VARIABLES, format!("<{block}>")),
        (_, None) => (FILES, format!("<{block}>")),
    };
    assert!(base.contains(&place), "no place for {block}");
    let method = method.unwrap_or("kubernetes");
    let needed = match method {
        "approle" => r#"role_id_file_path = "/r" secret_id_file_path = "/s""#,
        "aws" | "gcp" => r#"type = "iam" role = "r""#,
        "azure" => r#"role = "r" resource = "r""#,
        "cert" => r#"ca_cert = "/c""#,
        "jwt" => r#"role = "r" path = "/j""#,
        "ldap" => r#"username = "u" password_file_path = "/p""#,
        _ => r#"role = "r""#,
    };
    let text = base.replace(&place, &format!("\n{line}\n"));
    let text = text.replace("METHOD", method).replace("NEEDED", needed);
    // The other places stay empty.
    let mut pieces = text.split('<');
    let first = pieces.next().unwrap_or_default();
    let others = pieces.filter_map(|piece| Some(piece.split_once('>')?.1));
    let text: String = std::iter::once(first).chain(others).collect();
    let mut config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default())?;
    // The configuration also says whether the backoffs are set at all.
    config.auth.backoff_is_explicit = false;
    Ok(config)
}

/// Another value of the same kind; for a word, one that is refused.
fn another(default: &str) -> String {
    let text = default.trim_matches('"');
    let is_time = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_alphabetic());
    match default {
        "true" => "false".to_owned(),
        "false" => "true".to_owned(),
        _ if is_time => "\"77s\"".to_owned(),
        _ if default.starts_with('"') => "\"another\"".to_owned(),
        _ => format!("{default}1"),
    }
}
