//! Keeps what the templates read: asks once for each request, renews leases, asks again when
//! something ends.

mod call;
mod refresh;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planescape_agent_contract::Config;
use planescape_templates::{Answer, Answers, Request};
use planescape_vault::SecretText;
use planescape_vault::mount::Mount;

use crate::backoff::Backoff;
use crate::clock::{Moment, Now};
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::input::Grant;
use crate::lease::{Lease, Step};
use call::call;
use refresh::Refresh;

/// How often a local file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// Every request of every template, and its answer.
#[derive(Debug)]
pub(crate) struct Secrets {
    entries: BTreeMap<Request, Entry>,
    answers: Answers,
    refresh: Refresh,
    backoff: (Duration, Duration),
    namespace: Option<String>,
    /// How many requests may be in flight.
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    activity: Activity,
    /// When to act next.
    due: Moment,
    /// Known once Vault said it; the inner `None`: Vault does not say.
    mount: Option<Option<Mount>>,
    lease: Option<Lease>,
    /// Whether what is being asked belongs to a token that was replaced meanwhile.
    is_outdated: bool,
    /// Whether the lease ended with its token and nothing has replaced it yet.
    is_orphan: bool,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Idle,
    FindingMount,
    Reading,
    Renewing,
}

/// What a failed request means for the agent.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) request: Request,
    pub(crate) failure: Failure,
    /// How often it failed in a row.
    pub(crate) failures: u32,
    pub(crate) backoff: Duration,
}

impl Trouble {
    pub(crate) fn notice(&self) -> Notice {
        Notice::RequestFailed {
            request: self.request.clone(),
            failure: self.failure.clone(),
            backoff: self.backoff,
        }
    }
}

impl Secrets {
    pub(crate) fn new(config: &Config) -> Self {
        let backoff = if config.auth.backoff_is_explicit {
            (config.auth.min_backoff, config.auth.max_backoff)
        } else {
            (Duration::from_millis(250), Duration::from_secs(60))
        };
        Self {
            entries: BTreeMap::new(),
            answers: Answers::default(),
            refresh: Refresh::new(&config.template_config),
            backoff,
            namespace: config.vault.namespace.clone(),
            limit: config.template_config.max_connections,
        }
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Makes exactly these the requests that are kept.
    pub(crate) fn keep(&mut self, wanted: &BTreeSet<Request>, now: Moment) {
        self.entries.retain(|request, _| wanted.contains(request));
        self.answers.retain(|request| wanted.contains(request));
        for request in wanted {
            if !self.entries.contains_key(request) {
                let entry = Entry {
                    activity: Activity::Idle,
                    due: now,
                    mount: None,
                    lease: None,
                    is_outdated: false,
                    is_orphan: false,
                    backoff: Backoff::request_between(self.backoff.0, self.backoff.1),
                };
                self.entries.insert(request.clone(), entry);
            }
        }
    }

    /// Whether an answer is on its way that may carry a lease.
    pub(crate) fn is_reading(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.activity == Activity::Reading)
    }

    /// What to do now. Without a token only local files can be read.
    pub(crate) fn advance(&mut self, token: Option<&SecretText>, now: Moment) -> Vec<Command> {
        let free = self.free();
        let namespace = self.namespace.as_deref();
        self.entries
            .iter_mut()
            .filter(|(_, entry)| entry.activity == Activity::Idle && entry.due <= now)
            .filter_map(|(request, entry)| entry.start(request, &self.answers, namespace, token))
            .take(free)
            .collect()
    }

    /// How many more requests may be in flight.
    fn free(&self) -> usize {
        let busy = self
            .entries
            .values()
            .filter(|entry| entry.activity != Activity::Idle)
            .count();
        self.limit.saturating_sub(busy)
    }

    /// When `advance` has something to do although nothing happened; with nothing free, a result
    /// must come first.
    pub(crate) fn timeout(&self) -> Option<Moment> {
        if self.free() == 0 {
            return None;
        }
        self.entries
            .values()
            .filter(|entry| entry.activity == Activity::Idle)
            .map(|entry| entry.due)
            .min()
    }

