//! Ticks found by looking at the clock each minute: slow, and simple enough to be believed.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use planescape_operator_core::api::v1alpha1::DstPolicy;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The longest gap whose readings are made up for.
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(6);

/// How robfig marks a field that says "any".
const ANY: u64 = 1 << 63;

/// The fields of a schedule as robfig read them.
pub(crate) struct Fields<'a>(pub(crate) &'a [u64]);

impl Fields<'_> {
    fn fit(&self, reading: DateTime) -> bool {
        let &[minutes, hours, days, months, weekdays] = self.0 else {
            panic!("{:?}", self.0);
        };
        let has = |field: u64, value: i8| field & (1 << value) != 0;
        let weekday = reading.date().weekday().to_sunday_zero_offset();
        let (day, weekday) = (has(days, reading.day()), has(weekdays, weekday));
        let is_on = if days & ANY != 0 || weekdays & ANY != 0 {
            day && weekday
        } else {
            day || weekday
        };
        is_on
            && has(minutes, reading.minute())
            && has(hours, reading.hour())
            && has(months, reading.month())
    }

    /// The ticks after one instant and up to another, which both begin a minute.
    pub(crate) fn ticks(
        &self,
        zone: &TimeZone,
        dst: DstPolicy,
        (after, until): (Timestamp, Timestamp),
    ) -> Vec<Timestamp> {
        let follows_elapsed_time = dst == DstPolicy::Kubernetes || self.0[1] & ANY != 0;
        let mut ticks = Vec::new();
        let mut instant = after - LONGEST_GAP;
        // The reading of a clock that nobody has turned.
        let mut due = zone.to_datetime(instant);
        while instant <= until {
            let reading = zone.to_datetime(instant);
            let is_due = if follows_elapsed_time {
                self.fit(reading)
            } else {
                let is_short = reading.duration_since(due) <= LONGEST_GAP;
                let mut is_due = false;
                while due <= reading {
                    is_due |= (due == reading || is_short) && self.fit(due);
                    due = due.checked_add(MINUTE).unwrap();
                }
                is_due
            };
            if is_due && instant > after {
                ticks.push(instant);
            }
            instant += MINUTE;
        }
        ticks
    }
}
