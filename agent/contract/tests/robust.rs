//! Any configuration becomes a `Config` or its problems, never a panic.

use planescape_agent_contract::{Config, Overrides, Tree};
use proptest::prelude::*;

const HCL: &str = r#"
# a comment
vault { address = "http://127.0.0.1:8200" retry { num_retries = 3 } }
exit_after_auth = true
auto_auth {
  method "approle" {
    min_backoff = "1s"
    config = { role_id_file_path = "/role" secret_id_file_path = "/secret" }
  }
  sink "file" { wrap_ttl = "5m" config = { path = "/token" mode = 0640 } }
}
template_config { static_secret_render_interval = 10 lease_renewal_threshold = 0.8 }
template {
  contents = <<-EOT
    {{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }}
    EOT
  destination = "/out/a"
  exec { command = ["sh", "-c", "true"] timeout = "5s" }
  wait = "1s:3s"
}
listener "tcp" { address = "127.0.0.1:8100" tls_disable = true }
cache { persist "kubernetes" { path = "/cache" } }
"#;

const JSON: &str = r#"{"vault": {"address": "http://v:8200"}, "auto_auth": {"method": [{"type": "kubernetes",
    "config": {"role": "r"}}], "sink": [{"type": "file", "config": {"path": "/t", "mode": 416}}]},
    "env_template": [{"A": {"contents": "x"}}], "exec": {"command": ["a"], "restart_stop_signal": "SIGINT"},
    "planescape": {"revoke_on_exit": true, "give_up_after": "20s"}}"#;

/// The pieces of the syntax, and values at the ends of their ranges.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "=",
    ",",
    "\\",
    "<<EOT\n",
    "\nEOT\n",
    "/*",
    "*/",
    "#",
    "${",
    "null",
    "true",
    "-1",
    "1e999",
    "9223372036854775807",
    "99999999999h",
    "0x",
    "\u{0}",
    "é\u{fffd}",
    "\\u{110000}",
];

/// A change at a place: the text that is taken away, and the text that replaces it.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
    let word = prop::sample::select(&WORDS[..]);
    prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, word), 1..5)
}

fn changed(text: &str, changes: &[(prop::sample::Index, usize, &str)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, taken, word) in changes {
        let at = at.index(characters.len() + 1);
        let end = (at + taken).min(characters.len());
        characters.splice(at..end, word.chars());
    }
    characters.into_iter().collect()
}

fn read(text: &str) {
    if let Ok(tree) = Tree::parse(text) {
        // Merged with itself, too: a later file may contradict an earlier one.
        let trees = [tree.clone(), tree];
        let _ = Config::new(&trees[..1], &Overrides::default());
        let _ = Config::new(&trees, &Overrides::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_changed_configuration_is_read_or_refused(changes in changes(), is_json: bool) {
        read(&changed(if is_json { JSON } else { HCL }, &changes));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        read(&text);
    }
}

#[test]
fn both_are_valid_as_they_stand() {
    for text in [HCL, JSON] {
        let tree = Tree::parse(text).unwrap();
        Config::new(&[tree], &Overrides::default()).unwrap();
    }
}

#[test]
fn deep_nesting_is_refused_and_not_overflowed() {
    for text in ["{\"a\":", "a { ", "a = [", "a { b = { "] {
        read(&text.repeat(100_000));
    }
}
