//! The task of one run: asks what to do next, and does it.

mod ending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use planescape_agent_contract::{Access, digest};
use planescape_operator_core::credentials::OrderedSecret;
use planescape_operator_core::credentials::content::{self, Contents, Misfit};
use planescape_operator_core::credentials::decide::{
    Account, Custody, Holding, Lease, Memory, Sighting, Step, next,
};
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::life::{Life, wanted};
use planescape_operator_core::credentials::run::{Run, Stage};
use planescape_vault::mount::{self, Mount};
use planescape_vault::{Call, Error, Grant, Kind, Login, Secret, SecretText};
use planescape_vault_client::{Answer, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::record::{LeaseRecord, Record, State};
use super::secrets::{self, Found};
use super::vaults::Vault;
use super::{Program, bearer, chance, job};

/// What the watch shows of a Job.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    There(Box<Run>),
    Gone,
}

/// An answer that does not fit is not asked for again soon: each one may be a user of a database.
const MISFIT_PAUSE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// How long to wait before the status is told again.
const TELLING_PAUSE: Duration = Duration::from_secs(1);

/// One run, as its task knows it.
struct Task {
    program: Arc<Program>,
    run: Run,
    memory: Memory,
    record: Option<Record>,
    /// What was read and is not written yet.
    contents: BTreeMap<usize, Contents>,
    /// Its Vault, once it was asked.
    vault: Option<Arc<Vault>>,
    is_gone: bool,
}

/// Tends a run until its Job is gone and its lease with it.
pub(super) async fn tend(
    program: Arc<Program>,
    run: Run,
    mut seen: watch::Receiver<Seen>,
    shutdown: CancellationToken,
) {
    let leadership = program.leadership.clone();
    let mut task = Task {
        program,
        run,
        memory: Memory::default(),
        record: None,
        contents: BTreeMap::new(),
        vault: None,
        is_gone: false,
    };
    while !shutdown.is_cancelled() {
        let news = seen.has_changed().unwrap_or(false);
        if news {
            task.see(seen.borrow_and_update().clone());
        }
        let step = next(
            &task.run,
            &task.memory,
            task.program.outage,
            Timestamp::now(),
        );
        debug!(
            job = task.run.job,
            namespace = task.run.owner.namespace,
            ?step
        );
        let until = if let Step::Wait(until) = step {
            until
        } else if step != Step::Finish {
            if leadership.guard(task.take(step)).await.is_err() {
                return;
            }
            continue;
        } else if task.is_gone {
            return;
        } else {
            None
        };
        tokio::select! {
            () = sleep_until(until) => {}
            () = vault_is_back(task.vault.as_deref()) => task.memory.hurry(Timestamp::now()),
            () = shutdown.cancelled() => return,
            changed = seen.changed() => match changed {
                Ok(()) => task.see(seen.borrow_and_update().clone()),
                Err(_) if task.is_gone => {}
                Err(_) => task.see(Seen::Gone),
            },
        }
    }
}

/// Where it was away.
async fn vault_is_back(vault: Option<&Vault>) {
    match vault {
        Some(vault) => vault.is_back().await,
        None => std::future::pending().await,
    }
}

