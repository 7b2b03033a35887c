//! Watches the Jobs that carry an order, and keeps a task for each.

mod lost;
mod tended;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use planescape_operator_core::api::names::CREDENTIALS_LABEL;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Program;
use super::task::tend;
use crate::cluster::client::scoped;
use crate::words;
use tended::{Begun, Tended};

/// How long steps that have begun may go on after a signal to end.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// The tasks of the runs that exist; each says in the end whose it was.
struct Tasks<'a> {
    program: &'a Arc<Program>,
    shutdown: &'a CancellationToken,
    tended: Tended,
    running: JoinSet<String>,
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
    let mut lost = std::pin::pin!(stream::once(lost::find(program, scope)));
    let mut has_listed = false;
    let mut tasks = Tasks {
        program,
        shutdown,
        tended: Tended::default(),
        running: JoinSet::new(),
    };
    info!("ready");
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.running.join_next() => {
                let uid = ended.expect("a run's task does not panic");
                let next = tasks.tended.ended(&uid);
                tasks.begin(next);
            }
            event = events.next() => match event {
                Some(Ok(event)) => {
                    has_listed |= matches!(event, Event::InitDone);
                    let begun = tasks.tended.take(event);
                    tasks.begin(begun);
                }
                Some(Err(error)) => warn!("the watch failed: {}", words::of_watch(&error)),
                None => anyhow::bail!("the watch ended"),
            },
            // Later than the list of the watch: of a Job that has lost the label since then, the watch tells.
            Some(jobs) = lost.next(), if has_listed => {
                for job in jobs {
                    let begun = tasks.tended.lost(&job);
                    tasks.begin(begun);
                }
            }
        }
    }
    let drained = async { while tasks.running.join_next().await.is_some() {} };
    if tokio::time::timeout(LONGEST_DRAIN, drained).await.is_err() {
        warn!("ends before everything that it had begun");
    }
    Ok(())
}

impl Tasks<'_> {
    fn begin(&mut self, begun: Option<Begun>) {
        let Some(Begun { run, seen }) = begun else {
            return;
        };
        let uid = run.uid.clone();
        let work = tend(self.program.clone(), run, seen, self.shutdown.clone());
        self.running.spawn(async move {
            work.await;
            uid
        });
    }
}
