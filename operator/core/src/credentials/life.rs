//! How long a token or a lease lives, and when to renew it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So soon after a renewal there is no other.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// A renewal that moves the end by less has come to the maximum.
const NO_PROGRESS: SignedDuration = SignedDuration::from_secs(2);

/// A century in seconds: no number of a record or of Vault is too large to reckon with.
const LONGEST: i64 = 100 * 365 * 24 * 3_600;

/// How long a token or a lease lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    since: Timestamp,
    seconds: i64,
    is_renewable: bool,
    /// When it was made, where that is known.
    #[serde(default)]
    born: Option<Timestamp>,
    /// Whether Vault has granted less than it was asked for, as it does to keep to a maximum.
    #[serde(default)]
    is_capped: bool,
    /// Whether it was not renewed yet.
    is_first: bool,
    /// Whether others may have renewed it meanwhile.
    #[serde(skip)]
    is_recalled: bool,
    /// When it ends by Vault's last grant, if its end is a guess.
    #[serde(skip)]
    granted: Option<Timestamp>,
}

impl Life {
    /// The life of a new grant.
    #[must_use]
    pub fn new(since: Timestamp, seconds: i64, is_renewable: bool) -> Self {
        Self {
            since,
            seconds: seconds.max(0),
            is_renewable,
            born: Some(since),
            is_capped: false,
            is_first: true,
            is_recalled: false,
            granted: None,
        }
    }

    /// The life of one that stood in a record: it ends no later than `outage` lets it, and is renewed at once. A life
    /// that cannot be renewed keeps its end.
    #[must_use]
    pub fn recalled(self, now: Timestamp, outage: SignedDuration) -> Self {
        if !self.is_renewable {
            return self;
        }
        Self {
            since: now,
            seconds: self.seconds.max(wanted(outage).as_secs()),
            is_first: true,
            is_recalled: true,
            granted: self.granted_end(),
            ..self
        }
    }

    /// The life after a renewal.
    #[must_use]
    pub fn renewed(self, now: Timestamp, seconds: i64, is_renewable: bool) -> Self {
        let renewed = Self {
            since: now,
            seconds: seconds.max(0),
            is_renewable,
            born: self.born,
            is_capped: self.is_capped,
            is_first: false,
            is_recalled: false,
            granted: None,
        };
        let moved = match (self.end(), renewed.end()) {
            (Some(before), Some(after)) => after.duration_since(before),
            (_, None) | (None, _) => SignedDuration::MAX,
        };
        let is_comparable = !self.is_first && !self.is_of_another_time(now);
        // Near the maximum Vault grants ever less; our clock changes nothing about that.
        let has_shrunk = renewed.seconds < self.seconds;
        let is_last = is_comparable && has_shrunk && moved <= NO_PROGRESS;
        Self {
            is_renewable: is_renewable && !is_last,
            ..renewed
        }
    }

