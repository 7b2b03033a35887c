//! How far this machine's clock is from the API server's, by the `Date` of its answers.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};

/// What the last answer told.
#[derive(Debug, Default)]
pub(crate) struct ClockSkew {
    /// How far this clock is ahead.
    milliseconds: AtomicI64,
}

/// A clock that is further off starts nothing: every decision here is about the time.
const TOLERATED: SignedDuration = SignedDuration::from_secs(60);

/// `Date` counts whole seconds: it is half a second older than the answer, give or take as much.
const CUT_OFF: SignedDuration = SignedDuration::from_millis(500);

impl ClockSkew {
    /// Takes in an answer that was received now.
    pub(crate) fn take(&self, headers: &HeaderMap, now: Timestamp) {
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok())
        else {
            return;
        };
        let ahead = now.duration_since(date).saturating_sub(CUT_OFF);
        let milliseconds = i64::try_from(ahead.as_millis()).unwrap_or_default();
        self.milliseconds.store(milliseconds, Ordering::Relaxed);
    }

    /// What is wrong with this clock, in a sentence, where it is too far off.
    pub(crate) fn problem(&self) -> Option<String> {
        let ahead = self.ahead();
        // To the minute: what is said is not to change all the time.
        let minutes = ahead.abs().as_mins();
        let side = if ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        (ahead.abs() > TOLERATED).then(|| {
            format!(
                "the clock of the operator's machine is {minutes} min {side} the API server's: no run starts until they agree"
            )
        })
    }

    /// How far this clock is ahead of the API server's; negative where it is behind.
    pub(crate) fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tells_a_clock_that_is_wrong_from_one_that_is_right() {
        let skew = |date: &'static str, now: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, HeaderValue::from_static(date));
            let skew = ClockSkew::default();
            skew.take(&headers, now.parse().unwrap());
            skew.ahead().as_millis()
        };
        let date = "Tue, 24 Nov 2026 10:00:00 GMT";

        assert_eq!(skew(date, "2026-11-24T10:00:00.500Z"), 0);
        assert_eq!(skew(date, "2026-11-24T11:00:00.500Z"), 3_600_000);
        assert_eq!(skew(date, "2026-11-24T09:00:00.500Z"), -3_600_000);
        assert_eq!(skew("soon", "2026-11-24T09:00:00Z"), 0);
    }

    #[test]
    fn names_a_clock_that_is_more_than_a_minute_off() {
        let problem = |milliseconds| {
            let skew = ClockSkew::default();
            skew.milliseconds.store(milliseconds, Ordering::Relaxed);
            skew.problem().unwrap_or_default()
        };

        assert_eq!((problem(60_000), problem(-60_000)), Default::default());
        assert!(problem(3_600_000).contains("60 min ahead of"));
        assert!(problem(-61_000).contains("1 min behind"));
    }
}
