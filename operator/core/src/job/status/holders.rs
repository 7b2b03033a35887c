//! Which pods of a run hold a lease, or have left one that may live. A pod that goes takes its word with it: what it
//! held is remembered until that is known to be revoked.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::vault::{Fate, fate_of_pod, has_no_lease, is_revoked, left_by};
use crate::api::v1alpha1::{Holder, HolderVault, Lease, Run};
use crate::credentials::left::Place;
use crate::job::observed::{ObservedJob, ObservedPod, may_live};

/// So many pods of a run are remembered.
const MOST: usize = 200;

/// And so many of all runs together.
const MOST_OF_ALL: usize = 1_000;

/// Stands for all pods beyond these. No pod of that name is ever seen, so that nothing is claimed of them.
const MORE: &str = "...";

/// The lease of each agent of a run, as far as the agent has told, with those that `recorded` remembers.
pub(super) fn of(job: &ObservedJob, recorded: &[Holder]) -> Vec<Holder> {
    let known = |pod: &ObservedPod| recorded.iter().find(|known| known.uid == pod.uid);
    let seen = job
        .pods
        .iter()
        .filter_map(|pod| of_pod(job, pod, known(pod)));
    let is_seen = |known: &Holder| job.pods.iter().any(|pod| pod.uid == known.uid);
    let gone = recorded.iter().filter(|known| !is_seen(known));
    seen.chain(gone.map(|known| lost(job, known))).collect()
}

/// The holders whose tokens may live, for the status: they are not known to be revoked.
pub(super) fn unsettled(mut all: Vec<Holder>) -> Vec<Holder> {
    all.retain(|holder| !matches!(holder.lease, Lease::Revoked | Lease::RevokedByOperator));
    // Holders about which somebody can still do something come first.
    all.sort_by(|a, b| {
        let key = |holder: &Holder| (holder.lease == Lease::Held, holder.accessors.is_empty());
        (key(a), &a.pod).cmp(&(key(b), &b.pod))
    });
    cut(&mut all, MOST);
    all
}

/// An object of Kubernetes holds a megabyte, and a holder takes a few hundred bytes: those whose tokens somebody can
/// still revoke come first, and of many runs at once the younger.
pub(super) fn limit(runs: &mut [Run]) {
    let mut room = MOST_OF_ALL;
    let mut kept = |wanted: usize| {
        let kept = wanted.min(room);
        room -= kept;
        kept
    };
    let can_revoke = |holder: &&Holder| !holder.accessors.is_empty();
    let urgent: Vec<usize> = runs
        .iter()
        .map(|run| kept(run.holders.iter().filter(can_revoke).count()))
        .collect();
    for (run, urgent) in runs.iter_mut().zip(urgent) {
        let others = kept(run.holders.len() - urgent);
        cut(&mut run.holders, urgent + others);
    }
}

fn cut(all: &mut Vec<Holder>, most: usize) {
    if all.len() <= most {
        return;
    }
    all.truncate(most);
    all.retain(|holder| holder.pod != MORE);
    all.push(Holder {
        pod: MORE.to_owned(),
        uid: String::new(),
        lease: Lease::Unknown,
        until: None,
        accessors: Vec::new(),
        vault: None,
    });
}

fn of_pod(job: &ObservedJob, pod: &ObservedPod, known: Option<&Holder>) -> Option<Holder> {
    if let Some(fate) = fate_of_pod(job, pod) {
        let accessors = left_by(job, pod);
        let agent = pod.agent.as_ref().filter(|_| !accessors.is_empty());
        let place = agent.and_then(|agent| agent.place.clone());
        return Some(Holder {
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            lease: fate.lease?,
            until: fate.until.map(Time),
            accessors,
            vault: place.map(HolderVault::from),
        });
    }
    let agent = pod.agent.as_ref();
    let report = agent.and_then(|agent| agent.report.as_ref());
    let left = report.filter(|report| may_live(report));
    if agent.is_some_and(|agent| !agent.is_restarted) && report.is_some() && left.is_none() {
        // Its last word leaves nothing.
        return None;
    }
    // An agent that was killed before it was seen at work leaves a token to its next life.
    let killed = left.map(|_| Holder {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        lease: Lease::Held,
        until: None,
        accessors: Vec::new(),
        vault: None,
    });
    let holder = known.cloned().or(killed)?;
    Some(if pod.is_over {
        lost(job, &holder)
    } else {
        holder
    })
}

/// The holder of a pod that will not be heard of again.
fn lost(job: &ObservedJob, known: &Holder) -> Holder {
    let mut holder = known.clone();
    holder
        .accessors
        .retain(|accessor| !is_revoked(job, std::slice::from_ref(accessor)));
    if has_no_lease(job, &known.uid) {
        (holder.lease, holder.until) = (Lease::Revoked, None);
    } else if is_revoked(job, &known.accessors) {
        (holder.lease, holder.until) = (Lease::RevokedByOperator, None);
    } else if holder.lease == Lease::Held {
        holder.lease = Lease::Unknown;
    }
    holder
}

impl From<Place> for HolderVault {
    fn from(Place { address, namespace }: Place) -> Self {
        Self { address, namespace }
    }
}

impl Holder {
    pub(super) fn fate(&self) -> Fate {
        Fate {
            lease: Some(self.lease),
            until: self.until.as_ref().map(|time| time.0),
        }
    }
}

#[cfg(test)]
mod histories;