    /// The same, where Vault renews it no more.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            is_renewable: false,
            is_recalled: false,
            granted: None,
            ..self
        }
    }

    /// The same, where Vault says how long it lives.
    #[must_use]
    pub fn confirmed(self, now: Timestamp, seconds: i64, is_renewable: bool) -> Self {
        Self {
            since: now,
            seconds: seconds.max(0),
            is_renewable,
            is_first: true,
            is_recalled: false,
            granted: None,
            ..self
        }
    }

    /// The same, if Vault says nothing of it: it has ended, or a policy keeps Vault from saying so. The last grant
    /// counts.
    #[must_use]
    pub fn denied(self, now: Timestamp) -> Self {
        match self.granted_end() {
            Some(end) if end > now => {
                self.confirmed(now, end.duration_since(now).as_secs(), self.is_renewable)
            }
            Some(_) | None => self.ended(now),
        }
    }

    /// The same, where Vault says that it has ended.
    #[must_use]
    pub fn ended(self, now: Timestamp) -> Self {
        let end = self.end().map_or(now, |end| end.min(now));
        let seconds = self.seconds.clamp(1, LONGEST);
        let length = SignedDuration::from_secs(seconds);
        Self {
            since: end.saturating_sub(length).unwrap_or(self.since),
            seconds,
            is_recalled: false,
            ..self.settled()
        }
    }

    /// Whether others may have renewed it, or let it end, since it was recorded.
    #[must_use]
    pub fn is_recalled(self) -> bool {
        self.is_recalled
    }

    /// The same after a renewal that asked for `asked`. Vault takes no notice of that where a token has a period.
    #[must_use]
    pub fn asked_for(self, asked: SignedDuration) -> Self {
        let granted = self.length();
        Self {
            is_capped: granted + NO_PROGRESS < asked,
            ..self
        }
    }

    /// How long it lives at all, once Vault renews it no further.
    #[must_use]
    pub fn maximum(self) -> Option<SignedDuration> {
        let end = self
            .end()
            .filter(|_| self.is_capped || !self.is_renewable)?;
        Some(end.duration_since(self.born?))
    }

    /// When it ends by itself; none where it never does.
    #[must_use]
    pub fn end(self) -> Option<Timestamp> {
        let has_end = self.seconds > 0 || self.is_renewable;
        let length = self.length();
        has_end.then(|| self.since.saturating_add(length).ok())?
    }

    /// When it ends by Vault's last grant to us, without the renewals of others since then; none if it never ends.
    #[must_use]
    pub fn granted_end(self) -> Option<Timestamp> {
        self.granted.or_else(|| self.end())
    }

    fn length(self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds.clamp(0, LONGEST))
    }

    /// Whether it seems to begin later than now: the clock was set back since, by an unknown time.
    #[must_use]
    pub fn is_of_another_time(self, now: Timestamp) -> bool {
        self.since > now
    }

    /// When to renew it; none if that does nothing. After a renewal it lives for
    /// `outage` longer, whatever happens, if Vault grants that.
    #[must_use]
    pub fn renewal(self, outage: SignedDuration) -> Option<Timestamp> {
        if !self.is_renewable {
            return None;
        }
        let length = self.length();
        if self.is_recalled || (self.is_first && length < wanted(outage)) {
            return Some(self.since);
        }
        self.since
            .saturating_add((length / 3).max(SHORTEST_WAIT))
            .ok()
    }
}

