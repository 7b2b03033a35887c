//! The life of something that expires, a token or a secret's lease: how long it lasts, and
//! when to act on it.

use std::time::Duration;

use planescape_vault::Grant;

use crate::clock::Moment;
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::token::Ticket;

/// No two attempts to renew the same thing lie closer together.
const SPACING: Duration = Duration::from_secs(1);

/// Another attempt that would come sooner than this comes as a replacement.
const PAUSE: Duration = Duration::from_millis(100);

/// A full grant may differ by so much from the TTL that was asked for, but never by more than a quarter.
const ROUNDING: Duration = Duration::from_secs(2);

/// The last grant, and when to act. The TTL counts from the question: Vault's own clock
/// started at some time between question and answer.
#[derive(Debug)]
pub(crate) struct Lease {
    granted_at: Moment,
    /// When it was made.
    born: Moment,
    ttl: Duration,
    /// The longest TTL granted so far; a shorter one means that the maximum is near.
    longest: Duration,
    renewable: bool,
    /// The longest TTL that renewals ask for.
    guard: Option<Duration>,
    /// The TTL when the guard was asked for, until Vault grants it.
    longer: Option<Duration>,
    /// Whether Vault may have granted it and was not heard.
    is_unsure: bool,
    act_at: Moment,
    /// When it has ended for certain; `None` while a renewal is unanswered.
    gone_by: Option<Moment>,
}

/// The step to take when the moment comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Renew,
    /// Get a new one: this one cannot be extended, or not for long.
    Replace,
}

impl Lease {
    /// `None` for a grant that never expires.
    pub(crate) fn new(grant: Grant, ticket: Ticket, dice: &mut Dice, now: Moment) -> Option<Self> {
        if grant.ttl().is_zero() {
            return None;
        }
        let mut lease = Self {
            granted_at: ticket.sent,
            born: ticket.sent,
            ttl: grant.ttl(),
            longest: grant.ttl(),
            renewable: grant.is_renewable(),
            guard: None,
            longer: None,
            is_unsure: false,
            act_at: now,
            gone_by: Some(gone_by(grant, now)),
        };
        lease.act_at = lease.next_renewal(dice, now);
        Some(lease)
    }

    /// Lets it outlive its holder by `guard` at most: Vault shortens it with a renewal, which is due at once. A lease
    /// that is short enough or cannot be renewed stays as it is.
    pub(crate) fn guarded(mut self, guard: Duration, now: Moment) -> Self {
        if self.renewable && self.ttl > guard {
            self.guard = Some(guard);
            self.longest = guard;
            self.act_at = now;
        }
        self
    }

    /// The TTL for renewals to ask for; without it the role decides.
    pub(crate) fn increment(&self) -> Option<Duration> {
        self.guard
    }

    /// When half the guard has passed without a renewal.
    pub(crate) fn endangered_at(&self) -> Option<Moment> {
        self.guard
            .filter(|guard| self.ttl <= *guard + ROUNDING)
            .map(|guard| self.granted_at + guard / 2)
    }

    /// Notes the grant of a renewal. A TTL of zero is none: the rest of the old one counts.
    pub(crate) fn renewed(&mut self, grant: Grant, ticket: Ticket, dice: &mut Dice, now: Moment) {
        if grant.ttl().is_zero() {
            self.replace_now(now);
            return;
        }
        self.longer = None;
        self.is_unsure = false;
        self.granted_at = ticket.sent;
        self.ttl = grant.ttl();
        self.longest = self.longest.max(grant.ttl());
        self.renewable = grant.is_renewable();
        // A role with periods ignores the TTL that is asked for.
        self.guard = self.guard.filter(|guard| self.ttl <= *guard + ROUNDING);
        self.act_at = self.next_renewal(dice, now);
        self.gone_by = Some(gone_by(grant, now));
    }

    /// A renewal is on its way: the end of the lease is not known until it is answered. A lease under a guard may be
    /// shortened already.
    pub(crate) fn renewal_asked(&mut self) {
        self.gone_by = None;
        let Some(guard) = self.guard else { return };
        if self.ttl > guard + ROUNDING {
            self.longer = Some(self.ttl);
        }
        self.ttl = self.ttl.min(guard);
    }

    /// Puts the next attempt off, but not so far that the lease ends before it; says to replace
    /// the lease where another attempt is no use.
    pub(crate) fn renewal_failed(&mut self, failure: &Failure, wait: Duration, now: Moment) {
        let last_chance = self.granted_at + self.ttl.mul_f64(0.9);
        match failure.remedy() {
            Remedy::GiveUp if !failure.may_renew_later() => {
                match self.longer.filter(|_| !self.is_unsure) {
                    Some(ttl) => self.go_on_unguarded(ttl, now),
                    None => self.replace_now(now),
                }
            }
            Remedy::GiveUp | Remedy::Retry | Remedy::CheckToken => {
                self.is_unsure = true;
                if now + PAUSE >= last_chance {
                    self.replace_now(now);
                } else {
                    let clamped = (now + wait).min(last_chance);
                    let asked = failure.retry_after().map_or(now, |wait| now + wait);
                    self.act_at = clamped.max(asked);
                }
            }
        }
    }

