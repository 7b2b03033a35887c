//! The end of a run's leases and of its token.

use std::time::Duration;

use jiff::Timestamp;
use planescape_agent_contract::digest;
use planescape_operator_core::credentials::decide::{Custody, TokenEnd};
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_vault::mount::engine_of;
use planescape_vault::{Error, Kind};
use tokio::time::timeout;
use tracing::info;

use super::Task;
use crate::credentials::bearer;
use crate::credentials::revoker::Unanswered;
use crate::credentials::vaults::Purpose;

/// So long a database may take with the end of a lease while the token waits for its own.
const LONGEST_REVOCATION: Duration = Duration::from_secs(3);

impl Task {
    pub(super) async fn revoke_lease(&mut self, index: usize) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let id = self.lease_id(index);
        let named = digest(&id);
        let question = Question::LeaseRevocation { digest: &named };
        let lane = vault.lane(Purpose::Revoke, engine_of(&id));
        let turn = vault.client_in(&lane).await;
        let away = |error: Error| Failure::of_outage(&self.run, question, &error);
        vault.enter().map_err(away)?;
        let revoked = match turn {
            Ok((_turn, client)) => {
                let revoked = client.revoke_lease(&id, bearer(self.secret_token()));
                let revoked = timeout(LONGEST_REVOCATION, revoked).await;
                let revoked = revoked.unwrap_or_else(|_| Err(vault.silence()));
                vault.learn_of_engine(&lane, revoked)
            }
            Err(error) => Err(error),
        };
        match revoked {
            Ok(()) => self.lease_is_gone(index),
            Err(error) if self.hear(&error) => {}
            Err(error) if error.kind() == Some(Kind::Denied) && !self.doubts() => {
                self.memory.may_not_revoke_leases = true;
            }
            Err(error) => return Err(Failure::of_vault(&self.run, question, &error)),
        }
        Ok(())
    }

    pub(super) async fn revoke_token(&mut self) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let (turn, client) = vault.client().await;
        let revoked = match vault.enter() {
            Ok(()) => vault.learn(client.revoke_self(bearer(self.secret_token())).await),
            Err(error) => Err(error),
        };
        drop(turn);
        let open = match revoked {
            Ok(()) => None,
            Err(error) if self.hear_of_revocation(&error) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = open {
            // A token in doubt is looked up first: it may have ended.
            let is_settled = error.kind() == Some(Kind::Denied) && !self.doubts();
            if !is_settled || !self.revoke_by_accessor().await {
                return Err(Failure::of_vault(&self.run, Question::Revocation, &error));
            }
        }
        info!(
            job = self.run.job,
            namespace = self.run.owner.namespace,
            "revoked the token of a run"
        );
        self.token_is_revoked();
        Ok(())
    }

    /// Whether Vault has said so of a token whose revocation it denies to itself: that may be because it has ended.
    pub(super) async fn revoke_by_accessor(&self) -> bool {
        let record = self.record.as_ref();
        let accessor = record.map_or("", |record| record.state.accessor.as_str());
        self.program.revoke_by_accessor(&self.run, accessor).await
    }

    /// Takes in what an answer to the revocation of the token says of it; whether that it has ended.
    fn hear_of_revocation(&mut self, error: &Error) -> bool {
        let now = Timestamp::now();
        self.holding()
            .is_some_and(|holding| holding.hear_of_revocation(error, now))
    }

    /// Whether nothing but our clock says that the token has ended.
    pub(super) fn is_end_presumed(&self) -> bool {
        matches!(&self.memory.custody, Custody::Held(holding) if holding.is_end_presumed())
    }

    /// Whether the last answer may mean that the token has ended.
    fn doubts(&self) -> bool {
        matches!(&self.memory.custody, Custody::Held(holding) if holding.is_doubted)
    }

    pub(super) fn token_is_revoked(&mut self) {
        if let Custody::Held(holding) = &mut self.memory.custody {
            holding.token_end = TokenEnd::Said;
        }
    }

    fn lease_is_gone(&mut self, index: usize) {
        if let Custody::Held(holding) = &mut self.memory.custody {
            holding.leases[index].is_revoked = true;
        }
    }

    /// Vault answers the revocation of a token before it comes to the leases.
    pub(super) async fn look_up_lease(&mut self, index: usize) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let run = &self.run;
        let place = run.order.place();
        let id = self.lease_id(index);
        let found = match &self.program.revoker {
            Some(revoker) => revoker.has_lease(&vault, &place, &id).await,
            None => Ok(None),
        };
        let named = digest(&id);
        match found {
            Ok(Some(false)) => {
                self.lease_is_gone(index);
                Ok(())
            }
            Ok(Some(true)) if self.is_end_presumed() => {
                Err(Failure::of_lease_of_denied_token(run, &named))
            }
            Ok(Some(true)) => Err(Failure::of_living_lease(run, &named)),
            Ok(None) => {
                self.memory.may_not_look_up_leases = true;
                Ok(())
            }
            Err(Unanswered::Unasked(why)) => Err(Failure::of_unasked_lease(run, &named, &why)),
            Err(Unanswered::Vault(error)) => {
                let question = Question::LeaseLookUp { digest: &named };
                let failure = Failure::of_vault(run, question, &error);
                let _: Result<(), Error> = vault.learn(Err(error));
                Err(failure)
            }
        }
    }

    pub(super) async fn forget(&mut self) -> Result<(), Failure> {
        let deleted = self.program.records.delete(&self.run).await;
        deleted.map_err(|error| self.refused("delete the record of a token", &error))?;
        self.record = None;
        self.memory.forget();
        Ok(())
    }
}
