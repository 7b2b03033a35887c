//! How long to wait after the n-th failure in a row.

use std::time::Duration;

use crate::dice::Dice;

/// Doubles from `base` up to `max`; a success starts it anew. Chance takes up to a quarter off, as
/// in `vault agent`, so that a thousand agents do not come back in step.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// With the limits of the configuration.
    pub(crate) fn between(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            failures: 0,
        }
    }

    /// After a failed request: 250 ms doubling to one minute.
    pub(crate) fn request() -> Self {
        Self::between(Duration::from_millis(250), Duration::from_secs(60))
    }

    /// How many failures there were in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a failure and says how long to wait.
    pub(crate) fn fail(&mut self, dice: &mut Dice) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let wait = self.base.saturating_mul(factor).min(self.max);
        dice.scale(wait, 0.75, 1.0)
    }

    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_lie_between_three_quarters_and_all_of_the_doubled_wait() {
        let mut backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(300));
        let mut dice = Dice::new(1);

        for expected in [
            1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0,
        ] {
            let wait = backoff.fail(&mut dice).as_secs_f64();
            assert!(
                (expected * 0.75..=expected).contains(&wait),
                "{wait} for {expected}"
            );
        }
    }

    #[test]
    fn agents_that_fail_together_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<Duration> = (0..100)
            .map(|seed| Backoff::request().fail(&mut Dice::new(seed * 7919)))
            .collect();

        assert!(waits.len() > 90, "{waits:?}");
    }

    #[test]
    fn a_success_starts_anew() {
        let mut backoff = Backoff::request();
        let mut dice = Dice::new(1);
        backoff.fail(&mut dice);
        backoff.fail(&mut dice);

        backoff.succeed();

        assert!(backoff.fail(&mut dice) <= Duration::from_millis(250));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::request();
        let mut dice = Dice::new(1);

        for _ in 0..100 {
            backoff.fail(&mut dice);
        }

        assert!(backoff.fail(&mut dice) <= Duration::from_secs(60));
    }
}
