//! Where the pod shows why the agent ended.

use std::fs;

use planescape_agent_core::Report;

/// The kubelet shows no more than this many bytes.
const LONGEST: usize = 4096;
const LONGEST_MESSAGE: usize = 2048;

/// The termination log, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Termination(Option<String>);

impl Termination {
    pub(crate) fn new(path: Option<String>) -> Self {
        Self(path)
    }

    /// The configuration, which names the file, could not be read: a pod has it in a known place.
    pub(crate) fn nowhere() -> Self {
        Self(
            Some("/dev/termination-log".to_owned())
                .filter(|path| fs::exists(path).unwrap_or(false)),
        )
    }

    /// Writes the report; that it could not be written is only logged.
    pub(crate) fn write(&self, report: &Report) {
        let Some(path) = &self.0 else { return };
        let mut report = report.clone();
        if let Some(message) = &mut report.message {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        }
        match serde_json::to_string(&report) {
            Ok(text) if text.len() <= LONGEST => {
                if let Err(error) = fs::write(path, text) {
                    tracing::warn!(%path, %error, "cannot write the termination message");
                }
            }
            Ok(_) => tracing::warn!("the termination message is too long"),
            Err(error) => tracing::warn!(%error, "cannot write the termination message"),
        }
    }
}
