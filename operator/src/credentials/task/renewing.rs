//! Renewals of a run's token and leases.

use std::time::Duration;

use jiff::Timestamp;
use planescape_operator_core::credentials::decide::Subject;
use planescape_operator_core::credentials::failure::{Failure, Question};
use planescape_operator_core::credentials::life::{Life, wanted};
use planescape_vault::mount::engine_of;
use planescape_vault::{Error, Grant, Login};

use super::{Task, seconds};
use crate::credentials::bearer;
use crate::credentials::vaults::Purpose;

impl Task {
    pub(super) async fn renew_token(&mut self) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let question = Question::TokenRenewal;
        let (_turn, client) = vault.client().await;
        let entered = vault.enter();
        entered.map_err(|error| Failure::of_vault(&self.run, question, &error))?;
        let asked = Timestamp::now();
        let bearer = bearer(self.secret_token());
        let renewed = vault.learn(client.renew_self(bearer, self.increment()).await);
        let change = self.change(Subject::Token, asked, renewed);
        let change = change.map_err(|error| Failure::of_vault(&self.run, question, &error))?;
        if let (Some(change), Some(holding)) = (change, self.holding()) {
            holding.token = change.of(holding.token);
        }
        Ok(())
    }

    pub(super) async fn renew_lease(&mut self, index: usize) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let question = Question::LeaseRenewal;
        let unasked = |error: Error| Failure::of_vault(&self.run, question, &error);
        let away = |error: Error| Failure::of_outage(&self.run, question, &error);
        let id = self.lease_id(index);
        let lane = vault.lane(Purpose::Renew, engine_of(&id));
        let (_turn, client) = vault.client_in(&lane).await.map_err(unasked)?;
        vault.enter().map_err(away)?;
        let asked = Timestamp::now();
        let bearer = bearer(self.secret_token());
        let renewed = client.renew_lease(&id, bearer, self.increment()).await;
        let renewed = vault.learn_of_engine(&lane, renewed);
        let change = self.change(Subject::Lease(index), asked, renewed);
        let change = change.map_err(|error| Failure::of_vault(&self.run, question, &error))?;
        let wanted = wanted(self.program.outage);
        if let (Some(change), Some(holding)) = (change, self.holding()) {
            let lease = &mut holding.leases[index];
            let life = change.of(lease.life);
            let is_granted = matches!(change, Change::Granted { .. });
            lease.life = if is_granted {
                life.asked_for(wanted)
            } else {
                life
            };
        }
        Ok(())
    }

    /// Asked where an answer leaves open whether the token has ended.
    pub(super) async fn look_up_token(&mut self) -> Result<(), Failure> {
        let vault = self.vault().await?;
        let (_turn, client) = vault.client().await;
        let asked = Timestamp::now();
        let found = vault.learn(client.look_up_self(bearer(self.secret_token())).await);
        let Some(holding) = self.holding() else {
            return Ok(());
        };
        match found {
            Ok(Login { grant, .. }) => {
                holding.confirm(asked, seconds(grant), grant.is_renewable());
                Ok(())
            }
            Err(error) if holding.miss(&error, Timestamp::now()) => Ok(()),
            Err(error) => {
                let question = match self.run.is_over(asked) {
                    true => Question::Revocation,
                    false => Question::TokenRenewal,
                };
                Err(Failure::of_vault(&self.run, question, &error))
            }
        }
    }

    fn increment(&self) -> Option<Duration> {
        Duration::try_from(wanted(self.program.outage)).ok()
    }

    /// The meaning of an answer to a renewal; none if the token has ended, and all with it.
    fn change(
        &mut self,
        subject: Subject,
        asked: Timestamp,
        renewed: Result<Grant, Error>,
    ) -> Result<Option<Change>, Error> {
        match renewed {
            Ok(grant) => Ok(Some(Change::Granted { asked, grant })),
            Err(Error::Refused(refusal)) if refusal.calls_lease_gone() => {
                Ok(Some(Change::Gone(Timestamp::now())))
            }
            Err(Error::Refused(refusal)) if refusal.ends_renewals() => Ok(Some(Change::Last)),
            Err(error) if self.hear(&error) => Ok(None),
            Err(error) => {
                if !matches!(error, Error::Refused(_)) {
                    let (now, outage) = (Timestamp::now(), self.program.outage);
                    self.memory.lose_renewal(subject, outage, now);
                }
                Err(error)
            }
        }
    }
}

/// A change of a life.
#[derive(Clone, Copy)]
enum Change {
    Granted {
        asked: Timestamp,
        grant: Grant,
    },
    /// There will be no other renewal.
    Last,
    Gone(Timestamp),
}

impl Change {
    fn of(self, life: Life) -> Life {
        match self {
            Self::Granted { asked, grant } => {
                life.renewed(asked, seconds(grant), grant.is_renewable())
            }
            Self::Last => life.settled(),
            Self::Gone(at) => life.ended(at),
        }
    }
}