/// The time that a renewal asks for: a third of it passes until the next one.
#[must_use]
pub fn wanted(outage: SignedDuration) -> SignedDuration {
    outage.saturating_mul(3) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_life_that_is_shorter_than_an_outage_is_renewed_at_once_and_then_by_thirds() {
        let short = Life::new(at(0), 600, true);
        assert_eq!(short.renewal(HOUR), Some(at(0)));

        let renewed = short.renewed(at(1), 5_400, true);
        assert_eq!(renewed.renewal(HOUR), Some(at(1_801)));
        let left = renewed.end().unwrap().duration_since(at(1_801));
        assert!(left >= HOUR, "{left}");
    }

    #[test]
    fn a_long_life_waits_for_a_third_of_it() {
        assert_eq!(
            Life::new(at(0), 86_400, true).renewal(HOUR),
            Some(at(28_800))
        );
    }

    #[test]
    fn a_life_at_its_bound_is_long_enough_and_moves_too_little_and_is_granted_in_full() {
        let enough = Life::new(at(0), 5_400, true);
        assert_eq!(enough.renewal(HOUR), Some(at(1_800)));
        let short = Life::new(at(0), 5_399, true);
        assert_eq!(short.renewal(HOUR), Some(at(0)));
        let soon = enough.renewed(at(0), 9, true).renewal(HOUR);
        assert_eq!(soon, Some(at(5)), "not by thirds of nine seconds");

        let life = enough.renewed(at(0), 60, true);
        assert_eq!(life.renewed(at(20), 42, true).renewal(HOUR), None);
        assert!(life.renewed(at(20), 43, true).renewal(HOUR).is_some());
        let asked = |seconds| {
            enough
                .asked_for(SignedDuration::from_secs(seconds))
                .maximum()
        };
        assert_eq!((asked(5_402), asked(5_403)), (None, Some(HOUR * 3 / 2)));
        let denied = enough.denied(at(5_400));
        assert_eq!(
            (denied.end(), denied.renewal(HOUR)),
            (Some(at(5_400)), None)
        );
        assert!(enough.denied(at(5_399)).renewal(HOUR).is_some());
    }

    #[test]
    fn what_stood_in_a_record_is_renewed_at_once() {
        let recalled = Life::new(at(0), 86_400, true).recalled(at(80_000), HOUR);

        assert_eq!(recalled.renewal(HOUR), Some(at(80_000)));
        assert!(recalled.end().unwrap() >= at(86_400));
        assert!(
            recalled
                .renewed(at(80_001), 86_400, true)
                .renewal(HOUR)
                .unwrap()
                > at(80_001)
        );
    }

    #[test]
    fn what_has_ended_has_ended_by_now_and_is_not_recalled_to_life() {
        for life in [Life::new(at(0), 600, true), Life::new(at(0), 0, true)] {
            let ended = life.recalled(at(100), HOUR).ended(at(200));
            assert_eq!(ended.end(), Some(at(200)));
            assert_eq!(ended.renewal(HOUR), None);
        }
        let short = Life::new(at(0), 600, false);
        assert_eq!(short.ended(at(900)).end(), Some(at(600)));
        assert_eq!(short.recalled(at(900), HOUR).end(), Some(at(600)));
    }

    #[test]
    fn what_vault_says_nothing_of_ends_as_it_was_granted_however_often_its_end_was_guessed() {
        let life = Life::new(at(0), 600, true);
        let guessed = life.recalled(at(100), HOUR).recalled(at(200), HOUR);
        assert_eq!(guessed.granted_end(), Some(at(600)));

        let early = guessed.denied(at(300));
        assert_eq!((early.end(), early.is_recalled()), (Some(at(600)), false));
        let late = guessed.denied(at(700));
        assert_eq!((late.end(), late.renewal(HOUR)), (Some(at(700)), None));
        let confirmed = guessed.confirmed(at(700), 60, true);
        assert_eq!(confirmed.granted_end(), Some(at(760)));
    }

    #[test]
    fn ages_are_reckoned_with() {
        for seconds in [i64::MAX, i64::MIN] {
            let life = Life::new(at(0), seconds, true);
            let life = life.renewed(at(1), seconds, true).asked_for(HOUR);
            let life = life.recalled(at(2), HOUR);
            assert!(life.end().is_some() && life.renewal(HOUR).is_some());
            assert!(life.ended(at(3)).end() <= Some(at(3)));
        }
    }

    #[test]
    fn what_cannot_be_renewed_is_not() {
        assert_eq!(Life::new(at(0), 600, false).renewal(HOUR), None);
        assert_eq!(Life::new(at(0), 0, false).end(), None);
    }

    #[test]
    fn renewals_end_where_they_move_nothing() {
        let mut life = Life::new(at(0), 60, true);
        let mut renewals = 0;
        // The maximum is a hundred seconds.
        while let Some(due) = life.renewal(HOUR) {
            let left = at(100).duration_since(due).as_secs();
            life = life.renewed(due, left, true);
            renewals += 1;
            assert!(renewals < 10, "{life:?}");
        }
        let left = life.end().unwrap().duration_since(at(100)).as_secs();
        assert_eq!(left, 0, "{life:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_between_two_renewals_ends_none() {
        let life = Life::new(at(0), 60, true).renewed(at(0), 5_400, true);

        // So many seconds later, and set back by all of them but one.
        let renewed = life.renewed(at(1), 5_400, true);

        assert!(renewed.renewal(HOUR).is_some());
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn its_maximum_is_known_once_vault_grants_less_than_it_was_asked_for() {
        let start: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let life = Life::new(start, 600, true);
        assert_eq!(life.maximum(), None);
        let later = start + SignedDuration::from_secs(100);

        let capped = life.renewed(later, 500, true);
        assert_eq!(capped.maximum(), None, "a period says nothing");
        let capped = capped.asked_for(SignedDuration::from_mins(90));
        assert_eq!(capped.maximum(), Some(SignedDuration::from_secs(600)));
        assert!(
            capped.renewal(SignedDuration::ZERO).is_some(),
            "it is renewed all the same"
        );
        let full = life.renewed(later, 5400, true);
        assert_eq!(
            full.asked_for(SignedDuration::from_mins(90)).maximum(),
            None
        );
    }
}
