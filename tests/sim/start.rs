//! How an agent is started.

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_contract::{Config, Overrides, Report, Tree};
use planescape_agent_core::{Agent, LeftLeases, LeftToken, Now, Reloaded, Start, Texts};
use planescape_tests::chance::Chance;

/// The id of a lease stands in the file, or the token that a text has made, so that the disk can be compared with Vault.
const TEMPLATES: [&str; 7] = [
    r#"{{ with secret "database/creds/a" }}{{ .LeaseID }}{{ end }}"#,
    r#"{{ with secret "database/creds/b" }}{{ .LeaseID }}{{ end }}{{ if file "/x" }}{{ end }}"#,
    r#"{{ range secrets "kv/" }}{{ end }}{{ with secret "kv/c" }}{{ .Data.password }}{{ end }}"#,
    "static",
    r#"{{ with secret "auth/token/create" "ttl=10m" }}{{ .Auth.ClientToken }}{{ end }}"#,
    r#"{{ with secret "auth/token/create-orphan" "ttl=10m" }}{{ .Auth.ClientToken }}{{ end }}"#,
    r#"{{ with secret "auth/token/renew" "accessor=a" }}{{ .Auth.ClientToken }}{{ end }}"#,
];

const LISTENER: &str = "listener \"tcp\" { address = \"127.0.0.1:8100\" tls_disable = true }";

/// Further settings of the blocks of files.
const SETTINGS: [&str; 7] = [
    "command = \"reload\" overlap = \"3s\"",
    "wait = \"1s:4s\" overlap = \"1m\"",
    "command = \"reload\"",
    "",
    "",
    "command = \"reload\"",
    "",
];

/// The properties that an agent and its later lives share, by the seed, so that every kind is among a hundred.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// Its token is shortened.
    pub(crate) guards: bool,
    /// Its token is wrapped for somebody else.
    pub(crate) wraps: bool,
    /// It has a listener.
    pub(crate) listens: bool,
    /// It can hardly ever write a file.
    pub(crate) has_full_disk: bool,
    /// Hardly anybody ends it, and its tokens live briefly, so that they become many.
    pub(crate) lasts: bool,
}

impl Kind {
    pub(crate) fn new(seed: u64, chance: &mut Chance) -> Self {
        Self {
            guards: chance.once_in(2),
            wraps: seed.is_multiple_of(10),
            listens: seed % 4 == 1,
            has_full_disk: seed % 5 == 2,
            lasts: seed % 7 == 3,
        }
    }

    /// Whether the next agent has a program.
    pub(crate) fn starts_a_program(self, chance: &mut Chance) -> bool {
        !self.wraps && chance.once_in(3)
    }
}

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

/// The longest life that `guards` leaves a token after its agent.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Some of the texts, by their numbers. A program needs one variable at least; nothing can be rendered with a wrapped
/// token.
fn some_texts(chance: &mut Chance, kind: Kind) -> Vec<usize> {
    if kind.wraps {
        return Vec::new();
    }
    let others = (1..TEMPLATES.len()).filter(|_| chance.once_in(2));
    std::iter::once(0).chain(others).collect()
}

/// An agent with a random configuration; a program gets its texts, or files do.
pub(crate) fn agent(
    chance: &mut Chance,
    (left, misses_tokens): (&[LeftToken], bool),
    left_leases: Option<LeftLeases>,
    (kind, starts_a_program): (Kind, bool),
    now: Now,
) -> Agent {
    let texts = some_texts(chance, kind);
    let settings: Vec<(usize, &str)> = texts.iter().map(|n| (*n, SETTINGS[*n])).collect();
    let flag = |chance: &mut Chance| chance.once_in(2);
    let only = |text: &'static str, is_so: bool| if is_so { text } else { "" };
    let text = format!(
        r#"
        auto_auth {{
          method "kubernetes" {{ {} config {{ role = "reader" }} }}
          sink "file" {{ config {{ path = "/token" }} }}
          enable_reauth_on_new_credentials = true
        }}
        {}
        template_config {{ exit_on_retry_failure = {} max_connections_per_host = {} }}
        planescape {{ revoke_on_exit = {} ledger = "/ledger" exit_on_refusal = {} {} {} }}
        {}"#,
        only("wrap_ttl = \"5m\"", kind.wraps),
        only(LISTENER, kind.listens),
        flag(chance),
        1 + chance.below(4),
        !kind.wraps,
        flag(chance),
        only("give_up_after = \"30s\"", flag(chance)),
        only("lease_guard = \"1m\"", kind.guards),
        blocks(starts_a_program, &settings)
    );
    let config = config(&text);
    let start = Start {
        config,
        texts: texts
            .iter()
            .map(|n| TEMPLATES[*n].as_bytes().to_vec())
            .collect(),
        variables: BTreeMap::new(),
        left_tokens: left.to_vec(),
        left_orphans: Vec::new(),
        has_unread_ledger: misses_tokens,
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
        if n > 0 && chance.once_in(2) {
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

/// The leases beside the ledger, as a running life has written them.
pub(crate) fn named(report: Report) -> LeftLeases {
    LeftLeases {
        ids: report.leases,
        more: report.more_leases,
    }
}
