//! Chance, from a seed that the shell gives.

use std::time::Duration;

/// A small generator (xorshift), good enough to keep a thousand agents from acting in step.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Evenly between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The duration times a factor, evenly between `low` and `high`.
    pub(crate) fn scale(&mut self, duration: Duration, low: f64, high: f64) -> Duration {
        duration.mul_f64(low + self.share() * (high - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of Marsaglia's xorshift64 with 13, 7 and 17.
    #[test]
    fn is_the_generator_that_it_says() {
        let mut dice = Dice::new(1);

        let shares: Vec<u64> = (0..3)
            .map(|_| (dice.share() * (1_u64 << 53) as f64) as u64)
            .collect();

        assert_eq!(
            shares,
            [528_452, 562_984_862_711_842, 5_457_771_808_805_060]
        );
    }

    #[test]
    fn stays_between_the_bounds_and_moves() {
        let mut dice = Dice::new(7);

        let rolls: Vec<_> = (0..1000)
            .map(|_| dice.scale(Duration::from_secs(100), 0.5, 1.0))
            .collect();

        assert!(rolls.iter().all(|d| (50..=100).contains(&d.as_secs())));
        assert!(rolls.iter().any(|d| d.as_secs() < 60));
        assert!(rolls.iter().any(|d| d.as_secs() > 90));
    }
}
