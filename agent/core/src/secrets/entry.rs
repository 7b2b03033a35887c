//! One thing that templates read: its answer, the lease that holds it, and what is being done.

use std::time::Duration;

use planescape_templates::{Answer, Request};
use planescape_vault::{Grant, Secret, SecretText, Text};

use super::{Lane, Taken};
use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Made};
use crate::dice::Dice;
use crate::lease::{Lease, Step};
use crate::token::{Ticket, Token, TokenId, leased_in, made_in};

/// One request and its answer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) request: Request,
    /// The engine that answers it, as far as it was known when the entry was queued last.
    pub(super) engine: String,
    pub(super) activity: Activity,
    pub(super) answer: Option<Answer>,
    pub(super) hold: Hold,
    /// When the secret in the answer stops working, if that is not told yet.
    pub(super) expires: Option<Moment>,
    pub(super) backoff: Backoff,
    /// The latest failure was a refusal, which another token may not meet.
    pub(super) is_refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing is being done; it is in a queue.
    Due {
        at: Moment,
        lane: Lane,
    },
    /// Its mount is being asked for.
    Waiting,
    Reading,
    Renewing(Ticket),
}

/// The hold on the answer.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing: it is not leased.
    Nothing,
    /// A lease, or a token that a template has made. It ends with the token that it was read with; an orphan does not.
    Leased {
        by: Option<TokenId>,
        lease: Option<Lease>,
    },
    /// Its token was replaced, and nothing has replaced it yet.
    Lost,
}

impl Entry {
    pub(super) fn new(request: Request, engine: String, backoff: Backoff, now: Moment) -> Self {
        let lane = lane_of(&request);
        Self {
            request,
            engine,
            activity: Activity::Due { at: now, lane },
            answer: None,
            hold: Hold::Nothing,
            expires: None,
            backoff,
            is_refused: false,
        }
    }

    /// Whether it waits to be read once more after a refusal. One that is lost already does not count: tokens that come
    /// and go do not undo its backoff.
    pub(super) fn waits_for_a_token(&self) -> bool {
        let waits = matches!(
            self.activity,
            Activity::Due {
                lane: Lane::Read,
                ..
            }
        );
        let fails = self.is_refused && self.backoff.failures() > 0;
        waits && fails && matches!(self.hold, Hold::Nothing)
    }

    /// Takes an answer in, and says whether templates see something new.
    pub(super) fn replace_answer(&mut self, answer: Answer) -> Taken {
        let old = self.answer.as_ref();
        let is_same = old.is_some_and(|old| says_the_same(old, &answer));
        self.answer = Some(answer);
        if is_same { Taken::Same } else { Taken::Changed }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.hold {
            Hold::Leased { lease, .. } => lease.as_ref(),
            Hold::Nothing | Hold::Lost => None,
        }
    }

