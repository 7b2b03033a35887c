//! The task of one run: asks what to do next, and does it.

mod ending;
mod login;
mod reading;
mod renewing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use planescape_agent_contract::Report;
use planescape_operator_core::credentials::content::Contents;
use planescape_operator_core::credentials::decide::{
    Custody, Holding, Memory, Step, TokenEnd, next,
};
use planescape_operator_core::credentials::failure::Failure;
use planescape_operator_core::credentials::run::{Run, Stage};
use planescape_vault::{Error, Grant, SecretText};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::record::Record;
use super::vaults::{Outages, Vault};
use super::{Program, chance, job};
use crate::job::brief;
use crate::metrics::{Count, HeldOfRun};
pub(super) use reading::mount_of;

/// A Job as the watch shows it.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    There(Box<Run>),
    Gone,
}

/// One run, as its task knows it.
struct Task {
    program: Arc<Program>,
    run: Run,
    memory: Memory,
    record: Option<Record>,
    /// Whether it does not hold all leases yet.
    is_record_behind: bool,
    /// The contents that were read and are not written yet.
    contents: BTreeMap<usize, Contents>,
    /// The outages of its Vault, once that was asked.
    outages: Option<Outages>,
    is_gone: bool,
    /// Its part in the metrics.
    held: HeldOfRun,
}

/// Tends a run until its Job is gone and its lease with it.
pub(super) async fn tend(
    program: Arc<Program>,
    run: Run,
    mut seen: watch::Receiver<Seen>,
    shutdown: CancellationToken,
) {
    let leadership = program.leadership.clone();
    let held = program.metrics.held.run();
    let mut task = Task {
        program,
        run,
        memory: Memory::default(),
        record: None,
        is_record_behind: false,
        contents: BTreeMap::new(),
        outages: None,
        is_gone: false,
        held,
    };
    while !shutdown.is_cancelled() {
        if seen.has_changed().unwrap_or(false) {
            task.see(seen.borrow_and_update().clone());
        }
        task.count();
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
            () = vault_is_back(task.outages.as_mut()) => task.memory.hurry(Timestamp::now()),
            () = shutdown.cancelled() => return,
            shown = news(&mut seen, task.is_gone) => task.see(shown),
        }
    }
}

/// The next state of a Job by the watch. One that is gone shows no other; its end may still have to wait for Vault.
async fn news(seen: &mut watch::Receiver<Seen>, is_gone: bool) -> Seen {
    if is_gone {
        return std::future::pending().await;
    }
    match seen.changed().await {
        Ok(()) => seen.borrow_and_update().clone(),
        Err(_) => Seen::Gone,
    }
}

