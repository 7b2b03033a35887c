//! Files that could not be written: when each is tried again, and what of it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::command::Destination;
use crate::dice::Dice;
use crate::failure::Failure;

/// Each with its failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(BTreeMap<Destination, Trouble>);

#[derive(Debug)]
struct Trouble {
    backoff: Backoff,
    told: Failure,
}

impl Unwritten {
    /// Says how long to wait, and whether the failure is another one than before.
    pub(crate) fn fail(
        &mut self,
        file: Destination,
        failure: &Failure,
        dice: &mut Dice,
    ) -> (Duration, bool) {
        let before = self.0.remove(&file);
        let is_news = before.as_ref().is_none_or(|it| it.told != *failure);
        let mut backoff = before.map_or_else(Backoff::request, |it| it.backoff);
        let wait = backoff.fail(dice);
        let told = failure.clone();
        self.0.insert(file, Trouble { backoff, told });
        (wait, is_news)
    }

    /// It is written, or gone.
    pub(crate) fn mend(&mut self, file: Destination) {
        self.0.remove(&file);
    }
}
