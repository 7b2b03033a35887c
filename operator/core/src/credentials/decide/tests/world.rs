//! A run, and what it deals with.

use planescape_agent_contract::{Phase, Reason};
use planescape_vault::Refusal;

use super::super::*;
use super::OUTAGE;
use crate::credentials::run::{Lock, Stage};
use crate::credentials::{Content, Order, OrderedSecret};
use crate::job::identity::Identity;

/// A Job, a Vault and a namespace that do what they are told.
#[derive(Clone)]
pub(super) struct World {
    pub(super) run: Run,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
    pub(super) has_record: bool,
    pub(super) recorded: Vec<Lease>,
    pub(super) has_secret: bool,
    pub(super) is_token_alive: bool,
    pub(super) is_renewable: bool,
    pub(super) is_vault_down: bool,
    /// Whether the token has ended, of which Vault says no more than that it is denied.
    pub(super) is_denied: bool,
    /// Steps that Vault refuses, by name.
    pub(super) refused: Vec<&'static str>,
    /// Steps that nobody behind Vault answers.
    pub(super) unanswered: Vec<&'static str>,
    pub(super) tokens: usize,
    /// How many steps the program lives.
    pub(super) kill_after: Option<usize>,
}

impl World {
    pub(super) fn new(stage: Stage) -> Self {
        let secret = OrderedSecret {
            path: "database/creds/readonly".into(),
            params: Default::default(),
            secret_name: "vault-db-creds".into(),
            content: Content::All,
        };
        Self {
            run: Run {
                owner: Identity {
                    namespace: "team".into(),
                    name: "my-job".into(),
                    uid: "u".into(),
                },
                job: "my-job-1".into(),
                uid: "j".into(),
                service_account: "default".into(),
                order: Order {
                    address: "http://vault:8200".into(),
                    namespace: None,
                    auth_path: "auth/kubernetes".into(),
                    role: "reader".into(),
                    secrets: vec![secret],
                },
                lock: Lock::Suspended,
                stage,
                is_claimed: false,
                told: None,
            },
            memory: Memory::default(),
            now: "2026-11-24T10:00:00Z".parse().unwrap(),
            has_record: false,
            recorded: Vec::new(),
            has_secret: false,
            is_token_alive: false,
            is_renewable: true,
            is_vault_down: false,
            is_denied: false,
            refused: Vec::new(),
            unanswered: Vec::new(),
            tokens: 0,
            kill_after: None,
        }
    }

    pub(super) fn next(&self) -> Step {
        next(&self.run, &self.memory, OUTAGE, self.now)
    }

    pub(super) fn told(&self) -> &str {
        self.run
            .told
            .as_ref()
            .map_or("", |told| told.reason.as_str())
    }

    /// The same for a while.
    pub(super) fn wait_for(&mut self, time: SignedDuration) -> Vec<String> {
        let end = self.now.saturating_add(time).unwrap();
        let mut names = self.go_on();
        while let Step::Wait(Some(until)) = self.next()
            && until <= end
        {
            self.now = until;
            names.extend(self.go_on());
        }
        self.now = end;
        names
    }

    /// The names of the steps until there is nothing to do.
    pub(super) fn go_on(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let step = self.next();
            if let Step::Wait(until) = step {
                assert!(until.is_none_or(|until| until > self.now), "{names:?}");
                return names;
            }
            assert!(names.len() < 40, "{names:?}");
            names.push(name(&step));
            if step == Step::Finish {
                return names;
            }
            self.take(step);
            self.kill_after = match self.kill_after {
                Some(0) => {
                    self.memory = Memory::default();
                    None
                }
                left => left.map(|left| left - 1),
            };
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        if self.is_denied && step.asks_with_token() {
            self.be_denied(&step);
            return;
        }
        let is_away = step.asks_vault() && self.is_vault_down;
        let is_silent = self.unanswered.contains(&&name(&step)[..]);
        if is_away || is_silent || self.refused.contains(&&name(&step)[..]) {
            let failure = match is_away {
                true => failure(Reason::Unreachable, None),
                false => refused(&step, is_silent),
            };
            if step == Step::LogIn && !is_away {
                // Whether its record was written is not known.
                self.memory.custody = Custody::Unknown;
            }
            self.memory.fail(&self.run, (&step, failure), 0.5, self.now);
            return;
        }
        let life = Life::new(self.now, 600, self.is_renewable);
        match step.clone() {
            Step::Recall => {
                self.memory.custody = match self.has_record {
                    true => Custody::Held(Holding::new(life, self.recorded.clone(), 0)),
                    false => Custody::Absent,
                };
            }
            Step::Claim => self.run.is_claimed = true,
            Step::LogIn => {
                self.tokens += 1;
                self.is_token_alive = true;
                self.is_denied = false;
                self.has_record = true;
                self.memory.hold(Holding::new(life, Vec::new(), 0));
            }
            Step::Look(index) => {
                let sighting = if self.has_secret {
                    Sighting::Present(self.now)
                } else {
                    Sighting::Missing
                };
                self.memory.sight(index, sighting);
            }
            Step::Read(index) => {
                let path = &self.run.order.secrets[index].path;
                let lease = Lease::new(&format!("{path}/1"), life);
                self.holding().leases.push(lease.clone());
                self.recorded.push(lease);
                self.memory.sight(index, Sighting::Ready);
            }
            Step::Write(index) => {
                self.has_secret = true;
                self.memory.sight(index, Sighting::Present(self.now));
            }
            Step::LetGo(report) => {
                assert!(self.has_secret && self.has_record && self.run.is_claimed);
                self.run.stage = Stage::Running;
                self.run.told = Some(report);
            }
            Step::RenewToken
            | Step::RenewLease(_)
            | Step::LookUpToken
            | Step::RevokeLease(_)
            | Step::RevokeToken
            | Step::LookUpLease(_) => {
                self.renew_or_revoke(&step);
            }
            Step::Tell(report) => self.run.told = Some(report),
            Step::Forget => {
                self.has_record = false;
                self.memory.forget();
            }
            Step::Release => self.run.is_claimed = false,
            Step::Wait(_) | Step::Finish => unreachable!("is not done"),
        }
        self.memory.succeed(&step);
    }

