//! Revokes the tokens of agents that were killed, or that could not revoke them themselves; and looks whether leases
//! went with the tokens that agents have revoked.
//!
//! Two sources: the pods, which show an agent's last word as soon as its container has ended; and the status of
//! PlanescapeJobs, which remembers the last words of pods that were gone before this program saw them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use planescape_agent_contract::digest;
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::JOB_LABEL;
use planescape_operator_core::api::v1alpha1::HolderVault;
use planescape_operator_core::credentials::failure::living_lease;
use planescape_operator_core::credentials::left::{Left, Place, Revocation, place};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Program;
use super::revoker::Revoker;
use super::{chance, job};
use crate::cluster::client::scoped;
use crate::cluster::gate::Class;
use crate::job::brief;
use crate::words;

const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The same where somebody has to let us write on the Job first.
const LONGEST_WAIT_FOR_LEAVE: Duration = Duration::from_hours(1);

/// A token that could not be revoked for so long has most likely ended by itself.
const LONGEST_ATTEMPT: Duration = Duration::from_hours(24);

/// How long Vault may take with a lease before it is called alive.
const LEASE_DELAY: Duration = Duration::from_secs(2);

/// How long the status may remember tokens that this program is about to revoke, or the operator to forget.
const SWEEP_DELAY: Duration = Duration::from_secs(5);

/// The work on pods and runs, by their UIDs.
struct Agents<'a> {
    program: &'a Arc<Program>,
    shutdown: &'a CancellationToken,
    known: HashSet<String>,
    listed: HashSet<String>,
    /// The pods that the status of each PlanescapeJob names, by its UID.
    remembered: HashMap<String, HashSet<String>>,
    running: JoinSet<()>,
}

/// Revokes until the shutdown.
pub(super) async fn run(
    program: &Arc<Program>,
    scope: Option<&str>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    if program.revoker.is_none() {
        shutdown.cancelled().await;
        return Ok(());
    }
    let client = program.clients.for_watches();
    let pods: Api<Pod> = scoped(client.clone(), scope);
    let jobs: Api<PlanescapeJob> = scoped(client, scope);
    let ours = watcher::Config::default().labels(JOB_LABEL);
    let mut pods = std::pin::pin!(watcher(pods, ours).default_backoff());
    let jobs = watcher(jobs, watcher::Config::default()).default_backoff();
    let mut jobs = std::pin::pin!(jobs.applied_objects());
    let mut agents = Agents {
        program,
        shutdown,
        known: HashSet::new(),
        listed: HashSet::new(),
        remembered: HashMap::new(),
        running: JoinSet::new(),
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = agents.running.join_next() => ended.expect("a revocation does not panic"),
            Some(event) = pods.next() => match event {
                Ok(event) => agents.take(event),
                Err(error) => warn!("the watch of pods failed: {}", words::of_watch(&error)),
            },
            Some(event) = jobs.next() => match event {
                Ok(job) => agents.remember(&job),
                Err(error) => {
                    let said = words::of_watch(&error);
                    warn!("the watch of PlanescapeJobs failed: {said}");
                }
            },
        }
    }
    // Each ends after the request that it has begun.
    while agents.running.join_next().await.is_some() {}
    Ok(())
}

impl Agents<'_> {
    fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.look(&pod, false);
            }
            Event::InitDone => self.known.retain(|uid| self.listed.contains(uid)),
            Event::Apply(pod) => self.look(&pod, false),
            Event::Delete(pod) => {
                self.look(&pod, true);
                if let Some(uid) = pod.uid() {
                    self.known.remove(&uid);
                }
            }
        }
    }

    /// Each pod once: an agent that has left its tokens does not run again.
    fn look(&mut self, pod: &Pod, is_gone: bool) {
        let Some(left) = Left::of(pod, is_gone) else {
            return;
        };
        if self.known.insert(left.pod.clone()) {
            let (program, shutdown) = (self.program.clone(), self.shutdown.clone());
            self.running.spawn(async move {
                let work = revoke(&program, left, &shutdown);
                let _ = program.leadership.guard(work).await;
            });
        }
    }

    fn remember(&mut self, job: &PlanescapeJob) {
        let (Some(uid), Some(namespace)) = (job.uid(), job.namespace()) else {
            return;
        };
        let runs = job.status.iter().flat_map(|status| &status.runs);
        let holders = runs.flat_map(|run| &run.holders);
        let named = holders.filter(|holder| !holder.accessors.is_empty());
        let named: HashSet<String> = named.map(|holder| holder.uid.clone()).collect();
        let known = self.remembered.remove(&uid).unwrap_or_default();
        for pod in named.difference(&known) {
            let (program, shutdown) = (self.program.clone(), self.shutdown.clone());
            let (namespace, name, pod) = (namespace.clone(), job.name_any(), pod.clone());
            self.running.spawn(async move {
                let work = sweep(&program, &namespace, &name, &pod, &shutdown);
                let _ = program.leadership.guard(work).await;
            });
        }
        if !named.is_empty() {
            self.remembered.insert(uid, named);
        }
    }
}

