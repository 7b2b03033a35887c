//! How long to wait after the n-th failure in a row.

use std::time::Duration;

use crate::dice::Dice;

/// Doubles from `base` up to `max`; a success starts it anew.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    /// The share that chance may take off.
    trim: f64,
    failures: u32,
}

impl Backoff {
    /// After a failed login: up to a quarter less than the doubled wait, as in `vault agent`.
    pub(crate) fn login(min: Duration, max: Duration) -> Self {
        Self {
            base: min,
            max,
            trim: 0.25,
            failures: 0,
        }
    }

    /// After a failed request: 250 ms doubling to one minute.
    pub(crate) fn request() -> Self {
        Self::request_between(Duration::from_millis(250), Duration::from_secs(60))
    }

    /// After a failed request, with the limits of the configuration.
    pub(crate) fn request_between(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            trim: 0.0,
            failures: 0,
        }
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
        dice.scale(wait, 1.0 - self.trim, 1.0)
    }

    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_request_retries_wait_for_five_minutes_in_all() {
        let mut backoff = Backoff::request();
        let mut dice = Dice::new(1);

        let waits: Vec<_> = (0..12).map(|_| backoff.fail(&mut dice)).collect();

        assert_eq!(waits[0], Duration::from_millis(250));
        assert_eq!(waits[7], Duration::from_secs(32));
        assert_eq!(waits[8], Duration::from_secs(60));
        assert_eq!(
            waits.iter().sum::<Duration>(),
            Duration::from_millis(303_750)
        );
    }

    #[test]
    fn login_waits_lie_between_three_quarters_and_all_of_the_doubled_wait() {
        let mut backoff = Backoff::login(Duration::from_secs(1), Duration::from_secs(300));
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
    fn a_success_starts_anew() {
        let mut backoff = Backoff::request();
        let mut dice = Dice::new(1);
        backoff.fail(&mut dice);
        backoff.fail(&mut dice);

        backoff.succeed();

        assert_eq!(backoff.fail(&mut dice), Duration::from_millis(250));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::request();
        let mut dice = Dice::new(1);

        for _ in 0..100 {
            backoff.fail(&mut dice);
        }

        assert_eq!(backoff.fail(&mut dice), Duration::from_secs(60));
    }
}
