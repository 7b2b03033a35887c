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

/// An answer that took longer tells nothing.
const LONGEST_CALL: SignedDuration = SignedDuration::from_secs(5);

/// `Date` counts whole seconds: it is half a second older than the answer, give or take as much.
const CUT_OFF: SignedDuration = SignedDuration::from_millis(500);

impl ClockSkew {
    /// Takes in an answer that was received now. One that may have waited here for somebody to look at it
    /// tells nothing: the machine was busy or slept.
    pub(crate) fn take(&self, headers: &HeaderMap, asked: Timestamp, now: Timestamp) {
        let took = now.duration_since(asked);
        if took.is_negative() || took > LONGEST_CALL {
            return;
        }
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
            let now = now.parse().unwrap();
            skew.take(&headers, now, now);
            skew.ahead().as_millis()
        };
        let date = "Tue, 24 Nov 2026 10:00:00 GMT";

        assert_eq!(skew(date, "2026-11-24T10:00:00.500Z"), 0);
        assert_eq!(skew(date, "2026-11-24T11:00:00.500Z"), 3_600_000);
        assert_eq!(skew(date, "2026-11-24T09:00:00.500Z"), -3_600_000);
        assert_eq!(skew("soon", "2026-11-24T09:00:00Z"), 0);
    }

    #[test]
    fn an_answer_that_waited_here_tells_nothing() {
        let mut headers = HeaderMap::new();
        let date = HeaderValue::from_static("Tue, 24 Nov 2026 10:00:00 GMT");
        headers.insert(header::DATE, date);
        let skew = ClockSkew::default();
        let asked = "2026-11-24T10:00:00Z".parse().unwrap();
        let now = "2026-11-24T10:02:00Z".parse().unwrap();

        skew.take(&headers, asked, now);

        assert_eq!(skew.ahead(), SignedDuration::ZERO);
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
