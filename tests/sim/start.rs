//! How an agent is started.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_contract::{Config, Overrides, Tree};
use planescape_agent_core::{Agent, LeftToken, Now, Start};
use planescape_tests::chance::Chance;

/// The id of a lease stands in the file, so that the disk can be compared with Vault.
const TEMPLATES: [&str; 4] = [
    r#"{{ with secret "database/creds/a" }}{{ .LeaseID }}{{ end }}"#,
    r#"{{ with secret "database/creds/b" }}{{ .LeaseID }}{{ end }}{{ if file "/x" }}{{ end }}"#,
    r#"{{ range secrets "kv/" }}{{ end }}{{ with secret "kv/c" }}{{ .Data.password }}{{ end }}"#,
    "static",
];

/// Texts become files, or variables of a program.
fn blocks(starts_a_program: bool) -> String {
    let more = [
        "command = \"reload\"",
        "wait = \"1s:4s\"",
        "command = \"reload\"",
        "",
    ];
    let blocks = more.iter().enumerate().map(|(n, more)| {
        if starts_a_program {
            format!("env_template \"V{n}\" {{ contents = \"x\" }}")
        } else {
            format!("template {{ contents = \"x\" destination = \"/{n}\" {more} }}")
        }
    });
    let exec = if starts_a_program {
        "exec { command = [\"app\"] }"
    } else {
        ""
    };
    format!("{}\n{exec}", blocks.collect::<Vec<_>>().join("\n"))
}

/// What `guards` makes a token live for at most after its agent.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// An agent with a random configuration.
pub(crate) fn agent(chance: &mut Chance, left: &[LeftToken], guards: bool, now: Now) -> Agent {
    let starts_a_program = chance.once_in(3);
    let flag = |chance: &mut Chance| chance.once_in(2);
    let text = format!(
        r#"
        auto_auth {{
          method "kubernetes" {{ config {{ role = "reader" }} }}
          sink "file" {{ config {{ path = "/token" }} }}
          enable_reauth_on_new_credentials = true
        }}
        template_config {{ exit_on_retry_failure = {} max_connections_per_host = {} }}
        planescape {{ revoke_on_exit = true ledger = "/ledger" exit_on_refusal = {} {} {} }}
        {}"#,
        flag(chance),
        1 + chance.below(4),
        flag(chance),
        if flag(chance) {
            "give_up_after = \"30s\""
        } else {
            ""
        },
        if guards { "lease_guard = \"1m\"" } else { "" },
        blocks(starts_a_program)
    );
    let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
    let start = Start {
        config,
        texts: TEMPLATES.map(|text| text.as_bytes().to_vec()).to_vec(),
        variables: BTreeMap::new(),
        left_tokens: left.to_vec(),
        has_unread_ledger: false,
        seed: chance.below(1 << 20) as u64,
    };
    Agent::new(start, now).unwrap()
}