/// As the clock on the wall says, which may be set.
async fn sleep_until(until: Option<Timestamp>) {
    match until {
        None => std::future::pending().await,
        Some(until) => {
            let left = until.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }
}

impl Task {
    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::There(run) => self.run = *run,
            Seen::Gone => {
                self.is_gone = true;
                let deleted = self.run.deleted().unwrap_or_else(Timestamp::now);
                self.run.stage = Stage::Over {
                    deleted: Some(deleted),
                };
                // Nobody else knows of its token.
                self.run.is_claimed =
                    matches!(self.memory.custody, Custody::Unknown | Custody::Held(_));
            }
        }
    }

    async fn take(&mut self, step: Step) {
        let is_told = !matches!(step, Step::Tell(_));
        let name = step.name();
        let done = self.act(step).await;
        let outcome = done
            .as_ref()
            .map_or_else(|it| it.report.reason.as_str(), |()| "Done");
        self.program.metrics.stepped(name, outcome);
        match done {
            // What is told of a trouble does not end it.
            Ok(()) if is_told => self.memory.succeed(),
            Ok(()) => {}
            Err(failure) => {
                if !is_told {
                    tokio::time::sleep(TELLING_PAUSE).await;
                    return;
                }
                let (job, namespace) = (&self.run.job, &self.run.owner.namespace);
                let message = failure.report.message.as_deref();
                warn!(job, namespace, reason = %failure.report.reason, message);
                let now = Timestamp::now();
                self.memory.fail(&self.run, failure, chance(), now);
            }
        }
    }

    async fn act(&mut self, step: Step) -> Result<(), Failure> {
        let clients = &self.program.clients;
        let written = match step {
            Step::Recall => return self.recall().await,
            Step::LogIn => return self.log_in().await,
            Step::Look(index) => return self.look(index).await,
            Step::Read(index) => return self.read(index).await,
            Step::Write(index) => return self.write(index).await,
            Step::RenewToken => return self.renew(None).await,
            Step::RenewLease(index) => return self.renew(Some(index)).await,
            Step::RevokeLease(index) => return self.revoke_lease(index).await,
            Step::RevokeToken => return self.revoke_token().await,
            Step::LookUpLease(index) => return self.look_up_lease(index).await,
            Step::Forget => return self.forget().await,
            Step::Claim => (job::claim(clients, &self.run).await, "hold a Job"),
            Step::LetGo(report) => {
                let let_go = job::let_go(clients, &self.run, &report).await;
                info!(
                    job = self.run.job,
                    namespace = self.run.owner.namespace,
                    "supplied a run"
                );
                (let_go, "let a Job go")
            }
            Step::Tell(report) => {
                if self.is_gone {
                    self.run.told = Some(report);
                    return Ok(());
                }
                (
                    job::tell(clients, &self.run, &report).await,
                    "tell a Job's status",
                )
            }
            Step::Release => (job::release(clients, &self.run).await, "release a Job"),
            Step::Wait(_) | Step::Finish => return Ok(()),
        };
        self.learn(written.0.map_err(|error| self.refused(written.1, &error))?);
        Ok(())
    }

    /// The Job as it is after a change of it; what the watch shows later is no older.
    fn learn(&mut self, job: Option<Job>) {
        match job.as_ref().map(Run::of) {
            Some(Some(run)) => self.run = run,
            Some(None) => {}
            None => self.see(Seen::Gone),
        }
    }

    async fn recall(&mut self) -> Result<(), Failure> {
        let record = self.program.records.read(&self.run).await;
        let record = record.map_err(|error| self.refused("read the record of a token", &error))?;
        let (now, outage) = (Timestamp::now(), self.program.outage);
        self.memory.custody = match &record {
            None => Custody::Absent,
            Some(record) => Custody::Held(Holding {
                token: record.state.life.recalled(now, outage),
                leases: (record.state.leases.iter())
                    .map(|lease| held(lease.life.recalled(now, outage)))
                    .collect(),
                is_token_revoked: false,
            }),
        };
        self.memory.account = self.account(record.as_ref());
        self.record = record;
        Ok(())
    }

    /// As the Job tells it; as the record does, where nothing was told yet.
    fn account(&self, record: Option<&Record>) -> Account {
        let told = self.run.told.as_ref();
        if let Some(told) = told.filter(|told| told.accessor.is_some()) {
            return Account::of(told);
        }
        let Some(Record { state, .. }) = record else {
            return Account::default();
        };
        let reads = state.leases.iter().filter_map(|lease| lease.access.clone());
        Account {
            accessor: Some(digest(&state.accessor)),
            login_request: None,
            reads: reads.collect(),
        }
    }

    async fn log_in(&mut self) -> Result<(), Failure> {
        let run = &self.run;
        let vault = self.program.vault_of(run).await?;
        self.vault = Some(vault.clone());
        let (login, asked) = self.program.log_in(run, &vault).await?;
        if login.accessor.is_empty() {
            return Err(Failure::of_batch_token(run));
        }
        let record = record_of(&login, asked);
        if let Err(error) = self.program.records.create(run, &record).await {
            // Nobody would ever find it again.
            let (_turn, client) = vault.client().await;
            let revoked = client.revoke_self(bearer(&login.token)).await;
            if let Err(error) = revoked {
                warn!(
                    job = run.job,
                    "cannot revoke a token that could not be recorded: {error}"
                );
            }
            self.memory.custody = Custody::Unknown;
            return Err(self.refused("record a token", &error));
        }
        self.memory.custody = Custody::Held(Holding {
            token: record.state.life,
            leases: Vec::new(),
            is_token_revoked: false,
        });
        self.memory.account = Account {
            accessor: Some(digest(&login.accessor)),
            login_request: Some(login.request).filter(|id| !id.is_empty()),
            reads: Vec::new(),
        };
        self.record = Some(record);
        Ok(())
    }

    async fn look(&mut self, index: usize) -> Result<(), Failure> {
        let ordered = &self.run.order.secrets[index];
        let found = secrets::look(&self.program.clients, &self.run, ordered).await;
        let sighting = match found.map_err(|error| self.refused("look for a Secret", &error))? {
            Found::Nothing => Sighting::Missing,
            Found::Ours => Sighting::Present(Timestamp::now()),
            Found::Foreign => {
                let name = ordered.name_for(&self.run.job);
                return Err(Failure::of_conflict(&self.run, &name));
            }
        };
        self.memory.sight(index, sighting);
        Ok(())
    }

    async fn read(&mut self, index: usize) -> Result<(), Failure> {
        let ordered = self.run.order.secrets[index].clone();
        let run = &self.run;
        let question = Question::Read {
            path: &ordered.path,
            is_write: !ordered.params.is_empty(),
        };
        let vault = self.program.vault_of(run).await?;
        let (_turn, client) = vault.client().await;
        vault
            .enter()
            .map_err(|it| Failure::of_vault(run, question, &it))?;
        let asked = Timestamp::now();
        let answer = ask(client, &ordered, self.secret_token()).await;
        // A database that hangs is no outage of Vault.
        let answer = match answer {
            Err(Error::Silent { .. }) => answer,
            answer => vault.learn(answer),
        };
        let (answer, mount) = answer.map_err(|it| Failure::of_vault(run, question, &it))?;
        let misfit = |misfit: Misfit| Failure {
            retry_after: Some(MISFIT_PAUSE),
            ..Failure::of_answer(run, &ordered.path, &misfit)
        };
        let answer = answer.ok_or_else(|| misfit(Misfit::Empty))?;
        let has_versions = mount.as_ref().is_some_and(Mount::is_kv_v2);
        let contents = content::of(&ordered, &answer, has_versions, SystemTime::now());
        let contents = contents.map_err(misfit);
        let access = Access::of(&ordered.path, &answer, mount.as_ref());
        if !answer.lease_id().is_empty() {
            let seconds = answer.lease_seconds();
            let life = Life::new(asked, seconds, answer.has_renewable_lease());
            self.add_lease(answer.lease_id(), life, &access).await?;
        }
        self.memory.account.reads.push(access);
        self.contents.insert(index, contents?);
        self.memory.sight(index, Sighting::Ready);
        Ok(())
    }

    /// A lease stands in the record before anything is made of it.
    async fn add_lease(&mut self, id: &str, life: Life, access: &Access) -> Result<(), Failure> {
        let (Some(record), Custody::Held(holding)) = (&mut self.record, &mut self.memory.custody)
        else {
            return Ok(());
        };
        record.state.leases.push(LeaseRecord {
            id: id.to_owned(),
            life,
            access: Some(access.clone()),
        });
        holding.leases.push(held(life));
        let state = record.state.clone();
        let written = self.program.records.update(&self.run, &state).await;
        written.map_err(|error| self.refused("record a lease", &error))
    }

    async fn write(&mut self, index: usize) -> Result<(), Failure> {
        let Some(contents) = self.contents.remove(&index) else {
            self.memory.sight(index, Sighting::Unknown);
            return Ok(());
        };
        let ordered = &self.run.order.secrets[index];
        let created = secrets::create(&self.program.clients, &self.run, ordered, &contents).await;
        match created {
            Ok(true) => {
                let now = Timestamp::now();
                self.memory.sight(index, Sighting::Present(now));
            }
            Ok(false) => self.memory.sight(index, Sighting::Unknown),
            Err(error) => {
                self.contents.insert(index, contents);
                return Err(self.refused("create a Secret", &error));
            }
        }
        Ok(())
    }

    /// The token, or one of its leases.
    async fn renew(&mut self, lease: Option<usize>) -> Result<(), Failure> {
        let run = &self.run;
        let vault = self.program.vault_of(run).await?;
        let (_turn, client) = vault.client().await;
        let increment = Duration::try_from(wanted(self.program.outage)).ok();
        let bearer = bearer(self.secret_token());
        let asked = Timestamp::now();
        vault
            .enter()
            .map_err(|it| Failure::of_vault(run, Question::Renewal, &it))?;
        let renewed = match lease {
            Some(index) => {
                let id = self.lease_id(index);
                client.renew_lease(&id, bearer, increment).await
            }
            None => client.renew_self(bearer, increment).await,
        };
        let renewed = vault.learn(renewed);
        let change: Box<dyn Fn(Life) -> Life> = match renewed {
            Ok(grant) => {
                let (seconds, is_renewable) = (seconds(grant), grant.is_renewable());
                let wanted = wanted(self.program.outage);
                Box::new(move |life| {
                    let life = life.renewed(asked, seconds, is_renewable);
                    match lease {
                        Some(_) => life.asked_for(wanted),
                        None => life,
                    }
                })
            }
            // It has come to its end.
            Err(Error::Refused(refusal)) if refusal.kind() == Kind::Invalid => {
                Box::new(Life::settled)
            }
            Err(error) => return Err(Failure::of_vault(run, Question::Renewal, &error)),
        };
        if let Custody::Held(holding) = &mut self.memory.custody {
            let life = match lease {
                Some(index) => &mut holding.leases[index].life,
                None => &mut holding.token,
            };
            *life = change(*life);
        }
        Ok(())
    }

    fn secret_token(&self) -> &SecretText {
        let record = self.record.as_ref();
        &record.expect("who holds a token has its record").token
    }

    fn lease_id(&self, index: usize) -> String {
        let record = self.record.as_ref();
        let lease = record.and_then(|record| record.state.leases.get(index));
        lease.map(|lease| lease.id.clone()).unwrap_or_default()
    }

    fn refused(&self, what: &str, error: &kube::Error) -> Failure {
        super::refused(&self.run, what, error)
    }
}

