//! The reads, for the run's receipt.

use std::time::Duration;

use planescape_agent_contract::Access;
use planescape_templates::Answer;

use super::{Entry, Secrets};

impl Secrets {
    /// The reads, in the order in which they were asked for first.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        self.entries
            .values()
            .filter_map(|it| self.access(it))
            .collect()
    }

    /// The shortest life after which Vault extended a lease no further, as far as it has said so.
    pub(crate) fn maximum(&self) -> Option<Duration> {
        let known = self.entries.values().filter_map(Entry::maximum);
        known.chain(self.maximum).min()
    }

    fn access(&self, entry: &Entry) -> Option<Access> {
        let path = entry.request.path();
        match entry.answer.as_ref()? {
            Answer::Secret(Some(secret)) => Some(Access::of(path, secret, self.mounts.of(path))),
            Answer::Pki(_) | Answer::List(_) => Some(Access {
                path: path.to_owned(),
                ..Access::default()
            }),
            Answer::Secret(None) | Answer::File(_) => None,
        }
    }
}
