//! Moments in order, with their distance from the first.

use k8s_openapi::jiff::Timestamp;

pub(super) struct Timeline {
    start: Timestamp,
    moments: Vec<(Timestamp, String)>,
}

impl Timeline {
    pub(super) fn new(start: Timestamp) -> Self {
        Self {
            start,
            moments: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, at: Timestamp, what: String) {
        self.moments.push((at, what));
    }

    pub(super) fn print(mut self) {
        self.moments.sort_by_key(|(at, _)| *at);
        for (at, what) in &self.moments {
            let after = at.duration_since(self.start).as_millis();
            eprintln!("{after:>7} ms  {what}");
        }
    }
}