/// What is at a path, and whether its mount keeps versions.
async fn ask(
    client: &Client,
    ordered: &OrderedSecret,
    token: &SecretText,
) -> Result<(Option<Secret>, Option<Mount>), Error> {
    let mount = mount_of(client, &ordered.path, token).await?;
    let (path, query) = mount::read_path(&ordered.path, mount.as_ref(), None);
    let call = if ordered.params.is_empty() {
        Call::Get { path, query }
    } else {
        let parameters = ordered.params.iter();
        let parameters =
            parameters.map(|(key, value)| (key.clone(), SecretText::new(value.clone())));
        Call::Put {
            path,
            parameters: parameters.collect(),
            wrapped: false,
        }
    };
    match client.call(call, token).await? {
        Answer::Secret(secret) => Ok((secret, mount)),
        Answer::List(_) => Ok((None, mount)),
    }
}

/// Who may not see the mount may be allowed to read what is in it.
pub(super) async fn mount_of(
    client: &Client,
    path: &str,
    token: &SecretText,
) -> Result<Option<Mount>, Error> {
    match client.mount_of(path, token).await {
        Ok(mount) => Ok(Some(mount)),
        Err(Error::Refused(refusal)) if matches!(refusal.kind(), Kind::Denied | Kind::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn record_of(login: &Login, asked: Timestamp) -> Record {
    let grant = login.grant;
    Record {
        token: login.token.clone(),
        state: State {
            accessor: login.accessor.clone(),
            life: Life::new(asked, seconds(grant), grant.is_renewable()),
            leases: Vec::new(),
        },
    }
}

fn seconds(grant: Grant) -> i64 {
    i64::try_from(grant.ttl().as_secs()).unwrap_or(i64::MAX)
}

fn held(life: Life) -> Lease {
    Lease {
        life,
        is_revoked: false,
    }
}
