//! Scenarios as data: `scenarios/*.yaml`, several in one file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// One configuration, what it meets, and what happens to it.
///
/// In all texts `${DIR}` is the folder of the run, `${ADDR}` the address of its Vault, `${LISTEN}` one that is free for the
/// agent, and `${LONG}` a word of 3,000 letters: an answer with it says nothing of its length.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The file that it stands in.
    #[serde(skip)]
    pub(crate) file: String,
    /// Root's writes into Vault before the start, beside the secrets that every scenario has.
    #[serde(default)]
    pub(crate) vault: Vec<Write>,
    /// Whether Vault has the role `database/creds/readonly`, for a PostgreSQL of the scenario's own.
    #[serde(default)]
    pub(crate) database: bool,
    /// Files before the start, below the folder of the run.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, Content>,
    /// `agent.hcl`, unless `args` name something else.
    #[serde(default)]
    pub(crate) config: String,
    /// After `agent`; without them `-config=${DIR}/agent.hcl`.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// The umask that it is started with, as the shell takes it.
    #[serde(default)]
    pub(crate) umask: Option<String>,
    /// After the start.
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// Whether reads repeat while it waits: how often depends on when each side started.
    #[serde(default)]
    pub(crate) repeats: bool,
    /// The behavior of `bao agent` where it differs from that of `vault agent`, which ours follows.
    #[serde(default)]
    pub(crate) openbao: Option<String>,
    /// How both differ and should, with the reason.
    #[serde(default)]
    pub(crate) differs: BTreeMap<String, String>,
}

/// `vault write`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    pub(crate) write: String,
    #[serde(default)]
    pub(crate) body: Value,
}

/// The content of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    /// As it stands there.
    Text(String),
    /// From an answer of Vault to root.
    Answer(Answer),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// `vault read`, instead of a write.
    #[serde(default)]
    pub(crate) read: Option<String>,
    /// `vault write`.
    #[serde(default)]
    pub(crate) write: Option<String>,
    #[serde(default)]
    pub(crate) body: Value,
    /// How long a wrapping token lives that is to hold the answer.
    #[serde(default)]
    pub(crate) wrap_ttl: Option<String>,
    /// A JSON pointer into the answer.
    pub(crate) pointer: String,
}

/// Something that happens while the agent runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Wait until this file is there.
    File(String),
    /// Wait until this file holds this text.
    Holds { file: String, text: String },
    /// Wait until this file is gone.
    Gone(String),
    /// Wait until the agent's log has this.
    Logged(String),
    /// Wait until neither log nor files have changed for so many milliseconds.
    Quiet(u64),
    /// Wait for so many milliseconds.
    Milliseconds(u64),
    /// `vault write` as root.
    Write(Write),
    /// Put a file there, whole.
    Put { file: String, content: Content },
    /// Send the agent a signal.
    Signal(String),
    /// Ask the agent's listener, which is at `${LISTEN}`; the answer is compared.
    Ask(Ask),
    /// Wait until it ends by itself.
    Ends,
    /// Start it once more, after it has ended; with these arguments, or with the same.
    Again(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// `GET` unless said otherwise.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// From `/v1/` on.
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
    /// Whether the body says nothing of its length.
    #[serde(default)]
    pub(crate) chunked: bool,
    /// The socket, below the folder of the run.
    #[serde(default)]
    pub(crate) socket: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

pub(crate) fn all() -> Result<Vec<Scenario>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("drop_in/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut scenarios = Vec::new();
    for file in files {
        let path = file.path();
        let text = fs::read_to_string(&path)?;
        let read: Vec<Scenario> =
            serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
        let file = file.file_name().to_string_lossy().into_owned();
        scenarios.extend(read.into_iter().map(|scenario| Scenario {
            file: file.clone(),
            ..scenario
        }));
    }
    Ok(scenarios)
}
