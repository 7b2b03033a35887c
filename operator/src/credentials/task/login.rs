//! A run's token, and the record of it.

use std::sync::Arc;

use jiff::Timestamp;
use planescape_agent_contract::digest;
use planescape_operator_core::credentials::decide::{Account, Custody, Holding, Lease};
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::left::Place;
use planescape_operator_core::credentials::life::Life;
use planescape_operator_core::credentials::run::Run;
use planescape_vault::{Kind, Login};
use tracing::warn;

use super::{Task, seconds};
use crate::credentials::bearer;
use crate::credentials::record::{Record, State};
use crate::credentials::vaults::Vault;

impl Task {
    pub(super) async fn recall(&mut self) -> Result<(), Failure> {
        let record = self.program.records.read(&self.run).await;
        let record = record.map_err(|error| self.refused("read the record of a token", &error))?;
        let (now, outage) = (Timestamp::now(), self.program.outage);
        let place = record.as_ref().and_then(|it| it.state.place.clone());
        if let Some(Place { address, namespace }) = place {
            self.run.order.address = address;
            self.run.order.namespace = namespace;
        }
        match &record {
            None => self.memory.custody = Custody::Absent,
            Some(Record { state, .. }) => {
                let leases = state.leases.iter();
                let leases =
                    leases.map(|lease| Lease::new(&lease.id, lease.life.recalled(now, outage)));
                let token = state.life.recalled(now, outage);
                let mut holding = Holding::new(token, leases.collect(), state.unheard);
                holding.has_lost = state.has_lost;
                self.memory.hold(holding);
            }
        }
        self.memory.account = self.account(record.as_ref());
        self.record = record;
        self.is_record_behind = false;
        Ok(())
    }

    /// As the Job tells it; as the record does, where nothing was told yet.
    fn account(&self, record: Option<&Record>) -> Account {
        let told = self.run.told.as_ref();
        if let Some(told) = told.filter(|told| told.accessor.is_some()) {
            return match record {
                Some(_) => Account::of(told),
                None => Account::of_lost(told),
            };
        }
        let Some(Record { state, .. }) = record else {
            return Account::default();
        };
        let mut account = Account {
            accessor: Some(&state.accessor)
                .filter(|accessor| !accessor.is_empty())
                .map(|accessor| digest(accessor)),
            ..Account::default()
        };
        for read in state.leases.iter().filter_map(|lease| lease.access.clone()) {
            account.add(read);
        }
        account
    }

    pub(super) async fn log_in(&mut self) -> Result<(), Failure> {
        let vault = self.vault().await?;
        self.give_back_old(&vault).await?;
        let run = &self.run;
        let (login, asked) = self.program.log_in(run, &vault).await?;
        if login.accessor.is_empty() {
            return Err(Failure::of_batch_token(run));
        }
        if login.has_limited_uses {
            self.give_back(&vault, &login).await;
            return Err(Failure::of_limited_uses(run));
        }
        let (before, has_lost) = match &self.memory.custody {
            Custody::Held(holding) => (holding.open(), holding.has_lost),
            // Somebody has deleted the record of one that was told of.
            Custody::Unknown | Custody::Absent => {
                let has_lost = self.memory.account.accessor.is_some();
                (usize::from(has_lost), has_lost)
            }
        };
        let mut record = record_of(run, &login, asked, before);
        record.state.has_lost = has_lost;
        let records = &self.program.records;
        let written = match &self.record {
            Some(_) => records.replace(run, &record).await,
            None => records.create(run, &record).await,
        };
        if let Err(error) = written {
            // Without a record the token would never be found again.
            let is_revoked = self.give_back(&vault, &login).await;
            let is_answered = matches!(error, kube::Error::Api(_));
            if is_revoked && !is_answered && self.record.is_none() {
                // It may have been written all the same.
                let _ = records.delete(run).await;
            }
            self.memory.custody = Custody::Unknown;
            return Err(self.refused("record a token", &error));
        }
        self.contents.clear();
        self.is_record_behind = false;
        let mut holding = Holding::new(record.state.life, Vec::new(), before);
        holding.has_lost = has_lost;
        self.memory.hold(holding);
        self.memory.account = Account {
            accessor: Some(digest(&login.accessor)),
            login_request: Some(login.request).filter(|id| !id.is_empty()),
            ..Account::default()
        };
        self.record = Some(record);
        Ok(())
    }

    /// Revokes the token that another one is to follow. It has ended as far as we know, which is not much where a clock says
    /// so, and nothing but the record that is about to be written anew knows it.
    async fn give_back_old(&mut self, vault: &Arc<Vault>) -> Result<(), Failure> {
        let Some(old) = &self.record else {
            return Ok(());
        };
        let (turn, client) = vault.client().await;
        let revoked = vault.learn(client.revoke_self(bearer(&old.token)).await);
        drop(turn);
        match revoked {
            Err(error) if !self.hear(&error) => {
                Err(Failure::of_vault(&self.run, Question::Login, &error))
            }
            Ok(()) => {
                self.token_is_revoked();
                Ok(())
            }
            Err(_) => {
                if self.is_end_presumed() && self.revoke_by_accessor().await {
                    self.token_is_revoked();
                }
                Ok(())
            }
        }
    }

    /// Revokes a token that nothing is done with; whether Vault says so.
    async fn give_back(&self, vault: &Vault, login: &Login) -> bool {
        let (turn, client) = vault.client().await;
        let revoked = client.revoke_self(bearer(&login.token)).await;
        drop(turn);
        match revoked {
            Ok(()) => true,
            Err(error) if error.kind() == Some(Kind::InvalidToken) => true,
            Err(error) => {
                let job = &self.run.job;
                warn!(job, "cannot revoke a token that nobody needs: {error}");
                let accessor = &login.accessor;
                self.program.revoke_by_accessor(&self.run, accessor).await
            }
        }
    }
}

/// A read follows, whose answer may bring a lease.
fn record_of(run: &Run, login: &Login, asked: Timestamp, before: usize) -> Record {
    let grant = login.grant;
    Record {
        token: login.token.clone(),
        state: State {
            accessor: login.accessor.clone(),
            place: Some(run.order.place()),
            life: Life::new(asked, seconds(grant), grant.is_renewable()),
            leases: Vec::new(),
            unheard: before + 1,
            has_lost: false,
        },
    }
}
