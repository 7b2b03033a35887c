//! How far this machine's clock is from the API server's, by the `Date` of its answers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};

/// The times of the last answers.
#[derive(Debug, Default)]
pub(crate) struct ClockSkew {
    answers: Mutex<VecDeque<Answer>>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    date: Timestamp,
    /// When it came. This clock is never set, so that an older answer still tells what the API server's time is.
    came: Instant,
}

/// One of several API servers may have a wrong clock: the majority of the last answers counts.
const KEPT: usize = 5;

/// A clock that is further off starts nothing: every decision here is about the time.
const TOLERATED: SignedDuration = SignedDuration::from_secs(60);

/// A clock that is further off is told.
const NOTICED: SignedDuration = SignedDuration::from_secs(5);

/// An answer that took longer tells nothing.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// `Date` counts whole seconds: it is half a second older than the answer, give or take as much.
const CUT_OFF: SignedDuration = SignedDuration::from_millis(500);

impl ClockSkew {
    /// Takes in an answer that was received now. An answer that may have waited here to be looked at
    /// tells nothing: the machine was busy or slept.
    pub(crate) fn take(&self, headers: &HeaderMap, asked: Instant, now: Instant) {
        if now.saturating_duration_since(asked) > LONGEST_CALL {
            return;
        }
        let date = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok())
        else {
            return;
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push_back(Answer { date, came: now });
        if answers.len() > KEPT {
            answers.pop_front();
        }
    }

    /// The problem of this clock in a sentence, if it is too far off.
    pub(crate) fn problem(&self) -> Option<String> {
        let ahead = self.ahead();
        // To the minute: what is said is not to change all the time.
        let minutes = ahead.abs().as_mins();
        let side = side(ahead);
        (ahead.abs() > TOLERATED).then(|| {
            format!(
                "the clock of the operator's machine is {minutes} min {side} the API server's: no run starts until they agree"
            )
        })
    }

    /// A warning in a sentence, if this clock is so far off that runs start at the wrong time.
    pub(crate) fn warning(&self) -> Option<String> {
        let ahead = self.ahead();
        let (seconds, side) = (ahead.abs().as_secs(), side(ahead));
        (ahead.abs() > NOTICED).then(|| {
            format!(
                "the clock of the operator's machine is {seconds} s {side} the API server's, and runs start by it: set it right"
            )
        })
    }

    /// How far this clock is ahead of the API server's; negative where it is behind.
    pub(crate) fn ahead(&self) -> SignedDuration {
        self.ahead_at(Timestamp::now(), Instant::now())
    }

    fn ahead_at(&self, now: Timestamp, steady: Instant) -> SignedDuration {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<SignedDuration> = answers
            .iter()
            .map(|answer| {
                let passed = steady.saturating_duration_since(answer.came);
                let passed = SignedDuration::try_from(passed).unwrap_or_default();
                let ahead = now.duration_since(answer.date);
                ahead.saturating_sub(passed).saturating_sub(CUT_OFF)
            })
            .collect();
        all.sort();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

fn side(ahead: SignedDuration) -> &'static str {
    match ahead.is_negative() {
        true => "behind",
        false => "ahead of",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answered(skew: &ClockSkew, date: &'static str, at: Instant) {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, HeaderValue::from_static(date));
        skew.take(&headers, at, at);
    }

    const TEN: &str = "Tue, 24 Nov 2026 10:00:00 GMT";
    const ELEVEN: &str = "Tue, 24 Nov 2026 11:00:00 GMT";

    #[test]
    fn tells_a_clock_that_is_wrong_from_one_that_is_right() {
        let skew = |date: &'static str, now: &str| {
            let skew = ClockSkew::default();
            let at = Instant::now();
            answered(&skew, date, at);
            skew.ahead_at(now.parse().unwrap(), at).as_millis()
        };

        assert_eq!(skew(TEN, "2026-11-24T10:00:00.500Z"), 0);
        assert_eq!(skew(TEN, "2026-11-24T11:00:00.500Z"), 3_600_000);
        assert_eq!(skew(TEN, "2026-11-24T09:00:00.500Z"), -3_600_000);
        assert_eq!(skew("soon", "2026-11-24T09:00:00Z"), 0);
    }

    #[test]
    fn a_clock_that_is_set_is_seen_at_once_and_one_wrong_answer_of_several_is_none() {
        let skew = ClockSkew::default();
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for second in [0, 1, 2] {
            answered(&skew, TEN, at(second));
        }
        answered(&skew, ELEVEN, at(3));
        let seconds = |now: &str, second| skew.ahead_at(now.parse().unwrap(), at(second)).as_secs();

        assert_eq!(seconds("2026-11-24T10:00:03.500Z", 3), 1);
        assert_eq!(seconds("2026-11-24T11:00:10.500Z", 10), 3_601);
        for second in [4, 5] {
            answered(&skew, ELEVEN, at(second));
        }
        assert_eq!(seconds("2026-11-24T10:00:06.500Z", 6), -3_595);
    }

    #[test]
    fn an_answer_that_waited_here_tells_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, HeaderValue::from_static(TEN));
        let skew = ClockSkew::default();
        let asked = Instant::now();

        skew.take(&headers, asked, asked + Duration::from_secs(120));

        assert_eq!(skew.ahead(), SignedDuration::ZERO);
    }

    #[test]
    fn names_a_clock_by_how_far_it_is_off() {
        let said = |ahead: i64| {
            let skew = ClockSkew::default();
            let answer = Answer {
                date: Timestamp::now() - SignedDuration::from_millis(ahead) - CUT_OFF,
                came: Instant::now(),
            };
            skew.answers.lock().unwrap().push_back(answer);
            (skew.problem(), skew.warning())
        };

        assert_eq!(said(4_000), (None, None));
        let (problem, warning) = said(-20_500);
        assert_eq!(problem, None);
        assert!(warning.unwrap().contains("20 s behind"));
        assert!(said(3_601_000).0.unwrap().contains("60 min ahead of"));
        assert!(said(-62_000).0.unwrap().contains("1 min behind"));
    }
}