    /// The program comes back after so long.
    pub(super) fn recall_after(&mut self, time: SignedDuration) {
        self.now = self.now.saturating_add(time).unwrap();
        let now = self.now;
        let holding = self.holding();
        holding.token = holding.token.recalled(now, OUTAGE);
        for lease in &mut holding.leases {
            lease.life = lease.life.recalled(now, OUTAGE);
        }
    }

    fn be_denied(&mut self, step: &Step) {
        let now = self.now;
        let error = Error::Refused(Refusal::new(403, "permission denied".to_owned(), None));
        let holding = self.holding();
        let is_done = if *step == Step::LookUpToken {
            holding.miss(&error, now)
        } else if *step == Step::RevokeToken {
            holding.hear_of_revocation(&error, now)
        } else {
            holding.hear(&error, now) && !matches!(step, Step::Read(_))
        };
        if is_done {
            self.memory.succeed(step);
            return;
        }
        let failure = Failure {
            report: Report {
                status: Some(403),
                ..Report::new(Phase::Read, Reason::PermissionDenied)
            },
            retry_after: None,
            is_outage: false,
            is_silent: false,
        };
        self.memory.fail(&self.run, (step, failure), 0.5, now);
    }

    fn renew_or_revoke(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::RenewToken => {
                let token = &mut self.holding().token;
                *token = token.renewed(now, 5_400, true);
            }
            Step::RenewLease(index) => {
                let lease = &mut self.holding().leases[*index];
                lease.life = lease.life.renewed(now, 5_400, true);
            }
            Step::LookUpToken => self.holding().confirm(now, 5_400, true),
            Step::RevokeLease(index) => self.holding().leases[*index].is_revoked = true,
            Step::RevokeToken => {
                self.is_token_alive = false;
                self.holding().token_end = TokenEnd::Said;
            }
            // Its database is back by then.
            Step::LookUpLease(index) => self.holding().leases[*index].is_revoked = true,
            Step::Recall
            | Step::Claim
            | Step::LogIn
            | Step::Look(_)
            | Step::Read(_)
            | Step::Write(_)
            | Step::LetGo(_)
            | Step::Tell(_)
            | Step::Forget
            | Step::Release
            | Step::Wait(_)
            | Step::Finish => unreachable!("is about something else"),
        }
    }

    pub(super) fn holding(&mut self) -> &mut Holding {
        match &mut self.memory.custody {
            Custody::Held(holding) => holding,
            Custody::Unknown | Custody::Absent => panic!("nothing is held"),
        }
    }
}

pub(super) fn failure(reason: Reason, retry_after: Option<SignedDuration>) -> Failure {
    Failure {
        is_outage: reason == Reason::Unreachable,
        is_silent: false,
        report: Report::new(Phase::Login, reason),
        retry_after,
    }
}

/// By Vault, with an answer, or by somebody behind it without one.
fn refused(step: &Step, is_silent: bool) -> Failure {
    let is_of_end = matches!(step, Step::RevokeLease(_) | Step::LookUpLease(_));
    let (phase, reason) = match is_of_end {
        true => (Phase::Done, Reason::RevokeFailed),
        false => (Phase::Read, Reason::RequestRefused),
    };
    Failure {
        report: Report {
            status: Some(400).filter(|_| !is_silent),
            message: Some("the database is down".to_owned()),
            ..Report::new(phase, reason)
        },
        retry_after: None,
        is_outage: false,
        is_silent,
    }
}

fn name(step: &Step) -> String {
    match step {
        Step::Tell(report) => format!("Tell({})", report.reason),
        Step::Look(index)
        | Step::Read(index)
        | Step::Write(index)
        | Step::RenewLease(index)
        | Step::RevokeLease(index)
        | Step::LookUpLease(index) => {
            format!("{}({index})", step.name())
        }
        Step::Recall
        | Step::Claim
        | Step::LogIn
        | Step::LetGo(_)
        | Step::RenewToken
        | Step::LookUpToken
        | Step::RevokeToken
        | Step::Forget
        | Step::Release
        | Step::Wait(_)
        | Step::Finish => step.name().to_owned(),
    }
}
