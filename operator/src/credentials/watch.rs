//! Watches the Jobs that carry an order, and keeps a task for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use planescape_operator_core::api::names::CREDENTIALS_LABEL;
use planescape_operator_core::credentials::run::Run;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Program;
use super::task::{Seen, tend};
use crate::cluster::client::scoped;

/// How long steps that have begun may go on after a signal to end.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// The tasks of the runs that exist, by the UID of their Job.
struct Tasks<'a> {
    program: &'a Arc<Program>,
    shutdown: &'a CancellationToken,
    seen: HashMap<String, watch::Sender<Seen>>,
    running: JoinSet<()>,
    listed: HashSet<String>,
}

/// Tends every run until the shutdown.
pub(super) async fn run(
    program: &Arc<Program>,
    scope: Option<&str>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let client = program.clients.for_watches();
    let api: Api<Job> = scoped(client, scope);
    let ours = watcher::Config::default().labels(&format!("{CREDENTIALS_LABEL}=true"));
    let mut events = std::pin::pin!(watcher(api, ours).default_backoff());
    let mut tasks = Tasks {
        program,
        shutdown,
        seen: HashMap::new(),
        running: JoinSet::new(),
        listed: HashSet::new(),
    };
    info!("ready");
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.running.join_next() => ended.expect("a run's task does not panic"),
            event = events.next() => match event {
                Some(Ok(event)) => tasks.take(event),
                Some(Err(error)) => warn!("the watch failed: {error}"),
                None => anyhow::bail!("the watch ended"),
            },
        }
    }
    let drained = async { while tasks.running.join_next().await.is_some() {} };
    if tokio::time::timeout(LONGEST_DRAIN, drained).await.is_err() {
        warn!("ends before everything that it had begun");
    }
    Ok(())
}

impl Tasks<'_> {
    fn take(&mut self, event: Event<Job>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(job) => {
                self.listed.extend(job.uid());
                self.show(&job);
            }
            Event::InitDone => {
                let listed = &self.listed;
                self.seen.retain(|uid, seen| {
                    let is_there = listed.contains(uid);
                    if !is_there {
                        seen.send_replace(Seen::Gone);
                    }
                    is_there
                });
            }
            Event::Apply(job) => self.show(&job),
            Event::Delete(job) => {
                let seen = job.uid().and_then(|uid| self.seen.remove(&uid));
                if let Some(seen) = seen {
                    seen.send_replace(Seen::Gone);
                }
            }
        }
    }

    fn show(&mut self, job: &Job) {
        let known = job.uid().and_then(|uid| self.seen.get(&uid));
        if let Some(seen) = known {
            seen.send_modify(|seen| {
                if let Seen::There(run) = seen {
                    **run = run.again(job);
                }
            });
            return;
        }
        let Some(run) = Run::of(job) else {
            let (namespace, job) = (job.namespace(), job.name_any());
            warn!(
                namespace,
                job, "bears our label and no order of a PlanescapeJob"
            );
            return;
        };
        let uid = run.uid.clone();
        let (sender, receiver) = watch::channel(Seen::There(Box::new(run.clone())));
        self.seen.insert(uid, sender);
        let (program, shutdown) = (self.program.clone(), self.shutdown.clone());
        self.running.spawn(tend(program, run, receiver, shutdown));
    }
}
