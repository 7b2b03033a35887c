//! Which of several operators leads: a record that all of them share names the leader, and the leader renews it.
//!
//! The rules are those of Kubernetes' own controllers. No operator trusts another one's clock: a record
//! is out of date when it has not changed for its whole duration, counted from when it was seen here.
//! The holder counts from before it asked for the record, so that it stops before anybody else starts.

mod timing;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

pub use timing::{Error, Timing};

/// A point in time: how long the machine has been up, including the time it was suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

/// The content of the shared record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The leader; empty when nobody leads.
    pub holder: String,
    /// How long the record holds without a change.
    pub duration: Duration,
    /// Since when this holder leads, by its clock.
    pub acquired: Option<Timestamp>,
    /// When it last wrote the record, by its clock.
    pub renewed: Option<Timestamp>,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this record in place of the one that was seen; the first one where there was none.
    Write(Record),
    /// Nothing before this moment, unless the record changes.
    Wait(Moment),
    /// Stop: somebody else leads, or may lead soon.
    Lost,
}

/// One operator's view of the election.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    seen: Option<Seen>,
    role: Role,
}

#[derive(Clone, Debug)]
struct Seen {
    /// None where there is no record.
    record: Option<Record>,
    since: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Standby,
    Leader {
        /// When the last write that succeeded was sent.
        renewed: Moment,
        /// When the last write was sent.
        tried: Moment,
    },
    Former,
}

impl Moment {
    /// The moment that is this much later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long it is until then; nothing when it has passed.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl Election {
    /// An operator that has seen nothing yet. No two operators share an identity.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            seen: None,
            role: Role::Standby,
        }
    }

    /// Takes in the record as it is, or that there is none.
    pub fn see(&mut self, record: Option<Record>, now: Moment) {
        let is_ours = record.as_ref().is_some_and(|it| it.holder == self.identity);
        if self.is_leading() && !is_ours {
            self.role = Role::Former;
        }
        if self.seen.as_ref().is_none_or(|seen| seen.record != record) {
            self.seen = Some(Seen { record, since: now });
        }
    }

    /// The next step. An operator that has seen nothing waits.
    pub fn next(&self, now: Moment, wall: Timestamp) -> Step {
        match self.role {
            Role::Former => Step::Lost,
            Role::Leader { renewed, tried } => self.keep(renewed, tried, now, wall),
            Role::Standby => self.claim(now, wall),
        }
    }

    fn keep(&self, renewed: Moment, tried: Moment, now: Moment, wall: Timestamp) -> Step {
        if now >= renewed.after(self.timing.renew_deadline) {
            return Step::Lost;
        }
        let due = tried.after(self.timing.retry_period);
        if now < due {
            return Step::Wait(due);
        }
        Step::Write(self.record(wall))
    }

    fn claim(&self, now: Moment, wall: Timestamp) -> Step {
        let Some(seen) = &self.seen else {
            return Step::Wait(now.after(self.timing.retry_period));
        };
        let open = match &seen.record {
            // An earlier claim may have succeeded unseen.
            Some(record) if record.holder.is_empty() || record.holder == self.identity => now,
            Some(record) => seen.since.after(record.duration),
            None => now,
        };
        if now < open {
            return Step::Wait(open);
        }
        Step::Write(self.record(wall))
    }

    fn record(&self, wall: Timestamp) -> Record {
        let before = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        let own = before.filter(|before| before.holder == self.identity);
        let changes = before.map_or(0, |before| before.transitions);
        Record {
            holder: self.identity.clone(),
            duration: self.timing.lease_duration,
            acquired: own.map_or(Some(wall), |own| own.acquired),
            renewed: Some(wall),
            transitions: match (before, own) {
                (Some(_), None) => changes.saturating_add(1),
                (None, _) | (Some(_), Some(_)) => changes,
            },
        }
    }

    /// Takes in that a record was written which was sent at this moment.
    pub fn wrote(&mut self, record: Record, sent: Moment) {
        if self.role == Role::Former {
            return;
        }
        self.seen = Some(Seen {
            record: Some(record),
            since: sent,
        });
        self.role = Role::Leader {
            renewed: sent,
            tried: sent,
        };
    }

    /// Takes in that a write which was sent at this moment failed, or was not answered.
    pub fn failed(&mut self, sent: Moment) {
        if let Role::Leader { tried, .. } = &mut self.role {
            *tried = sent;
        }
    }

    /// Whether this operator leads.
    pub fn is_leading(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Until when it may write to the cluster, unless the record is renewed before; none while it
    /// does not lead. No other operator leads before that and the margin have passed.
    pub fn may_write_until(&self) -> Option<Moment> {
        match self.role {
            Role::Leader { renewed, .. } => Some(renewed.after(self.timing.fence())),
            Role::Standby | Role::Former => None,
        }
    }

    /// The record that lets somebody else lead at once; none unless this operator leads.
    pub fn resign(&self, wall: Timestamp) -> Option<Record> {
        self.is_leading().then(|| Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            renewed: Some(wall),
            ..self.record(wall)
        })
    }
}

impl Record {
    /// As a Lease says it. A Lease without a duration that makes sense holds for `usual`, none longer than an hour.
    pub fn of(lease: &LeaseSpec, usual: Duration) -> Self {
        let seconds = lease.lease_duration_seconds.unwrap_or_default();
        let duration = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
        Self {
            holder: lease.holder_identity.clone().unwrap_or_default(),
            duration: duration
                .map_or(usual, Duration::from_secs)
                .min(timing::LONGEST),
            acquired: lease.acquire_time.as_ref().map(|time| time.0),
            renewed: lease.renew_time.as_ref().map(|time| time.0),
            transitions: lease.lease_transitions.unwrap_or_default(),
        }
    }

    /// Writes it over what a Lease says.
    pub fn write_to(&self, lease: &mut LeaseSpec) {
        lease.holder_identity = Some(self.holder.clone());
        lease.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        lease.acquire_time = self.acquired.map(MicroTime);
        lease.renew_time = self.renewed.map(MicroTime);
        lease.lease_transitions = Some(self.transitions);
    }
}

#[cfg(test)]
mod tests;
