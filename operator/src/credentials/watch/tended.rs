//! Which runs have a task: never two for one Job, whatever the watch shows.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use planescape_operator_core::credentials::run::Run;
use tokio::sync::watch;
use tracing::warn;

use crate::credentials::task::Seen;

/// The runs that have a task, by the UID of their Job.
#[derive(Default)]
pub(super) struct Tended {
    runs: HashMap<String, Entry>,
    listed: HashSet<String>,
}

/// A task, as the watch knows it.
struct Entry {
    seen: watch::Sender<Seen>,
    /// Whether its Job was gone, or had lost our label: then it only ends what it holds.
    is_ending: bool,
    /// The Job that bears our label again, and waits for that end.
    next: Option<Run>,
}

/// A run that is to get a task.
pub(super) struct Begun {
    pub(super) run: Run,
    pub(super) seen: watch::Receiver<Seen>,
}

impl Tended {
    /// Tells the tasks what the watch shows, and says for which run there is to be one more.
    pub(super) fn take(&mut self, event: Event<Job>) -> Option<Begun> {
        match event {
            Event::Init => {
                self.listed.clear();
                None
            }
            Event::InitApply(job) => {
                self.listed.extend(job.uid());
                self.show(&job)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                for (uid, entry) in &mut self.runs {
                    if !listed.contains(uid) {
                        entry.lose();
                    }
                }
                None
            }
            Event::Apply(job) => self.show(&job),
            Event::Delete(job) => {
                let entry = job.uid().and_then(|uid| self.runs.get_mut(&uid));
                if let Some(entry) = entry {
                    entry.lose();
                }
                None
            }
        }
    }

    /// A task has ended. The run that has waited for that gets one now.
    pub(super) fn ended(&mut self, uid: &str) -> Option<Begun> {
        let entry = self.runs.remove(uid)?;
        entry.next.map(|run| self.begin(run))
    }

    fn show(&mut self, job: &Job) -> Option<Begun> {
        let entry = job.uid().and_then(|uid| self.runs.get_mut(&uid));
        match entry {
            Some(entry) if entry.is_ending => {
                entry.next = of(job);
                None
            }
            Some(entry) => {
                entry.seen.send_modify(|seen| {
                    if let Seen::There(run) = seen {
                        **run = run.again(job);
                    }
                });
                None
            }
            None => of(job).map(|run| self.begin(run)),
        }
    }

    fn begin(&mut self, run: Run) -> Begun {
        let (sender, seen) = watch::channel(Seen::There(Box::new(run.clone())));
        let entry = Entry {
            seen: sender,
            is_ending: false,
            next: None,
        };
        self.runs.insert(run.uid.clone(), entry);
        Begun { run, seen }
    }
}

impl Entry {
    fn lose(&mut self) {
        self.next = None;
        if !self.is_ending {
            self.is_ending = true;
            self.seen.send_replace(Seen::Gone);
        }
    }
}

fn of(job: &Job) -> Option<Run> {
    let run = Run::of(job);
    if run.is_none() {
        let (namespace, job) = (job.namespace(), job.name_any());
        warn!(
            namespace,
            job, "bears our label and no order of a PlanescapeJob"
        );
    }
    run
}

#[cfg(test)]
mod tests {
    use planescape_operator_core::api::names::ORDER_ANNOTATION;
    use serde_json::json;

    use super::*;

    /// Two would work on one record: what one of them has just got the other one would revoke.
    #[test]
    fn a_job_that_bears_the_label_again_gets_its_next_task_when_the_last_one_has_ended() {
        let mut tended = Tended::default();
        let first = tended.take(Event::Apply(job("j"))).unwrap();
        assert!(tended.take(Event::Apply(job("j"))).is_none());

        assert!(tended.take(Event::Delete(job("j"))).is_none());
        assert!(matches!(*first.seen.borrow(), Seen::Gone));
        assert!(tended.take(Event::Apply(job("j"))).is_none());
        assert!(matches!(*first.seen.borrow(), Seen::Gone));
        let second = tended.ended("j").unwrap();

        assert!(matches!(*second.seen.borrow(), Seen::There(_)));
        assert!(tended.take(Event::Apply(job("j"))).is_none());
        tended.take(Event::Delete(job("j")));
        assert!(tended.ended("j").is_none(), "nobody waits for it");
        assert!(tended.take(Event::Apply(job("j"))).is_some());
    }

    #[test]
    fn a_job_that_is_gone_after_all_gets_no_other_task() {
        let mut tended = Tended::default();
        tended.take(Event::Apply(job("j")));
        tended.take(Event::Apply(job("k")));
        tended.take(Event::Delete(job("j")));
        tended.take(Event::Apply(job("j")));

        tended.take(Event::Init);
        tended.take(Event::InitApply(job("k")));
        tended.take(Event::InitDone);

        assert!(tended.ended("j").is_none());
        assert!(tended.take(Event::Apply(job("k"))).is_none(), "it has one");
    }

    fn job(uid: &str) -> Job {
        let order = json!({
            "address": "http://vault:8200", "authPath": "auth/kubernetes", "role": "r", "secrets": [],
        });
        let job = json!({
            "metadata": {
                "name": "my-job-1", "namespace": "team", "uid": uid,
                "annotations": { ORDER_ANNOTATION: order.to_string() },
                "ownerReferences": [{
                    "apiVersion": "planescape.io/v1alpha1", "kind": "PlanescapeJob",
                    "name": "my-job", "uid": "u", "controller": true,
                }],
            },
            "spec": { "template": { "spec": { "containers": [] } } },
        });
        serde_json::from_value(job).unwrap()
    }
}