    /// How long its lease can live at all, once Vault extends it no further.
    pub(super) fn maximum(&self) -> Option<Duration> {
        let Hold::Leased { lease, .. } = &self.hold else {
            return None;
        };
        match (lease, &self.answer) {
            (Some(lease), _) => lease.maximum(),
            // It cannot be extended at all, unless it is the agent's own token.
            (None, Some(Answer::Secret(Some(secret)))) => Some(secret.lease_duration())
                .filter(|life| !life.is_zero() && !secret.is_renewable()),
            (None, _) => None,
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.hold {
            Hold::Leased { lease, .. } => lease.as_mut(),
            Hold::Nothing | Hold::Lost => None,
        }
    }

    /// The command that renews its lease; `reads` is the namespace of all reads.
    pub(super) fn renewal(
        &self,
        ticket: Ticket,
        token: &Token,
        reads: Option<&str>,
    ) -> Option<Command> {
        let lease_id = self.lease_id()?;
        Some(Command::RenewLease {
            ticket,
            request: self.request.clone(),
            namespace: leased_in(self.request.path(), &lease_id, reads),
            lease_id,
            token: token.secret.clone(),
        })
    }

    /// The command that renews the token in it; `reads` is the namespace of all reads.
    pub(super) fn renewal_of_made(&self, ticket: Ticket, reads: Option<&str>) -> Option<Command> {
        let auth = secret_of(self.answer.as_ref()?)?.auth()?;
        Some(Command::RenewMade(Made {
            ticket,
            request: self.request.clone(),
            namespace: made_in(self.request.path(), reads),
            accessor: auth.accessor.as_str()?.to_owned(),
            token: SecretText::new(auth.client_token.as_str()?.to_owned()),
        }))
    }

    /// The token that its answer carries.
    pub(super) fn made(&self) -> Option<&Text> {
        secret_of(self.answer.as_ref()?)?.client_token()
    }

    /// The id of its lease.
    pub(super) fn lease_id(&self) -> Option<String> {
        lease_id(self.answer.as_ref()?)
    }
}

/// Local files are not Vault's; a certificate is first looked for in the file that keeps it.
pub(super) fn lane_of(request: &Request) -> Lane {
    match request {
        Request::File { .. }
        | Request::Pki {
            destination: Some(_),
            ..
        } => Lane::File,
        Request::Read { .. }
        | Request::Write { .. }
        | Request::List { .. }
        | Request::Pki {
            destination: None, ..
        } => Lane::Read,
    }
}

/// The lane of the next step of a lease, or of a token, that an answer carries.
pub(super) fn lease_lane(lease: &Lease, answer: &Answer) -> Lane {
    match lease.next_step() {
        Step::Renew if lease_id(answer).is_none() => Lane::Made,
        Step::Renew => Lane::Renewal,
        Step::Replace => Lane::Read,
    }
}

/// The hold on an answer that has just come; `own` is the agent's token, which is renewed as such.
pub(super) fn hold(
    answer: &Answer,
    own: Option<&Token>,
    ticket: Ticket,
    dice: &mut Dice,
    now: Moment,
) -> Hold {
    let Some(secret) = secret_of(answer).filter(|secret| is_held(secret)) else {
        return Hold::Nothing;
    };
    let is_own = own.is_some_and(|own| {
        let made = secret.client_token();
        made.is_some_and(|made| made.as_bytes() == own.secret.expose().as_bytes())
    });
    let is_orphan = !is_own && secret.auth().is_some_and(|auth| auth.is_orphan);
    let grant = Grant::new(secret.lease_duration(), true);
    let lease = secret.is_renewable() && !is_own;
    let lease = lease.then(|| Lease::new(grant, ticket, dice, now));
    Hold::Leased {
        by: (!is_orphan).then_some(ticket.token),
        lease: lease.flatten(),
    }
}

/// Whether it ends with a lease, or with the token that it carries.
pub(super) fn is_held(secret: &Secret) -> bool {
    !secret.lease_id().is_empty() || secret.client_token().is_some()
}

fn secret_of(answer: &Answer) -> Option<&Secret> {
    match answer {
        Answer::Secret(secret) => secret.as_ref(),
        Answer::List(_) | Answer::Pki(_) | Answer::File(_) => None,
    }
}

/// The id of an answer's lease.
pub(super) fn lease_id(answer: &Answer) -> Option<String> {
    let id = secret_of(answer)?.lease_id();
    (!id.is_empty()).then(|| id.to_owned())
}

/// Whether a template sees the same in both.
fn says_the_same(one: &Answer, other: &Answer) -> bool {
    match (one, other) {
        (Answer::Secret(Some(one)), Answer::Secret(Some(other))) => one.says_the_same(other),
        (Answer::Secret(None), Answer::Secret(None)) => true,
        (Answer::List(one), Answer::List(other)) => one == other,
        (Answer::File(one), Answer::File(other)) => one == other,
        (Answer::Pki(one), Answer::Pki(other)) => one == other,
        (
            Answer::Secret(_) | Answer::List(_) | Answer::File(_) | Answer::Pki(_),
            Answer::Secret(_) | Answer::List(_) | Answer::File(_) | Answer::Pki(_),
        ) => false,
    }
}