/// Revokes tokens that the status still remembers of a pod after a while: it is gone.
async fn sweep(
    program: &Program,
    namespace: &str,
    name: &str,
    pod: &str,
    shutdown: &CancellationToken,
) {
    tokio::select! {
        () = tokio::time::sleep(SWEEP_DELAY) => {}
        () = shutdown.cancelled() => return,
    }
    let mut wait = SHORTEST_RETRY;
    loop {
        match remembered(program, namespace, name, pod).await {
            Ok(Remembered::At(left)) => return revoke(program, *left, shutdown).await,
            Ok(Remembered::Nowhere) => {
                warn!(
                    namespace,
                    job = name,
                    pod,
                    "nobody knows at which Vault the tokens of a pod's agent are: they end with their TTL"
                );
                program.metrics.stepped("RevokeAccessor", "GivenUp");
                return;
            }
            Ok(Remembered::Nothing) => return,
            Err(error) => warn!(
                namespace,
                job = name,
                "cannot look for left tokens: {}",
                brief(&error)
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(wait.mul_f64(1.0 + chance() / 4.0)) => {}
            () = shutdown.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}

/// The tokens that the status names of a pod that is gone.
enum Remembered {
    /// Nothing any more.
    Nothing,
    /// Tokens, and the Job is gone that would say where they are.
    Nowhere,
    At(Box<Left>),
}

/// The tokens of a pod that the status names, and where they are, as it says or else the Job.
async fn remembered(
    program: &Program,
    namespace: &str,
    name: &str,
    pod: &str,
) -> kube::Result<Remembered> {
    let client = program.clients.of(Class::Record);
    let owners: Api<PlanescapeJob> = Api::namespaced(client.clone(), namespace);
    let Some(owner) = owners.get_opt(name).await? else {
        return Ok(Remembered::Nothing);
    };
    let runs = owner.status.into_iter().flat_map(|status| status.runs);
    let mut holders = runs.flat_map(|run| {
        let run_of = (run.job, run.uid);
        run.holders
            .into_iter()
            .map(move |holder| (run_of.clone(), holder))
    });
    let found = holders.find(|(_, it)| it.uid == pod && !it.accessors.is_empty());
    let Some(((job, job_uid), holder)) = found else {
        return Ok(Remembered::Nothing);
    };
    let place = match holder.vault {
        Some(HolderVault { address, namespace }) => Some(Place { address, namespace }),
        None => {
            let jobs: Api<Job> = Api::namespaced(client, namespace);
            let live = jobs.get_opt(&job).await?;
            let live = live.filter(|live| live.uid().as_ref() == Some(&job_uid));
            let pod = live.and_then(|live| live.spec?.template.spec);
            pod.as_ref().and_then(place)
        }
    };
    let Some(place) = place else {
        return Ok(Remembered::Nowhere);
    };
    Ok(Remembered::At(Box::new(Left {
        namespace: namespace.to_owned(),
        pod: holder.uid,
        job,
        job_uid,
        place,
        accessors: holder.accessors,
        leases: Vec::new(),
        names_all_leases: false,
    })))
}

/// Tokens and leases that are not known to be gone.
struct Open {
    accessors: Vec<String>,
    leases: Vec<String>,
    /// Whether Vault lets us look for all leases, as far as it was asked.
    names_all_leases: bool,
}

impl Open {
    fn of(left: &Left) -> Self {
        Self {
            accessors: left.accessors.clone(),
            leases: left.leases.clone(),
            names_all_leases: left.names_all_leases,
        }
    }

    fn is_empty(&self) -> bool {
        self.accessors.is_empty() && self.leases.is_empty()
    }

    /// The step that could not be done in a day, and the message about it.
    fn given_up(&self) -> (&'static str, &'static str) {
        let open = (self.accessors.is_empty(), self.leases.is_empty());
        match open {
            (false, _) => (
                "RevokeAccessor",
                "gives up what an agent has left after a day",
            ),
            (true, false) => (
                "LookUpLease",
                "looks no more after a day for leases that an agent has left, whose tokens are revoked",
            ),
            (true, true) => (
                "Tell",
                "does not tell after a day that what an agent has left is gone",
            ),
        }
    }
}

/// The Job's record of the tokens that an agent has left.
#[derive(Default)]
struct Telling {
    /// The record as it was told last; also one that is never taken.
    told: Revocation,
    /// Why the API server did not take the record last.
    trouble: Option<String>,
    is_forbidden: bool,
}

impl Telling {
    /// Takes in the answer to the telling of an outcome; whether that is news.
    fn hear(&mut self, outcome: &Revocation, answer: &kube::Result<()>) -> bool {
        let error = answer.as_ref().err();
        if error.is_none_or(job::is_never_taken) {
            self.told.clone_from(outcome);
        }
        self.is_forbidden = error.is_some_and(job::is_forbidden);
        let known = std::mem::replace(&mut self.trouble, error.map(brief));
        self.trouble.is_some() && known != self.trouble
    }

    /// The longest pause between two attempts.
    fn longest_retry(&self, open: &Open) -> Duration {
        match self.is_forbidden && open.is_empty() {
            true => LONGEST_WAIT_FOR_LEAVE,
            false => LONGEST_RETRY,
        }
    }
}

/// Until Vault has said of every token and lease that it is gone, and the Job says so.
async fn revoke(program: &Program, left: Left, shutdown: &CancellationToken) {
    let Some(revoker) = &program.revoker else {
        return;
    };
    let started = Instant::now();
    let mut telling = Telling::default();
    let mut known = Revocation::default();
    let mut open = Open::of(&left);
    let mut wait = SHORTEST_RETRY;
    loop {
        let mut outcome = attempt(program, revoker, &left, &mut open).await;
        outcome.revoked.extend(known.revoked.iter().cloned());
        outcome.at = outcome.at.or(known.at);
        // As long as their tokens live, so do leases.
        let living = match open.accessors.is_empty() {
            true => look(program, revoker, &left, &mut open).await,
            false => None,
        };
        // Vault comes to leases a moment later than to their token.
        if let Some(living) = living.filter(|_| started.elapsed() > LEASE_DELAY) {
            program.metrics.stepped("LookUpLease", "RevokeFailed");
            warn!(left.namespace, left.job, "a lease lives on: {living}");
            outcome.trouble.get_or_insert(living);
        }
        outcome.has_no_lease = open.is_empty() && open.names_all_leases;
        known.clone_from(&outcome);
        if outcome != telling.told {
            tell(program, &left, &outcome, &mut telling).await;
        }
        // A reader of the status knows only what was told.
        let is_done = open.is_empty() && known == telling.told;
        if is_done {
            return;
        }
        if started.elapsed() > LONGEST_ATTEMPT {
            let (tokens, leases) = (open.accessors.len(), open.leases.len());
            let (step, words) = open.given_up();
            warn!(left.namespace, left.job, tokens, leases, "{words}");
            program.metrics.stepped(step, "GivenUp");
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait.mul_f64(1.0 + chance() / 4.0)) => {}
            () = shutdown.cancelled() => return,
        }
        wait = (wait * 2).min(telling.longest_retry(&open));
    }
}

/// Takes from `open` the leases that are gone, or that may not be looked for, and says of one that it lives.
async fn look(
    program: &Program,
    revoker: &Revoker,
    left: &Left,
    open: &mut Open,
) -> Option<String> {
    let leases = std::mem::take(&mut open.leases);
    let Ok(vault) = program.vaults.of(&left.place).await else {
        open.names_all_leases &= leases.is_empty();
        return None;
    };
    let mut living = None;
    for id in leases {
        match revoker.has_lease(&vault, &left.place, &id).await {
            Ok(Some(false)) => program.metrics.stepped("LookUpLease", "Done"),
            Ok(None) => open.names_all_leases = false,
            Ok(Some(true)) => {
                living = Some(living_lease(&digest(&id)));
                open.leases.push(id);
            }
            Err(error) => {
                let (namespace, job) = (&left.namespace, &left.job);
                warn!(namespace, job, %error, "cannot look for a lease");
                open.leases.push(id);
            }
        }
    }
    living
}

/// Takes from `open` the tokens that are revoked.
async fn attempt(program: &Program, revoker: &Revoker, left: &Left, open: &mut Open) -> Revocation {
    let mut outcome = Revocation::default();
    let (namespace, job) = (&left.namespace, &left.job);
    for accessor in std::mem::take(&mut open.accessors) {
        match program.revoke(revoker, &left.place, &accessor).await {
            Ok(()) => {
                info!(
                    namespace,
                    job, accessor, "revoked the token that an agent had left"
                );
                outcome.revoked.push(accessor);
                outcome.at = Some(whole_seconds());
            }
            Err(trouble) => {
                warn!(namespace, job, "a token lives on: {trouble}");
                outcome.trouble = Some(trouble);
                open.accessors.push(accessor);
            }
        }
    }
    outcome
}

fn whole_seconds() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Tells the Job of a revocation. Without a Job nothing is told.
async fn tell(program: &Program, left: &Left, outcome: &Revocation, telling: &mut Telling) {
    let answer = job::tell_revocation(&program.clients, left, outcome).await;
    if telling.hear(outcome, &answer)
        && let Some(trouble) = &telling.trouble
    {
        let (namespace, job) = (&left.namespace, &left.job);
        warn!(namespace, job, "cannot tell of a revocation: {trouble}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_not_told_for_ever_to_a_job_that_does_not_take_it() {
        let outcome = revoked();
        let mut telling = Telling::default();

        assert!(telling.hear(&outcome, &refused(422, "Invalid")));
        assert_eq!(telling.told, outcome);
    }

    #[test]
    fn where_nobody_lets_us_tell_it_is_said_once_and_tried_ever_more_rarely() {
        let (outcome, gone) = (revoked(), open(&[], &[]));
        let mut telling = Telling::default();
        assert_eq!(telling.longest_retry(&gone), LONGEST_RETRY);

        assert!(telling.hear(&outcome, &refused(403, "Forbidden")));
        assert!(!telling.hear(&outcome, &refused(403, "Forbidden")));

        assert_ne!(telling.told, outcome, "somebody may allow it");
        assert_eq!(telling.longest_retry(&gone), LONGEST_WAIT_FOR_LEAVE);
        let alive = open(&["a"], &[]);
        assert_eq!(telling.longest_retry(&alive), LONGEST_RETRY);
        assert!(telling.hear(&outcome, &refused(503, "ServiceUnavailable")));
        assert_eq!(telling.longest_retry(&gone), LONGEST_RETRY);
        assert!(!telling.hear(&outcome, &Ok(())));
        assert_eq!(telling.told, outcome);
    }

    #[test]
    fn only_what_may_live_is_given_up() {
        let step = |open: &Open| open.given_up().0;

        assert_eq!(step(&open(&["a"], &["l"])), "RevokeAccessor");
        assert_eq!(step(&open(&[], &["l"])), "LookUpLease");
        assert_eq!(step(&open(&[], &[])), "Tell");
    }

    fn revoked() -> Revocation {
        Revocation {
            revoked: vec!["a".to_owned()],
            ..Revocation::default()
        }
    }

    fn open(accessors: &[&str], leases: &[&str]) -> Open {
        let all = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        Open {
            accessors: all(accessors),
            leases: all(leases),
            names_all_leases: true,
        }
    }

    fn refused(code: u16, reason: &str) -> kube::Result<()> {
        let status = kube::core::Status::failure(reason, reason);
        Err(kube::Error::Api(status.with_code(code).boxed()))
    }
}