/// Waits only where Vault was away.
async fn vault_is_back(outages: Option<&mut Outages>) {
    match outages {
        Some(outages) => outages.end().await,
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
            Seen::There(run) => {
                // Its record may have named another Vault than the Job does.
                let order = self.run.order.clone();
                self.run = Run { order, ..*run };
            }
            Seen::Gone => {
                self.is_gone = true;
                let deleted = self.run.deleted().unwrap_or_else(Timestamp::now);
                self.run.stage = Stage::Over {
                    deleted: Some(deleted),
                };
                // No other program knows of its token.
                self.run.is_claimed =
                    matches!(self.memory.custody, Custody::Unknown | Custody::Held(_));
            }
        }
    }

    fn count(&mut self) {
        let (has_token, leases) = match &self.memory.custody {
            Custody::Held(holding) => {
                let open = holding.leases.iter().filter(|lease| !lease.is_revoked);
                (holding.token_end != TokenEnd::Said, open.count())
            }
            Custody::Unknown | Custody::Absent => (false, 0),
        };
        self.held.set(Count {
            standing: self.run.standing(),
            has_token,
            leases,
        });
    }

    async fn take(&mut self, step: Step) {
        let name = step.name();
        let done = self.act(step.clone()).await;
        let outcome = done
            .as_ref()
            .map_or_else(|it| it.report.reason.as_str(), |()| "Done");
        self.program.metrics.stepped(name, outcome);
        match done {
            Ok(()) => self.memory.succeed(&step),
            Err(failure) => {
                let (job, namespace) = (&self.run.job, &self.run.owner.namespace);
                let message = failure.report.message.as_deref();
                warn!(job, namespace, reason = %failure.report.reason, message);
                let now = Timestamp::now();
                self.memory.fail(&self.run, (&step, failure), chance(), now);
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
            Step::RenewToken => return self.renew_token().await,
            Step::RenewLease(index) => return self.renew_lease(index).await,
            Step::LookUpToken => return self.look_up_token().await,
            Step::RevokeLease(index) => return self.revoke_lease(index).await,
            Step::RevokeToken => return self.revoke_token().await,
            Step::LookUpLease(index) => return self.look_up_lease(index).await,
            Step::Forget => return self.forget().await,
            Step::Claim => (job::claim(clients, &self.run).await, "hold a Job"),
            Step::LetGo(report) => {
                let let_go = job::let_go(clients, &self.run, &report).await;
                if let_go.is_ok() {
                    let (job, namespace) = (&self.run.job, &self.run.owner.namespace);
                    info!(job, namespace, "supplied a run");
                }
                (let_go, "let a Job go")
            }
            Step::Tell(report) => return self.tell(report).await,
            Step::Release => (job::release(clients, &self.run).await, "release a Job"),
            Step::Wait(_) | Step::Finish => return Ok(()),
        };
        self.learn(written.0.map_err(|error| self.refused(written.1, &error))?);
        Ok(())
    }

    /// A Job that has lost our label is told of its lease, too. One that is gone is not there to hear it.
    async fn tell(&mut self, report: Report) -> Result<(), Failure> {
        let told = job::tell(&self.program.clients, &self.run, &report).await;
        match told {
            Ok(job) => {
                self.learn(job);
                if self.is_gone {
                    self.run.told = Some(report);
                }
            }
            // A Job that is not watched may be anybody's by now.
            Err(error)
                if job::is_never_taken(&error) || (self.is_gone && job::is_forbidden(&error)) =>
            {
                let (job, namespace) = (&self.run.job, &self.run.owner.namespace);
                let error = brief(&error);
                warn!(
                    job,
                    namespace, error, "the Job does not take what is told of it"
                );
                self.run.told = Some(report);
            }
            Err(error) => return Err(self.refused("tell a Job's status", &error)),
        }
        Ok(())
    }

    /// The Job as it is after a change of it. The watch may show an older one once more.
    fn learn(&mut self, job: Option<Job>) {
        match job.map(|job| self.run.again(&job)) {
            // Somebody took our label off, and the Job is not watched any more.
            Some(run) if self.is_gone => self.run.is_claimed = run.is_claimed,
            Some(run) => self.run = run,
            None => self.see(Seen::Gone),
        }
    }

    /// The Vault of the run.
    async fn vault(&mut self) -> Result<Arc<Vault>, Failure> {
        let vault = self.program.vault_of(&self.run).await?;
        self.outages.get_or_insert_with(|| vault.outages());
        Ok(vault)
    }

    fn holding(&mut self) -> Option<&mut Holding> {
        match &mut self.memory.custody {
            Custody::Held(holding) => Some(holding),
            Custody::Unknown | Custody::Absent => None,
        }
    }

    /// Takes in what an answer says of the token; whether that it has ended.
    fn hear(&mut self, error: &Error) -> bool {
        let now = Timestamp::now();
        self.holding()
            .is_some_and(|holding| holding.hear(error, now))
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

fn seconds(grant: Grant) -> i64 {
    i64::try_from(grant.ttl().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn nobody_is_woken_again_and_again_by_a_job_that_is_gone() {
        let (sender, mut seen) = watch::channel(Seen::Gone);
        drop(sender);

        let gone = news(&mut seen, false).now_or_never();
        assert!(matches!(gone, Some(Seen::Gone)));
        assert!(news(&mut seen, true).now_or_never().is_none());
    }
}
