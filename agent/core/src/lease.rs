//! The life of something that expires, a token or a secret's lease: how long it lasts, and
//! when to act on it.

use std::time::Duration;

use crate::clock::Moment;
use crate::dice::Dice;
use crate::input::Grant;

/// What was granted last, and when to act.
#[derive(Debug)]
pub(crate) struct Lease {
    granted_at: Moment,
    ttl: Duration,
    /// The longest TTL granted so far; a shorter one means that the maximum is near.
    longest: Duration,
    renewable: bool,
    act_at: Moment,
}

/// What to do when the moment comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Renew,
    /// Get a new one: this one cannot be extended, or not for long.
    Replace,
}

impl Lease {
    /// `None` for what never expires.
    pub(crate) fn new(grant: Grant, dice: &mut Dice, now: Moment) -> Option<Self> {
        if grant.ttl().is_zero() {
            return None;
        }
        Some(Self {
            granted_at: now,
            ttl: grant.ttl(),
            longest: grant.ttl(),
            renewable: grant.is_renewable(),
            act_at: now + act_after(grant.ttl(), dice),
        })
    }

    /// Notes what a renewal granted.
    pub(crate) fn renewed(&mut self, grant: Grant, dice: &mut Dice, now: Moment) {
        self.granted_at = now;
        self.ttl = grant.ttl();
        self.longest = self.longest.max(grant.ttl());
        self.renewable = grant.is_renewable();
        self.act_at = now + act_after(grant.ttl(), dice);
    }

    /// When to act, unless a failed attempt says later.
    pub(crate) fn act_at(&self) -> Moment {
        self.act_at
    }

    /// Puts the next attempt off.
    pub(crate) fn retry_after(&mut self, wait: Duration, now: Moment) {
        self.act_at = now + wait;
    }

    /// Replaces it now instead of renewing it.
    pub(crate) fn give_up(&mut self, now: Moment) {
        self.renewable = false;
        self.act_at = now;
    }

    /// Vault grants whole seconds and counts them from its own clock, so that a grant which is a
    /// second short is still a full one.
    pub(crate) fn next_step(&self) -> Step {
        let is_full = self.ttl + Duration::from_secs(2) > self.longest;
        if self.renewable && is_full {
            Step::Renew
        } else {
            Step::Replace
        }
    }

    /// Whether so little is left that another failed renewal would be the last.
    pub(crate) fn is_nearly_over(&self, now: Moment) -> bool {
        now.since(self.granted_at) >= self.ttl.mul_f64(0.9)
    }

    pub(crate) fn ends_at(&self) -> Moment {
        self.granted_at + self.ttl
    }

    pub(crate) fn is_over(&self, now: Moment) -> bool {
        now.since(self.granted_at) >= self.ttl
    }
}

/// Two thirds into the TTL: early enough to survive one failed attempt and its backoff, late
/// enough not to bother Vault.
fn act_after(ttl: Duration, dice: &mut Dice) -> Duration {
    dice.scale(ttl * 2 / 3, 0.95, 1.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_at_two_thirds_of_the_ttl() {
        let lease = lease(90);

        let after = lease.act_at().since(start());
        assert!((57..=63).contains(&after.as_secs()), "{after:?}");
        assert_eq!(lease.next_step(), Step::Renew);
    }

    #[test]
    fn a_shorter_grant_means_that_the_maximum_is_near() {
        let mut lease = lease(90);

        lease.renewed(grant(90, true), &mut Dice::new(1), start());
        assert_eq!(lease.next_step(), Step::Renew);

        lease.renewed(grant(40, true), &mut Dice::new(1), start());
        assert_eq!(lease.next_step(), Step::Replace);
    }

    #[test]
    fn what_is_not_renewable_is_replaced() {
        let lease = Lease::new(grant(90, false), &mut Dice::new(1), start()).unwrap();

        assert_eq!(lease.next_step(), Step::Replace);
    }

    #[test]
    fn what_never_expires_has_no_lease() {
        assert!(Lease::new(grant(0, true), &mut Dice::new(1), start()).is_none());
    }

    #[test]
    fn knows_when_it_ends() {
        let lease = lease(100);
        let after = |seconds| start() + Duration::from_secs(seconds);

        assert!(!lease.is_nearly_over(after(89)));
        assert!(lease.is_nearly_over(after(90)));
        assert!(!lease.is_over(after(99)));
        assert!(lease.is_over(after(100)));
    }

    fn start() -> Moment {
        Moment::since_boot(Duration::from_secs(1000))
    }

    fn grant(seconds: u64, renewable: bool) -> Grant {
        Grant::new(Duration::from_secs(seconds), renewable)
    }

    fn lease(seconds: u64) -> Lease {
        Lease::new(grant(seconds, true), &mut Dice::new(1), start()).unwrap()
    }
}