    /// How long it lasts from its last grant on, as far as Vault has said so.
    pub(crate) fn ttl(&self) -> Duration {
        self.longer.unwrap_or(self.ttl)
    }

    /// When to act.
    pub(crate) fn act_at(&self) -> Moment {
        self.act_at
    }

    /// Puts a replacement off that could not be had.
    pub(crate) fn retry_at(&mut self, moment: Moment) {
        self.act_at = moment;
    }

    /// Vault grants whole seconds and counts them from its own clock, so that a grant which is a
    /// second short is still a full one.
    pub(crate) fn next_step(&self) -> Step {
        if self.renewable && !self.is_near_maximum() {
            Step::Renew
        } else {
            Step::Replace
        }
    }

    /// How long it can live at all, once Vault extends it no further.
    pub(crate) fn maximum(&self) -> Option<Duration> {
        let is_known = self.next_step() == Step::Replace;
        is_known.then(|| self.ends_at().since(self.born))
    }

    /// When it must be taken to have ended.
    pub(crate) fn ends_at(&self) -> Moment {
        self.granted_at + self.ttl
    }

    /// When it has ended for certain, if that can be known.
    pub(crate) fn gone_by(&self) -> Option<Moment> {
        self.gone_by
    }

    fn is_near_maximum(&self) -> bool {
        self.ttl + ROUNDING.min(self.longest / 4) <= self.longest
    }

    /// Vault denies renewals, and with them the guard. Another lease would fare no better.
    fn go_on_unguarded(&mut self, ttl: Duration, now: Moment) {
        self.guard = None;
        self.longer = None;
        self.ttl = ttl;
        self.longest = ttl;
        self.act_at = (self.granted_at + ttl * 2 / 3).max(now + SPACING);
    }

    /// It is gone, or cannot be extended.
    pub(crate) fn replace_now(&mut self, now: Moment) {
        self.renewable = false;
        self.act_at = now;
    }

    /// Two thirds into the TTL: early enough to survive one failed attempt and its backoff, late
    /// enough not to bother Vault. A third into a guard, so that Vault may be away for two.
    fn next_renewal(&self, dice: &mut Dice, now: Moment) -> Moment {
        let share = if self.guard.is_some() { 1 } else { 2 };
        let wanted = self.granted_at + dice.scale(self.ttl * share / 3, 0.95, 1.05);
        let earliest = now + SPACING;
        if self.is_near_maximum() {
            let last_chance = self.granted_at + self.ttl.mul_f64(0.9);
            return wanted.max(earliest.min(last_chance));
        }
        wanted.max(earliest)
    }
}

/// When a grant has ended for certain: Vault cuts TTLs to whole seconds, and clocks drift.
pub(crate) fn gone_by(grant: Grant, now: Moment) -> Moment {
    now + grant.ttl() + grant.ttl() / 1000 + Duration::from_secs(5)
}

#[cfg(test)]
mod tests {
    use planescape_vault::{Error, Refusal};

    use super::*;
    use crate::token::TokenId;

    #[test]
    fn acts_at_two_thirds_of_the_ttl() {
        let lease = lease(90);

        let after = lease.act_at().since(start());
        assert!((57..=63).contains(&after.as_secs()), "{after:?}");
        assert_eq!(lease.next_step(), Step::Renew);
    }

    #[test]
    fn a_slow_answer_takes_nothing_off_the_time_to_act() {
        let answered = start() + Duration::from_secs(30);
        let lease = Lease::new(grant(60, true), asked(start()), &mut Dice::new(1), answered);

        let lease = lease.unwrap();
        let after = lease.act_at().since(start());
        assert!((38..=42).contains(&after.as_secs()), "{after:?}");
        assert_eq!(lease.ends_at(), start() + Duration::from_secs(60));
        assert!(lease.gone_by() > Some(answered + Duration::from_secs(61)));
    }

    #[test]
    fn a_lease_of_a_second_is_renewed_once_a_second() {
        let lease = lease(1);

        assert_eq!(lease.act_at().since(start()), SPACING);
    }

    #[test]
    fn a_shorter_grant_means_that_the_maximum_is_near() {
        let mut lease = lease(90);

        renew(&mut lease, 90);
        assert_eq!(lease.next_step(), Step::Renew);

        renew(&mut lease, 40);
        assert_eq!(lease.next_step(), Step::Replace);
    }

