//! Failures that are not yet mended, each under what it concerns, so that one file that
//! could be read does not hide that another could not.

use std::collections::BTreeMap;

use planescape_templates::Request;

use crate::command::Destination;
use crate::failure::Remedy;
use crate::verdict::End;

/// The subject of a failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Concern {
    Login,
    Request(Request),
    /// The text with this number.
    Template(usize),
    Write(Destination),
}

#[derive(Debug, Default)]
pub(crate) struct Troubles {
    open: BTreeMap<Concern, Trouble>,
    noted: u64,
}

#[derive(Debug)]
struct Trouble {
    /// The later, the higher.
    at: u64,
    /// How often Vault refused it in a row; an outage in between starts anew.
    refusals: u32,
    end: End,
}

impl Troubles {
    /// Notes how the agent would have to end for this, and says how often it was refused in a row.
    pub(crate) fn note(&mut self, concern: Concern, remedy: Remedy, end: End) -> u32 {
        let before = self.open.get(&concern).map_or(0, |it| it.refusals);
        let refusals = match remedy {
            Remedy::GiveUp => before.saturating_add(1),
            Remedy::Retry | Remedy::CheckToken => 0,
        };
        self.noted += 1;
        let trouble = Trouble {
            at: self.noted,
            refusals,
            end,
        };
        self.open.insert(concern, trouble);
        refusals
    }

    /// It works now, or matters no more.
    pub(crate) fn mend(&mut self, concern: &Concern) {
        self.open.remove(concern);
    }

    pub(crate) fn mend_all(&mut self) {
        self.open.clear();
    }

    pub(crate) fn latest(&self) -> Option<&End> {
        let latest = self.open.values().max_by_key(|trouble| trouble.at)?;
        Some(&latest.end)
    }
}
