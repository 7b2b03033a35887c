//! Tries, before the first run of a PlanescapeJob, whether its runs will get what they ask for: logs in, asks for the
//! capabilities of the token, and revokes it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use planescape_agent_contract::{Reason, Report};
use planescape_operator_core::api::PlanescapeJob;
use planescape_operator_core::api::names::PREFLIGHT_ANNOTATION;
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::preflight::{Allowed, Check, INTERVAL, Preflight};
use planescape_operator_core::defaults::Defaults;
use planescape_vault::{Error, SecretText, mount};
use planescape_vault_client::Client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::task::mount_of;
use super::{Program, bearer};
use crate::cluster::client::scoped;
use crate::cluster::gate::Class;
use crate::job::brief;
use crate::words;

/// A namespace that does not let us in is asked so rarely.
const LONG: SignedDuration = SignedDuration::from_hours(1);

/// How often it is looked whether something is due.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// The checks to do, by the UID of the PlanescapeJob.
struct Checks {
    program: Arc<Program>,
    defaults: Defaults,
    wanted: HashMap<String, Check>,
    due: BTreeSet<(Timestamp, String)>,
    /// When each was tried last, which the watch may not show yet.
    tried: HashMap<String, Timestamp>,
    listed: HashSet<String>,
    running: JoinSet<(String, Timestamp)>,
    busy: HashSet<String>,
}

/// Tries until the shutdown. `defaults` are the operator's.
pub(super) async fn run(
    program: &Arc<Program>,
    defaults: Defaults,
    scope: Option<&str>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let jobs: Api<PlanescapeJob> = scoped(program.clients.for_watches(), scope);
    let jobs = watcher(jobs, watcher::Config::default()).default_backoff();
    let mut jobs = std::pin::pin!(jobs);
    let mut checks = Checks {
        program: program.clone(),
        defaults,
        wanted: HashMap::new(),
        due: BTreeSet::new(),
        tried: HashMap::new(),
        listed: HashSet::new(),
        running: JoinSet::new(),
        busy: HashSet::new(),
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = checks.running.join_next() => {
                let (uid, again) = ended.expect("a preflight does not panic");
                checks.ended(uid, again);
            }
            Some(event) = jobs.next() => match event {
                Ok(event) => checks.take(event),
                Err(error) => {
                    let said = words::of_watch(&error);
                    warn!("the watch of PlanescapeJobs failed: {said}");
                }
            },
            () = tokio::time::sleep(TICK) => {}
        }
        checks.start(Timestamp::now());
    }
    // Each ends after the request that it has begun.
    while checks.running.join_next().await.is_some() {}
    Ok(())
}

impl Checks {
    fn take(&mut self, event: watcher::Event<PlanescapeJob>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(job) => {
                self.listed.extend(job.uid());
                self.see(&job);
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<String> = (self.wanted.keys())
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in gone {
                    self.forget(&uid);
                }
            }
            watcher::Event::Apply(job) => self.see(&job),
            watcher::Event::Delete(job) => {
                if let Some(uid) = job.uid() {
                    self.forget(&uid);
                    self.tried.remove(&uid);
                }
            }
        }
    }

    fn forget(&mut self, uid: &str) {
        self.wanted.remove(uid);
        self.due.retain(|(_, it)| it != uid);
    }

    fn see(&mut self, job: &PlanescapeJob) {
        let Some(uid) = job.uid() else { return };
        let audience = &self.program.audience;
        let Some(check) = Check::of(job, &self.defaults, audience, Timestamp::now()) else {
            self.forget(&uid);
            return;
        };
        // Most changes are of the status.
        if self.wanted.get(&uid) == Some(&check) {
            return;
        }
        self.forget(&uid);
        if let Some(due) = check.due(Preflight::of(job).as_ref()) {
            let tried = self.tried.get(&uid);
            let earliest = tried.and_then(|at| at.checked_add(INTERVAL).ok());
            let due = due.max(earliest.unwrap_or(Timestamp::MIN));
            self.due.insert((due, uid.clone()));
        }
        self.wanted.insert(uid, check);
    }

    fn start(&mut self, now: Timestamp) {
        while let Some((due, uid)) = self.due.first().cloned() {
            if due > now {
                return;
            }
            self.due.pop_first();
            let Some(check) = self.wanted.get(&uid).cloned() else {
                continue;
            };
            if !self.busy.insert(uid.clone()) {
                let later = now.saturating_add(INTERVAL).unwrap_or(now);
                self.due.insert((later, uid));
                continue;
            }
            self.tried.insert(uid.clone(), now);
            let program = self.program.clone();
            self.running.spawn(async move {
                let work = attempt(&program, &check);
                let again = program.leadership.guard(work).await;
                (uid, again.unwrap_or(Timestamp::MAX))
            });
        }
    }

    fn ended(&mut self, uid: String, again: Timestamp) {
        self.busy.remove(&uid);
        let is_due = self.due.iter().any(|(_, it)| *it == uid);
        if again < Timestamp::MAX && !is_due && self.wanted.contains_key(&uid) {
            self.due.insert((again, uid));
        }
    }
}