    pub(crate) fn mount_found(
        &mut self,
        request: &Request,
        result: Result<Option<Mount>, Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Trouble> {
        let entry = self.entries.get_mut(request)?;
        entry.activity = Activity::Idle;
        let is_outdated = std::mem::take(&mut entry.is_outdated);
        match result {
            Ok(mount) => {
                entry.mount = Some(mount);
                None
            }
            Err(failure) if is_outdated && failure.remedy() == Remedy::LogInAgain => {
                entry.due = now;
                None
            }
            // An old server, or a policy that denies the path: then the read itself will say so.
            Err(failure @ Failure::Status { .. })
                if matches!(failure.status(), Some(403 | 404))
                    && failure.remedy() == Remedy::GiveUp =>
            {
                entry.mount = Some(None);
                None
            }
            Err(failure) => Some(entry.fail(request, failure, dice, now)),
        }
    }

    /// Takes an answer in; it may change what the templates render.
    pub(crate) fn answered(
        &mut self,
        request: &Request,
        result: Result<Answer, Failure>,
        dice: &mut Dice,
        now: Now,
    ) -> Option<Trouble> {
        let entry = self.entries.get_mut(request)?;
        entry.activity = Activity::Idle;
        let is_outdated = std::mem::take(&mut entry.is_outdated);
        match result {
            Ok(Answer::Secret(Some(secret))) if secret.is_deleted(now.wall) => {
                let failure = Failure::Status {
                    code: 404,
                    message: "the secret is deleted".to_owned(),
                };
                Some(entry.fail(request, failure, dice, now.moment))
            }
            Ok(answer) => {
                entry.backoff.succeed();
                entry.is_orphan = false;
                entry.lease = lease(&answer, dice, now.moment);
                entry.due = match (&entry.lease, request) {
                    (Some(lease), _) => lease.act_at(),
                    (None, Request::File { .. }) => now.moment + FILE_INTERVAL,
                    (None, _) => now.moment + self.refresh.wait(&answer, dice, now.wall),
                };
                if is_outdated && lease_id(&answer).is_some() {
                    entry.orphan(now.moment);
                }
                self.answers.insert(request.clone(), answer);
                None
            }
            // It says nothing about the token that we have now.
            Err(failure) if is_outdated && failure.remedy() == Remedy::LogInAgain => {
                entry.due = now.moment;
                None
            }
            Err(failure) => Some(entry.fail(request, failure, dice, now.moment)),
        }
    }

    pub(crate) fn lease_renewed(
        &mut self,
        request: &Request,
        grant: Grant,
        dice: &mut Dice,
        now: Moment,
    ) -> Notice {
        if let Some(entry) = self.entries.get_mut(request) {
            entry.activity = Activity::Idle;
            entry.is_outdated = false;
            entry.backoff.succeed();
            if let Some(lease) = &mut entry.lease {
                lease.renewed(grant, dice, now);
                entry.due = lease.act_at();
            }
        }
        Notice::Renewed {
            request: Some(request.clone()),
            ttl: grant.ttl(),
        }
    }

    /// Whether the answer to a request will be about a token that was replaced meanwhile.
    pub(crate) fn is_outdated(&self, request: &Request) -> bool {
        self.entries
            .get(request)
            .is_some_and(|entry| entry.is_outdated)
    }

    /// A lease that cannot be extended is replaced: at once where trying again is no use.
    pub(crate) fn renewal_failed(
        &mut self,
        request: &Request,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Notice {
        if let Some(entry) = self.entries.get_mut(request) {
            entry.activity = Activity::Idle;
            entry.is_outdated = false;
            let wait = entry.backoff.fail(dice);
            let is_hopeless = failure.remedy() == Remedy::GiveUp
                || entry
                    .lease
                    .as_ref()
                    .is_none_or(|lease| lease.is_nearly_over(now));
            if is_hopeless {
                entry.end_lease(now);
            } else {
                entry.due = now + wait;
            }
        }
        Notice::RenewalFailed {
            request: Some(request.clone()),
            failure,
        }
    }

    /// There is another token: what the old one leased ends with it and is read again.
    pub(crate) fn token_replaced(&mut self, now: Moment) {
        for (request, entry) in &mut self.entries {
            entry.is_outdated = entry.activity != Activity::Idle;
            if self.answers.get(request).and_then(lease_id).is_some() {
                entry.orphan(now);
            }
        }
    }
}

impl Entry {
    fn start(
        &mut self,
        request: &Request,
        answers: &Answers,
        namespace: Option<&str>,
        token: Option<&SecretText>,
    ) -> Option<Command> {
        if let Request::File { path } = request {
            self.activity = Activity::Reading;
            return Some(Command::ReadFile {
                request: request.clone(),
                path: path.clone(),
            });
        }
        let token = token?.clone();
        let lease_id = self
            .lease
            .as_ref()
            .filter(|lease| lease.next_step() == Step::Renew)
            .and_then(|_| lease_id(answers.get(request)?));
        if let Some(lease_id) = lease_id {
            self.activity = Activity::Renewing;
            return Some(Command::RenewLease {
                request: request.clone(),
                lease_id,
                token,
            });
        }
        let Some(mount) = &self.mount else {
            self.activity = Activity::FindingMount;
            return Some(Command::FindMount {
                request: request.clone(),
                path: format!("sys/internal/ui/mounts/{}", request.path()),
                token,
            });
        };
        let call = call(request, mount.as_ref(), namespace)?;
        self.activity = Activity::Reading;
        Some(Command::Read {
            request: request.clone(),
            call,
            token,
        })
    }

    /// The answer must be had anew.
    fn end_lease(&mut self, now: Moment) {
        self.lease = None;
        self.due = now;
    }

    /// Once, so that tokens that come and go do not undo the backoff.
    fn orphan(&mut self, now: Moment) {
        if !std::mem::replace(&mut self.is_orphan, true) {
            self.end_lease(now);
        }
    }

    fn fail(
        &mut self,
        request: &Request,
        failure: Failure,
        dice: &mut Dice,
        now: Moment,
    ) -> Trouble {
        let backoff = self.backoff.fail(dice);
        self.due = now + backoff;
        // What Vault would not say about the mount may be said next time.
        self.mount = self.mount.take().filter(Option::is_some);
        Trouble {
            request: request.clone(),
            failure,
            failures: self.backoff.failures(),
            backoff,
        }
    }
}

fn lease(answer: &Answer, dice: &mut Dice, now: Moment) -> Option<Lease> {
    let Answer::Secret(Some(secret)) = answer else {
        return None;
    };
    if !secret.is_renewable() {
        return None;
    }
    lease_id(answer)?;
    let grant = Grant::new(secret.lease_duration(), true);
    Lease::new(grant, dice, now)
}

/// What is leased ends with the token that it was read with.
fn lease_id(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Secret(Some(secret)) => {
            Some(secret.lease_id().to_owned()).filter(|id| !id.is_empty())
        }
        Answer::Secret(None) | Answer::List(_) | Answer::Pki(_) | Answer::File(_) => None,
    }
}
