//! Random scenarios: what a configuration can say, in any combination, with mistakes, in HCL or JSON.

mod blocks;
mod tree;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scenario::{Answer, Ask, Content, Scenario, Step, Write};
use planescape_tests::chance::Chance;
use tree::{Node, TWICE};

/// How long nothing happens before it is taken for settled, in milliseconds.
const QUIET: u64 = 1_500;

/// The scenario of this seed; the same each time.
pub(crate) fn scenario(seed: u64) -> Scenario {
    let mut draw = Draw::new(seed);
    let mut top = blocks::configuration(&mut draw);
    let mut openbao = None;
    if draw.chance.once_in(4) && mistake(&mut top, &mut draw.chance) == TWICE {
        openbao = Some("takes the last of two equal keys".to_owned());
    }
    let (name, config) = match draw.chance.once_in(4) {
        true => ("agent.json", tree::json(&top)),
        false => ("agent.hcl", tree::hcl(&top)),
    };
    let mut args = vec![format!("-config=${{DIR}}/{name}")];
    if draw.chance.once_in(6) {
        args.push("-exit-after-auth".to_owned());
    }
    draw.files.insert(name.to_owned(), Content::Text(config));
    let steps = steps(&mut draw);
    Scenario {
        openbao,
        name: format!("seed {seed}"),
        file: "generated".to_owned(),
        vault: draw.vault,
        database: false,
        files: draw.files,
        config: String::new(),
        args,
        env: BTreeMap::new(),
        umask: None,
        steps,
        // The number of reads depends on when somebody looks.
        repeats: true,
        differs: BTreeMap::new(),
    }
}

/// The source of chance, and everything that the drawn configuration needs.
pub(crate) struct Draw {
    pub(crate) chance: Chance,
    pub(crate) vault: Vec<Write>,
    pub(crate) files: BTreeMap<String, Content>,
    /// Whether something listens at `${LISTEN}`.
    pub(crate) listens: bool,
    /// Whether secrets are read again within the run.
    pub(crate) is_lively: bool,
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            vault: Vec::new(),
            files: BTreeMap::new(),
            listens: false,
            is_lively: false,
        }
    }

    /// One of these.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        self.chance.pick(of)
    }

    pub(crate) fn write(&mut self, path: &str, body: Value) {
        self.vault.push(Write {
            write: path.to_owned(),
            body,
        });
    }

    pub(crate) fn text(&mut self, file: &str, content: &str) {
        let content = Content::Text(content.to_owned());
        self.files.insert(file.to_owned(), content);
    }

    /// A file with what Vault answers.
    pub(crate) fn answer(&mut self, file: &str, answer: Answer) {
        self.files.insert(file.to_owned(), Content::Answer(answer));
    }
}

fn steps(draw: &mut Draw) -> Vec<Step> {
    let mut steps = vec![Step::Quiet(QUIET)];
    if draw.listens {
        for _ in 0..draw.chance.below(4) {
            let path = draw.one(&[
                "/v1/kv/data/app",
                "/v1/secret-v1/app",
                "/v1/kv/data/none",
                "/v1/auth/token/lookup-self",
                "/v1/sys/health",
                "/v1/nothing/here",
            ]);
            steps.push(Step::Ask(Ask {
                method: "GET".to_owned(),
                path: path.to_owned(),
                headers: BTreeMap::new(),
                body: String::new(),
                chunked: false,
                socket: None,
            }));
        }
    }
    for _ in 0..draw.chance.below(3) {
        match draw.chance.below(4) {
            0 if draw.is_lively => {
                let user = draw.one(&["eve", "mallory", "ann"]);
                steps.push(Step::Write(Write {
                    write: "kv/data/app".to_owned(),
                    body: json!({"data": {"user": user, "password": "p-2"}}),
                }));
                steps.push(Step::Quiet(QUIET));
            }
            1 => steps.push(Step::Signal("SIGHUP".to_owned())),
            2 => {
                steps.push(Step::Signal(draw.one(&["SIGTERM", "SIGINT"]).to_owned()));
                return steps;
            }
            _ => {}
        }
    }
    steps
}

/// Spoils one place: a key that is gone, unknown or twice there, or a value of another type.
/// Returns which of them it is.
fn mistake(top: &mut Node, chance: &mut Chance) -> usize {
    let places = top.places();
    let at = chance.below(places);
    let kind = chance.below(5);
    let value = match chance.below(5) {
        0 => json!("some text"),
        1 => json!(7),
        2 => json!(true),
        3 => json!(["a", "b"]),
        _ => json!(""),
    };
    top.spoil(at, kind, &value);
    kind
}
