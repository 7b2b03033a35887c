//! The names of a run: the same input gives the same names, so that a run cannot start twice.

use jiff::Timestamp;

/// The text before the digits of a rerun in its label.
const RERUN: &str = "-rerun-";

/// The name and the label value of a run by hand.
pub(super) fn of_rerun(name: &str, uid: &str, id: &str) -> (String, String) {
    (format!("{name}-{id}"), format!("{uid}{RERUN}{id}"))
}

/// The digits of a run by hand, by its label value.
pub fn rerun_of(run_uid: &str) -> Option<&str> {
    run_uid.rsplit_once(RERUN).map(|(_, id)| id)
}

/// `<name>-<minutes since 1970>` for a scheduled run, `<name>-<digits>` for a one-time one. An instant within
/// a minute, as `@every` has them, is named by its second: after an edit a minute may have two.
pub(super) fn job_name(name: &str, uid: &str, tick: Timestamp, is_once: bool) -> String {
    let seconds = tick.as_second();
    if is_once {
        format!("{name}-{}", digits(uid))
    } else if seconds.rem_euclid(60) == 0 {
        format!("{name}-{}", seconds / 60)
    } else {
        format!("{name}-{seconds}")
    }
}

/// A label value that no other run of any PlanescapeJob ever has.
pub(super) fn run_uid(uid: &str, tick: Timestamp, is_once: bool) -> String {
    if is_once {
        return format!("{uid}-once");
    }
    format!("{uid}-{}", tick.as_second())
}

/// Ten digits that depend on every byte of the text.
pub(super) fn digits(text: &str) -> u64 {
    1_000_000_000 + fnv(text) % 9_000_000_000
}

/// 64-bit FNV-1a: the same number for the same text.
pub fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_scheduled_run_by_its_minute() {
        let tick = "2026-11-24T02:00:00Z".parse().unwrap();

        assert_eq!(job_name("my-job", "u", tick, false), "my-job-29924760");
    }

    #[test]
    fn two_instants_of_one_minute_have_two_names() {
        let name = |tick: &str| job_name("my-job", "u", tick.parse().unwrap(), false);

        let names = [
            "2026-11-24T02:00:00Z",
            "2026-11-24T02:00:20Z",
            "2026-11-24T02:00:21Z",
        ]
        .map(name);

        assert_eq!(
            names,
            ["my-job-29924760", "my-job-1795485620", "my-job-1795485621"]
        );
    }

    #[test]
    fn names_a_one_time_run_by_the_resource() {
        let tick = Timestamp::UNIX_EPOCH;
        let first = job_name("my-job", "0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f0001", tick, true);
        let second = job_name("my-job", "0f6a0bbd-6d7e-4c4e-9df5-4c6f2f3f0002", tick, true);

        assert_ne!(first, second);
        for name in [first, second] {
            let digits = name.strip_prefix("my-job-").unwrap();
            assert_eq!(digits.len(), 10);
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