    /// Vault cuts what is left to whole seconds.
    #[test]
    fn a_lease_is_replaced_before_its_maximum_however_short_it_is() {
        for (ttl, maximum) in (2..=30).flat_map(|ttl| (ttl..10 * ttl).map(move |max| (ttl, max))) {
            let mut lease = lease(ttl);
            while lease.next_step() == Step::Renew
                && lease.act_at() < start() + Duration::from_secs(maximum)
            {
                let now = lease.act_at();
                let left = (start() + Duration::from_secs(maximum))
                    .since(now)
                    .as_secs();
                lease.renewed(
                    grant(ttl.min(left), true),
                    asked(now),
                    &mut Dice::new(1),
                    now,
                );
            }
            let left = lease.ends_at().since(lease.act_at());
            assert!(
                left > Duration::from_millis(50),
                "{ttl} of {maximum}: {left:?}"
            );
        }
    }

    #[test]
    fn a_guard_shortens_the_lease_at_once_and_is_renewed_at_a_third() {
        let guard = Duration::from_secs(60);
        let mut lease = lease(3600).guarded(guard, start());
        assert_eq!((lease.act_at(), lease.next_step()), (start(), Step::Renew));
        assert_eq!(lease.increment(), Some(guard));
        assert_eq!(lease.endangered_at(), None, "it is not shortened yet");
        lease.renewal_asked();
        assert_eq!(lease.ends_at(), start() + guard, "the answer may be lost");

        renew(&mut lease, 60);

        let after = lease.act_at().since(start());
        assert!((19..=21).contains(&after.as_secs()), "{after:?}");
        assert_eq!(lease.next_step(), Step::Renew);
        assert_eq!(lease.increment(), Some(guard));
        assert_eq!(lease.endangered_at(), Some(start() + guard / 2));
        renew(&mut lease, 40);
        assert_eq!(lease.next_step(), Step::Replace, "the maximum is near");
    }

    #[test]
    fn a_guard_that_vault_denies_leaves_the_lease_as_it_was() {
        let guard = Duration::from_secs(60);
        let denied: Failure =
            Error::Refused(Refusal::new(403, "permission denied".to_owned(), None)).into();
        let refused = |answers: &[&Failure]| {
            let mut lease = lease(3600).guarded(guard, start());
            for answer in answers {
                lease.renewal_asked();
                assert_eq!(lease.ttl(), Duration::from_secs(3600), "nobody said so");
                lease.renewal_failed(answer, Duration::from_secs(1), start());
            }
            lease
        };

        let lease = refused(&[&denied]);
        assert_eq!((lease.increment(), lease.next_step()), (None, Step::Renew));
        assert_eq!(lease.ends_at(), start() + Duration::from_secs(3600));
        assert_eq!(lease.act_at(), start() + Duration::from_secs(2400));

        let lease = refused(&[&unreachable(), &denied]);
        assert_eq!(lease.next_step(), Step::Replace, "it may be short by now");
        assert_eq!(lease.ends_at(), start() + guard);
    }

    #[test]
    fn a_guard_is_of_no_use_where_vault_takes_no_notice_of_it() {
        let guard = Duration::from_secs(60);
        let mut periodic = lease(3600).guarded(guard, start());
        periodic.renewal_asked();
        renew(&mut periodic, 3600);
        assert_eq!(periodic.increment(), None);
        assert_eq!(periodic.next_step(), Step::Renew);
        assert!(periodic.act_at().since(start()) > Duration::from_secs(2000));

        assert_eq!(lease(60).guarded(guard, start()).increment(), None);
        let batch = Lease::new(
            grant(3600, false),
            asked(start()),
            &mut Dice::new(1),
            start(),
        );
        let batch = batch.unwrap().guarded(guard, start());
        assert_eq!(batch.increment(), None);
        assert!(batch.act_at() > start());
    }

    #[test]
    fn a_renewal_that_grants_nothing_means_replace() {
        let mut lease = lease(90);

        lease.renewal_asked();
        renew(&mut lease, 0);

        assert_eq!(lease.next_step(), Step::Replace);
        assert_eq!(lease.act_at(), start());
        assert_eq!(lease.ends_at(), start() + Duration::from_secs(90));
        assert_eq!(lease.gone_by(), None);
    }

    #[test]
    fn what_is_not_renewable_is_replaced() {
        let lease = Lease::new(grant(90, false), asked(start()), &mut Dice::new(1), start());

        assert_eq!(lease.unwrap().next_step(), Step::Replace);
    }

    #[test]
    fn how_long_it_can_live_is_known_once_it_is_extended_no_further() {
        let mut lease = lease(90);
        assert_eq!(lease.maximum(), None);

        renew(&mut lease, 40);

        assert_eq!(lease.maximum(), Some(Duration::from_secs(40)));
    }

    #[test]
    fn a_replacement_that_cannot_be_had_is_put_off() {
        let mut lease = lease(90);
        let later = start() + Duration::from_secs(80);

        lease.retry_at(later);

        assert_eq!(lease.act_at(), later);
    }

