//! A run's Secrets: what Vault gives for them, and the objects.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::Access;
use planescape_operator_core::credentials::OrderedSecret;
use planescape_operator_core::credentials::content::{self, Contents, Misfit};
use planescape_operator_core::credentials::decide::{Custody, Lease, Sighting};
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::life::Life;
use planescape_vault::mount::{self, Mount};
use planescape_vault::{Call, Error, Kind, Secret, SecretText};
use planescape_vault_client::{Answer, Client};

use super::Task;
use crate::credentials::record::LeaseRecord;
use crate::credentials::secrets::{self, Found};
use crate::credentials::vaults::{Purpose, Vault};

/// An answer that does not fit is not asked for again soon: each one may be a user of a database.
const MISFIT_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// So often that doubles.
const MOST_DOUBLINGS: usize = 3;

impl Task {
    pub(super) async fn look(&mut self, index: usize) -> Result<(), Failure> {
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

    pub(super) async fn read(&mut self, index: usize) -> Result<(), Failure> {
        self.catch_up().await?;
        let ordered = self.run.order.secrets[index].clone();
        let (asked, answer, mount) = self.ask(&ordered).await?;
        let leases = self.holding().map_or(0, |holding| holding.leases.len());
        let pause = pause(leases, self.run.order.secrets.len());
        let misfit = |run, misfit: Misfit| {
            let failure = Failure::of_answer(run, &ordered.path, &misfit);
            Failure {
                retry_after: Some(pause),
                ..failure
            }
        };
        let Some(answer) = answer else {
            return Err(misfit(&self.run, Misfit::Empty));
        };
        let access = Access::of(&ordered.path, &answer, mount.as_ref());
        self.add_lease(index, asked, &answer, &access);
        // If this fails it is tried again before the Secret is made: another read would make another user.
        let _ = self.catch_up().await;
        let has_versions = mount.as_ref().is_some_and(Mount::is_kv_v2);
        let made = contents(ordered.clone(), answer, has_versions).await;
        self.memory.account.add(access);
        let made = made.map_err(|it| misfit(&self.run, it))?;
        self.contents.insert(index, made);
        self.memory.sight(index, Sighting::Ready);
        Ok(())
    }

    /// The secret at a path, when it was asked for, and the mount that serves it.
    async fn ask(
        &mut self,
        ordered: &OrderedSecret,
    ) -> Result<(Timestamp, Option<Secret>, Option<Mount>), Failure> {
        let path = &ordered.path;
        let is_write = !ordered.params.is_empty();
        let question = Question::Read { path, is_write };
        let vault = self.vault().await?;
        let away = |error: Error| Failure::of_outage(&self.run, question, &error);
        vault.enter().map_err(away)?;
        let mount = self.mount_of(&vault, path).await;
        let mount = mount.map_err(|error| self.unread(question, &error))?;
        let is_kv = mount
            .as_ref()
            .is_some_and(|it| it.is_kv_v1() || it.is_kv_v2());
        if !is_kv {
            self.expect_lease().await?;
        }
        // A write to Kubernetes takes no turn from other requests to Vault.
        let engine = mount.as_ref().map_or("", Mount::path);
        let lane = vault.lane(Purpose::Read, engine);
        let unasked = |error: Error| Failure::of_vault(&self.run, question, &error);
        let (_turn, client) = vault.client_in(&lane).await.map_err(unasked)?;
        let away = |error: Error| Failure::of_outage(&self.run, question, &error);
        vault.enter().map_err(away)?;
        let asked = Timestamp::now();
        let answer = call(client, ordered, mount.as_ref(), self.secret_token()).await;
        match vault.learn_of_engine(&lane, answer) {
            Ok(answer) => Ok((asked, answer, mount)),
            Err(error) => {
                if !is_kv && error.may_be_done() {
                    self.lose_answer();
                }
                Err(self.unread(question, &error))
            }
        }
    }

    async fn mount_of(&self, vault: &Arc<Vault>, path: &str) -> Result<Option<Mount>, Error> {
        let (_turn, client) = vault.client().await;
        vault.learn(mount_of(client, path, self.secret_token()).await)
    }

    fn unread(&mut self, question: Question<'_>, error: &Error) -> Failure {
        self.hear(error);
        Failure::of_vault(&self.run, question, error)
    }

    /// The record says that an answer may bring a lease before it is asked for, so that no crash hides one.
    async fn expect_lease(&mut self) -> Result<(), Failure> {
        let lost = self.holding().map_or(0, |holding| holding.unheard);
        let record = self.record.as_ref();
        match record.is_some_and(|record| record.state.unheard > lost) {
            true => Ok(()),
            false => self.record_unheard(lost + 1).await,
        }
    }

    fn lose_answer(&mut self) {
        if let Some(holding) = self.holding() {
            holding.unheard += 1;
        }
    }

    async fn record_unheard(&mut self, unheard: usize) -> Result<(), Failure> {
        let Some(record) = &mut self.record else {
            return Ok(());
        };
        if record.state.unheard == unheard {
            return Ok(());
        }
        let before = std::mem::replace(&mut record.state.unheard, unheard);
        let expected = record.clone();
        let written = self.program.records.update(&self.run, &expected).await;
        if written.is_err()
            && let Some(record) = &mut self.record
        {
            record.state.unheard = before;
        }
        written.map_err(|error| self.refused("record what Vault was asked for", &error))
    }

    /// A lease stands in the record before anything is made of it: [`Self::catch_up`] writes it.
    fn add_lease(&mut self, index: usize, asked: Timestamp, answer: &Secret, access: &Access) {
        let is_last = self.is_last_read(index);
        let (Some(record), Custody::Held(holding)) = (&mut self.record, &mut self.memory.custody)
        else {
            return;
        };
        let unheard = holding.unheard + usize::from(!is_last);
        if answer.lease_id().is_empty() {
            if is_last && record.state.unheard != unheard {
                record.state.unheard = unheard;
                self.is_record_behind = true;
            }
            return;
        }
        let life = Life::new(asked, answer.lease_seconds(), answer.has_renewable_lease());
        record.state.leases.push(LeaseRecord {
            id: answer.lease_id().to_owned(),
            life,
            access: Some(access.clone()),
        });
        record.state.unheard = unheard;
        holding.leases.push(Lease::new(answer.lease_id(), life));
        self.is_record_behind = true;
    }

    /// Brings the record up to date.
    async fn catch_up(&mut self) -> Result<(), Failure> {
        let record = self.record.as_ref().filter(|_| self.is_record_behind);
        let Some(record) = record else {
            return Ok(());
        };
        let written = self.program.records.update(&self.run, record).await;
        written.map_err(|error| self.refused("record a lease", &error))?;
        self.is_record_behind = false;
        Ok(())
    }

    /// Whether no other Secret is to be read after this one.
    fn is_last_read(&self, index: usize) -> bool {
        let others = (0..self.run.order.secrets.len()).filter(|other| *other != index);
        let mut sightings = others.map(|other| self.memory.secrets.get(other).copied());
        sightings.all(|it| matches!(it, Some(Sighting::Ready | Sighting::Present(_))))
    }

    pub(super) async fn write(&mut self, index: usize) -> Result<(), Failure> {
        self.catch_up().await?;
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
}

/// How long an answer that does not fit is not asked for again. Each one before it has left a lease, which lives as long as the run.
fn pause(leases: usize, secrets: usize) -> SignedDuration {
    let needless = leases.saturating_sub(secrets);
    MISFIT_PAUSE * (1_i32 << needless.min(MOST_DOUBLINGS))
}

/// Templates take as long as their limits let them, and must not keep other runs waiting.
async fn contents(
    ordered: OrderedSecret,
    answer: Secret,
    has_versions: bool,
) -> Result<Contents, Misfit> {
    let made = tokio::task::spawn_blocking(move || {
        content::of(&ordered, &answer, has_versions, SystemTime::now())
    });
    // A template is a tenant's, and must end no other run's task.
    made.await.unwrap_or(Err(Misfit::Unfinished))
}

async fn call(
    client: &Client,
    ordered: &OrderedSecret,
    mount: Option<&Mount>,
    token: &SecretText,
) -> Result<Option<Secret>, Error> {
    let (path, query) = mount::read_path(&ordered.path, mount, None);
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
        Answer::Secret(secret) => Ok(secret),
        Answer::List(_) => Ok(None),
    }
}

/// The policy may allow to read what is in a mount, and not to see the mount.
pub(in crate::credentials) async fn mount_of(
    client: &Client,
    path: &str,
    token: &SecretText,
) -> Result<Option<Mount>, Error> {
    match client.mount_of(path, token).await {
        Ok(mount) => Ok(Some(mount)),
        Err(error) if matches!(error.kind(), Some(Kind::Denied | Kind::NotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_never_fits_is_asked_for_ever_more_rarely() {
        let minutes = |leases| pause(leases, 2).as_mins();

        assert_eq!([0, 2, 3, 4, 5].map(minutes), [10, 10, 20, 40, 80]);
        assert_eq!(minutes(1_000), 80);
    }
}
