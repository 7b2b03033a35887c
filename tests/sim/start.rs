//! How an agent is started.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_contract::{Config, Overrides, Report, Tree};
use planescape_agent_core::{Agent, LeftLeases, LeftToken, Now, Reloaded, Start, Texts};
use planescape_tests::chance::Chance;

/// The id of a lease stands in the file, so that the disk can be compared with Vault.
const TEMPLATES: [&str; 4] = [
    r#"{{ with secret "database/creds/a" }}{{ .LeaseID }}{{ end }}"#,
    r#"{{ with secret "database/creds/b" }}{{ .LeaseID }}{{ end }}{{ if file "/x" }}{{ end }}"#,
    r#"{{ range secrets "kv/" }}{{ end }}{{ with secret "kv/c" }}{{ .Data.password }}{{ end }}"#,
    "static",
];

/// What stands in the blocks of files beside.
const SETTINGS: [&str; 4] = [
    "command = \"reload\" overlap = \"10s\"",
    "wait = \"1s:4s\" overlap = \"1m\"",
    "command = \"reload\"",
    "",
];

/// Texts become files, or variables of a program.
fn blocks(starts_a_program: bool, settings: &[(usize, &str)]) -> String {
    let blocks = settings.iter().map(|(n, more)| {
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

/// Whether the next agent has a program.
pub(crate) fn starts_a_program(chance: &mut Chance) -> bool {
    chance.once_in(3)
}

/// An agent with a random configuration; a program gets its texts, or files do.
pub(crate) fn agent(
    chance: &mut Chance,
    left: &[LeftToken],
    left_leases: Option<LeftLeases>,
    (guards, starts_a_program): (bool, bool),
    now: Now,
) -> Agent {
    let settings: Vec<(usize, &str)> = SETTINGS.into_iter().enumerate().collect();
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
        blocks(starts_a_program, &settings)
    );
    let config = config(&text);
    let start = Start {
        config,
        texts: TEMPLATES.map(|text| text.as_bytes().to_vec()).to_vec(),
        variables: BTreeMap::new(),
        left_tokens: left.to_vec(),
        left_orphans: Vec::new(),
        has_unread_ledger: false,
        left_leases,
        seed: chance.below(1 << 20) as u64,
    };
    Agent::new(start, now).unwrap()
}

/// Another configuration of the same agent: some texts are as they were, some have other texts or settings, and some are
/// gone.
pub(crate) fn reloaded(chance: &mut Chance, starts_a_program: bool) -> Reloaded {
    let mut settings = Vec::new();
    let mut texts = Vec::new();
    for (n, usual) in SETTINGS.into_iter().enumerate() {
        // A program needs one variable at least.
        if n > 0 && chance.once_in(4) {
            continue;
        }
        let other = chance.once_in(3);
        let text = if other {
            chance.pick(&TEMPLATES)
        } else {
            TEMPLATES[n]
        };
        let more = if chance.once_in(3) {
            chance.pick(&SETTINGS)
        } else {
            usual
        };
        settings.push((n, more));
        texts.push(text.as_bytes().to_vec());
    }
    let text = format!(
        r#"
        auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
        template_config {{ static_secret_render_interval = "{}s" }}
        {}"#,
        chance.pick(&[30, 300]),
        blocks(starts_a_program, &settings)
    );
    let config = config(&text);
    Reloaded {
        texts: Texts::parse(config.templates, texts).unwrap(),
        template_config: config.template_config,
    }
}

fn config(text: &str) -> Config {
    Config::new(&[Tree::parse(text).unwrap()], &Overrides::default()).unwrap()
}

/// What stands beside the ledger, as a life that runs has written it.
pub(crate) fn named(report: Report) -> LeftLeases {
    LeftLeases {
        ids: report.leases,
        more: report.more_leases,
    }
}