/// Tries once, and tells the result. When to try again; never, if that is the latest instant there is.
async fn attempt(program: &Program, check: &Check) -> Timestamp {
    let now = Timestamp::now();
    let later = |wait: SignedDuration| now.saturating_add(wait).unwrap_or(now);
    let (report, is_told) = match ask(program, check).await {
        Ok(report) => (report, true),
        // A namespace that does not let us in does not let us tell of it either.
        Err(Failure { report, .. }) if report.reason == Reason::NotGranted => (report, false),
        Err(failure) => (failure.report, true),
    };
    program.metrics.stepped("Preflight", report.reason.as_str());
    if !is_told {
        return later(LONG);
    }
    let is_well = report.reason == Reason::Allowed;
    let owner = &check.run.owner;
    info!(namespace = owner.namespace, job = owner.name, reason = %report.reason, "tried what runs ask Vault for");
    if let Err(error) = tell(program, check, report, now).await {
        warn!(
            namespace = owner.namespace,
            job = owner.name,
            "cannot tell of a preflight: {}",
            brief(&error)
        );
        return later(LONG);
    }
    if is_well {
        Timestamp::MAX
    } else {
        later(INTERVAL)
    }
}

async fn ask(program: &Program, check: &Check) -> Result<Report, Failure> {
    let run = &check.run;
    let vault = program.vault_of(run).await?;
    let _turn = vault.preflight_turn().await;
    let (login, _) = program.log_in(run, &vault).await?;
    let (client_turn, client) = vault.client().await;
    if login.accessor.is_empty() && check.is_of_secrets() {
        return Err(Failure::of_batch_token(run));
    }
    let allowed = allowed(client, check, &login.token).await;
    let revoked = match login.accessor.is_empty() {
        true => Ok(()),
        false => client.revoke_self(bearer(&login.token)).await,
    };
    drop(client_turn);
    if let Err(error) = revoked
        && !program.revoke_by_accessor(run, &login.accessor).await
    {
        let (namespace, job) = (&run.owner.namespace, &run.owner.name);
        warn!(
            namespace,
            job, "the token of a preflight lives on until its TTL ends: {error}"
        );
    }
    if login.has_limited_uses && check.is_of_secrets() {
        return Err(Failure::of_limited_uses(run));
    }
    let allowed = allowed.map_err(|error| {
        let question = Question::Read {
            path: "sys/capabilities-self",
            is_write: true,
        };
        Failure::of_vault(run, question, &error)
    })?;
    Ok(check.judge(login.grant, &allowed))
}

/// The capabilities of the token at each path.
async fn allowed(
    client: &Client,
    check: &Check,
    token: &SecretText,
) -> Result<Vec<Allowed>, Error> {
    let mut all = Vec::new();
    for secret in &check.run.order.secrets {
        let mount = mount_of(client, &secret.path, token).await?;
        let is_write = !secret.params.is_empty();
        let (path, _) = mount::read_path(&secret.path, mount.as_ref(), None);
        all.push(Allowed {
            path,
            is_write,
            capabilities: None,
        });
    }
    if all.is_empty() {
        return Ok(all);
    }
    let paths: Vec<&str> = all.iter().map(|it| it.path.as_str()).collect();
    let mut answer = match client.capabilities_of_self(&paths, bearer(token)).await {
        Ok(answer) => answer,
        // Then the capabilities stay unknown.
        Err(Error::Refused(refusal)) if refusal.status() == 403 => return Ok(all),
        Err(error) => return Err(error),
    };
    for it in &mut all {
        it.capabilities = answer.remove(&it.path);
    }
    Ok(all)
}

async fn tell(program: &Program, check: &Check, report: Report, at: Timestamp) -> kube::Result<()> {
    let preflight = Preflight {
        generation: check.generation,
        at: Timestamp::from_second(at.as_second()).unwrap_or(at),
        report,
    };
    let text = serde_json::to_string(&preflight).expect("a preflight is plain data");
    let owner = &check.run.owner;
    let change = json!({ "metadata": {
        "uid": owner.uid,
        "annotations": { PREFLIGHT_ANNOTATION: text },
    } });
    let client = program.clients.of(Class::Record);
    let api: Api<PlanescapeJob> = Api::namespaced(client, &owner.namespace);
    let (parameters, change) = (PatchParams::default(), Patch::Merge(change));
    match api.patch(&owner.name, &parameters, &change).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        told => told.map(drop),
    }
}
