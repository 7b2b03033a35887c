//! A share of a time.

use std::time::Duration;

/// Above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Nine tenths: of a lease that cannot be renewed, unless the configuration says otherwise.
    pub const DEFAULT: Self = Self(0.9);

    /// `None` outside the range.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// So much of a time.
    #[must_use]
    pub fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }

    /// The shares `distance` below and above; `None` if one of them would leave the range.
    #[must_use]
    pub fn around(self, distance: f64) -> Option<(f64, f64)> {
        let (low, high) = (self.0 - distance, self.0 + distance);
        (low > 0.0 && high < 1.0).then_some((low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_more_than_nothing_and_no_more_than_all() {
        for wrong in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::new(wrong), None, "{wrong}");
        }
        let all = Share::new(1.0).unwrap();
        assert_eq!(all.of(Duration::from_secs(60)), Duration::from_secs(60));
        assert_eq!(all.around(0.05), None);
        assert_eq!(Share::new(0.05).unwrap().around(0.05), None);
        assert_eq!(Share::new(0.75).unwrap().around(0.25), None);
        let (low, high) = Share::new(0.5).unwrap().around(0.25).unwrap();
        assert_eq!((low, high), (0.25, 0.75));
    }
}
