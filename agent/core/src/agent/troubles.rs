//! What went wrong and is not yet mended, each under what it concerns, so that one file that
//! could be read does not hide that another could not.

use std::collections::BTreeSet;

use planescape_templates::Request;

use crate::command::Destination;
use crate::failure::Remedy;
use crate::report::{ExitCode, Report};

/// What can be in trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    Login,
    Request(Request),
    /// The text of `template[n]`.
    Template(usize),
    Write(Destination),
}

/// The latest last.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<Trouble>);

#[derive(Debug)]
struct Trouble {
    concern: Concern,
    /// How often Vault refused it in a row; an outage in between starts anew.
    refusals: u32,
    end: (ExitCode, Report),
}

impl Troubles {
    /// Notes how the agent would have to end for this, and says how often it was refused in a row.
    pub(super) fn note(
        &mut self,
        concern: Concern,
        remedy: Remedy,
        end: (ExitCode, Report),
    ) -> u32 {
        let before = self.mended(&concern).map_or(0, |trouble| trouble.refusals);
        let refusals = match remedy {
            Remedy::GiveUp => before.saturating_add(1),
            Remedy::Retry | Remedy::LogInAgain => 0,
        };
        self.0.push(Trouble {
            concern,
            refusals,
            end,
        });
        refusals
    }

    /// It works now.
    pub(super) fn mend(&mut self, concern: &Concern) {
        self.mended(concern);
    }

    /// Only these requests still matter.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Request>) {
        self.0.retain(|trouble| match &trouble.concern {
            Concern::Request(request) => wanted.contains(request),
            Concern::Login | Concern::Template(_) | Concern::Write(_) => true,
        });
    }

    pub(super) fn latest(&self) -> Option<(ExitCode, Report)> {
        self.0.last().map(|trouble| trouble.end.clone())
    }

    fn mended(&mut self, concern: &Concern) -> Option<Trouble> {
        let index = self.0.iter().position(|known| known.concern == *concern)?;
        Some(self.0.remove(index))
    }
}