    #[test]
    fn what_never_expires_has_no_lease() {
        assert!(Lease::new(grant(0, true), asked(start()), &mut Dice::new(1), start()).is_none());
    }

    #[test]
    fn no_wait_goes_past_the_last_chance() {
        let mut lease = lease(100);
        let now = start() + Duration::from_secs(70);

        lease.renewal_asked();
        lease.renewal_failed(&unreachable(), Duration::from_secs(60), now);

        assert_eq!(lease.act_at(), start() + Duration::from_secs(90));
        assert_eq!(lease.next_step(), Step::Renew);
        assert_eq!(lease.gone_by(), None);
        lease.renewal_failed(&unreachable(), Duration::from_secs(60), lease.act_at());
        assert_eq!(lease.next_step(), Step::Replace);
        assert_eq!(lease.act_at(), start() + Duration::from_secs(90));
    }

    #[test]
    fn a_tenth_of_a_second_before_the_last_chance_another_attempt_is_none() {
        let chance = start() + Duration::from_secs(90);
        for (before, step) in [
            (101, Step::Renew),
            (100, Step::Replace),
            (99, Step::Replace),
        ] {
            let mut lease = lease(100);
            let now = chance.before(Duration::from_millis(before));

            lease.renewal_failed(&unreachable(), Duration::from_secs(1), now);

            assert_eq!(lease.next_step(), step, "{before} ms before it");
        }
    }

    #[test]
    fn a_grant_that_is_two_seconds_short_or_a_quarter_of_a_brief_one_is_not_full() {
        for (longest, granted, step) in [
            (90, 89, Step::Renew),
            (90, 88, Step::Replace),
            (8, 7, Step::Renew),
            (8, 6, Step::Replace),
            (4, 3, Step::Replace),
        ] {
            let mut lease = lease(longest);

            renew(&mut lease, granted);

            assert_eq!(lease.next_step(), step, "{granted} of {longest}");
        }
    }

    /// A guard that Vault has rounded counts as granted.
    #[test]
    fn a_guard_is_granted_where_vault_gives_two_seconds_more_and_not_where_it_gives_three() {
        let guard = Duration::from_secs(60);
        for (granted, is_guarded) in [(62, true), (63, false)] {
            let mut lease = lease(3600).guarded(guard, start());
            lease.renewal_asked();
            renew(&mut lease, granted);

            assert_eq!(lease.increment().is_some(), is_guarded, "{granted}");
            let endangered = is_guarded.then(|| start() + guard / 2);
            assert_eq!(lease.endangered_at(), endangered, "{granted}");
        }
        let mut lease = lease(62).guarded(guard, start());
        lease.renewal_asked();
        assert_eq!(lease.ttl(), guard, "nothing is left to be shortened");
    }

    #[test]
    fn a_wait_that_vault_asks_for_is_kept() {
        let mut lease = lease(100);
        let busy = Refusal::new(429, String::new(), Some(Duration::from_secs(25)));
        let now = start() + Duration::from_secs(70);

        lease.renewal_failed(&Error::Refused(busy).into(), Duration::from_secs(1), now);

        assert_eq!(lease.act_at(), now + Duration::from_secs(25));
    }

    #[test]
    fn a_database_that_restarts_ends_no_renewals() {
        let mut lease = lease(100);
        let now = start() + Duration::from_secs(70);
        let answer = |message: &str| Error::Refused(Refusal::new(400, message.to_owned(), None));

        let down = answer("failed to renew entry: the database system is shutting down");
        lease.renewal_failed(&down.into(), Duration::from_secs(1), now);

        assert_eq!(lease.next_step(), Step::Renew);
        let gone = answer("lease not found");
        lease.renewal_failed(&gone.into(), Duration::from_secs(1), now);
        assert_eq!(lease.next_step(), Step::Replace);
    }

    fn unreachable() -> Failure {
        Failure::Vault(Error::Silent {
            address: "vault:8200".to_owned(),
        })
    }

    fn start() -> Moment {
        Moment::since_boot(Duration::from_secs(1000))
    }

    fn asked(sent: Moment) -> Ticket {
        Ticket {
            token: TokenId(1),
            sent,
        }
    }

    fn grant(seconds: u64, renewable: bool) -> Grant {
        Grant::new(Duration::from_secs(seconds), renewable)
    }

    fn renew(lease: &mut Lease, seconds: u64) {
        lease.renewed(
            grant(seconds, true),
            asked(start()),
            &mut Dice::new(1),
            start(),
        );
    }

    fn lease(seconds: u64) -> Lease {
        Lease::new(
            grant(seconds, true),
            asked(start()),
            &mut Dice::new(1),
            start(),
        )
        .unwrap()
    }
}
