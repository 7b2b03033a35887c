//! Which runs have a task: no events of the watch give one Job two.

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
    standing: Standing,
}

/// How far a task has come.
enum Standing {
    /// Its Job is there.
    Tending,
    /// Its Job was gone, or had lost our label, and it ends what it holds. `next` bears our label again, and waits for that.
    Ending { next: Option<Box<Run>> },
    /// It has heard of the end of its Job before the watch has shown it, which may still show an older one.
    Ended,
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
                let runs = &mut self.runs;
                runs.retain(|uid, entry| listed.contains(uid) || entry.lose());
                None
            }
            Event::Apply(job) => self.show(&job),
            Event::Delete(job) => {
                if let Some(uid) = job.uid() {
                    let is_kept = self.runs.get_mut(&uid).is_none_or(Entry::lose);
                    if !is_kept {
                        self.runs.remove(&uid);
                    }
                }
                None
            }
        }
    }

    /// A Job that is held has lost our label before this program saw it.
    pub(super) fn lost(&mut self, job: &Job) -> Option<Begun> {
        let uid = job.uid()?;
        if self.runs.contains_key(&uid) {
            return None;
        }
        let begun = self.begin(of(job)?);
        self.runs.get_mut(&uid)?.lose();
        Some(begun)
    }

    /// A task has ended. The run that has waited for that gets one now.
    pub(super) fn ended(&mut self, uid: &str) -> Option<Begun> {
        let mut entry = self.runs.remove(uid)?;
        if let Standing::Ending { next } = entry.standing {
            return next.map(|run| self.begin(*run));
        }
        entry.standing = Standing::Ended;
        self.runs.insert(uid.to_owned(), entry);
        None
    }

    fn show(&mut self, job: &Job) -> Option<Begun> {
        let entry = job.uid().and_then(|uid| self.runs.get_mut(&uid));
        let Some(entry) = entry else {
            return of(job).map(|run| self.begin(run));
        };
        match &mut entry.standing {
            Standing::Tending => entry.seen.send_modify(|seen| {
                if let Seen::There(run) = seen {
                    **run = run.again(job);
                }
            }),
            Standing::Ending { next } => *next = of(job).map(Box::new),
            Standing::Ended => {}
        }
        None
    }

    fn begin(&mut self, run: Run) -> Begun {
        let (sender, seen) = watch::channel(Seen::There(Box::new(run.clone())));
        let entry = Entry {
            seen: sender,
            standing: Standing::Tending,
        };
        self.runs.insert(run.uid.clone(), entry);
        Begun { run, seen }
    }
}

impl Entry {
    /// The watch shows its Job no more; whether there is a task yet.
    fn lose(&mut self) -> bool {
        match self.standing {
            Standing::Tending => {
                self.seen.send_replace(Seen::Gone);
            }
            Standing::Ending { .. } => {}
            Standing::Ended => return false,
        }
        self.standing = Standing::Ending { next: None };
        true
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

    /// Two tasks would work on one record: the second would revoke a new token of the first.
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

    /// The API server has said that it is gone.
    #[test]
    fn an_older_job_that_the_watch_shows_late_gets_no_other_task() {
        let mut tended = Tended::default();
        tended.take(Event::Apply(job("j")));

        assert!(tended.ended("j").is_none());
        assert!(tended.take(Event::Apply(job("j"))).is_none());
        tended.take(Event::Delete(job("j")));

        assert!(tended.runs.is_empty());
    }

    #[test]
    fn a_job_that_lost_the_label_before_this_program_began_is_ended_like_one_that_is_gone() {
        let mut tended = Tended::default();

        let begun = tended.lost(&job("j")).unwrap();

        assert!(matches!(*begun.seen.borrow(), Seen::Gone));
        assert!(begun.seen.has_changed().unwrap(), "its task hears of it");
        assert!(tended.lost(&job("j")).is_none(), "it has one");
        assert!(tended.take(Event::Apply(job("j"))).is_none());
        assert!(tended.ended("j").is_some(), "it bears the label again");
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
