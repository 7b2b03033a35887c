//! Any text is a schedule or none; the tick after the one before it is no earlier, in every zone that a text can name.

#![no_main]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use planescape_operator_core::api::v1alpha1::DstPolicy;
use planescape_operator_core::schedule::{Schedule, zone};

fuzz_target!(|input: (&str, &str, i32)| {
    let (text, name, second) = input;
    let zone = zone(name).unwrap_or(TimeZone::UTC);
    let now = Timestamp::from_second(second.into()).expect("it is within jiff's range");
    for dst in [DstPolicy::Kubernetes, DstPolicy::OncePerOccurrence] {
        let Ok(schedule) = Schedule::parse(text, zone.clone(), dst) else {
            continue;
        };
        let next = schedule.next(now, now);
        assert!(next.is_none_or(|next| next > now), "{text:?} {name:?} {now}");
        let previous = schedule.previous(now, now);
        assert!(previous.is_none_or(|it| it <= now), "{text:?} {name:?} {now}");
    }
});
