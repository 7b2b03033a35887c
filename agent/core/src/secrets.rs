//! Keeps what the templates read: asks once for each request, renews leases, asks again when
//! something ends. The work for one request costs the same however many there are.

mod accesses;
mod answer;
mod call;
mod entry;
mod lanes;
mod leases;
mod lost;
mod made;
mod mounts;
mod overlap;
mod pki;
mod queue;
mod refresh;

use std::collections::BTreeMap;
use std::time::Duration;

use planescape_agent_contract::Config;
use planescape_templates::{Answer, Request};
use planescape_vault::Grant;
use planescape_vault::mount::Mount;

use crate::backoff::Backoff;
use crate::clock::{Moment, Now};
use crate::command::{Command, Notice};
use crate::dice::Dice;
use crate::failure::{Failure, Remedy};
use crate::lease::Lease;
use crate::token::{Ticket, Token};
use answer::{found, undeleted};
use call::call;
use entry::{Activity, Entry, Hold, hold, lane_of, lease_id, lease_lane};
use lanes::Lanes;
pub(crate) use leases::Leased;
use leases::{Leases, lease_of};
use mounts::{Found, Mounts};
use overlap::Former;
use queue::Queue;
use refresh::Refresh;

/// How often a local file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// Every request of every template, and its answer.
#[derive(Debug)]
pub(crate) struct Secrets {
    ids: BTreeMap<Request, Id>,
    entries: BTreeMap<Id, Entry>,
    next_id: u32,
    reads: Lanes,
    renewals: Lanes,
    /// Renewals of tokens that templates have made.
    made: Lanes,
    files: Queue,
    expiries: Queue,
    mounts: Mounts,
    /// How many reads are on their way, also for requests that nobody makes any more.
    reading: usize,
    refresh: Refresh,
    backoff: (Duration, Duration),
    namespace: Option<String>,
    leases: Leases,
    /// Leases that live on beside others.
    formers: Vec<Former>,
    /// The shortest life after which Vault extended a lease no further.
    maximum: Option<Duration>,
}

/// An entry, cheaper to copy and compare than its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u32);

/// The task of an entry when it is due. Each lane has its own room, so that slow
/// reads hold up no renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Read,
    Renewal,
    /// A token that a template has made asks for itself.
    Made,
    File,
}

/// A failed request.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) request: Request,
    pub(crate) failure: Failure,
    /// How often it failed in a row.
    pub(crate) failures: u32,
    pub(crate) backoff: Duration,
}

/// Vault's reply to a request.
#[derive(Debug)]
pub(crate) struct Reply<'a, T> {
    pub(crate) request: &'a Request,
    pub(crate) ticket: Ticket,
    pub(crate) result: Result<T, Failure>,
}

/// The effect of an answer.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Templates see something new.
    Changed,
    /// It says what the one before it said.
    Same,
    /// It counts for nothing: nobody asks any more, or it is asked for again.
    Unchanged,
    /// There is no answer.
    Failed(Trouble),
}

impl Secrets {
    pub(crate) fn new(config: &Config) -> Self {
        let backoff = if config.auth.backoff_is_explicit {
            (config.auth.min_backoff, config.auth.max_backoff)
        } else {
            (Duration::from_millis(250), Duration::from_secs(60))
        };
        let namespace = config.vault.connection.namespace.clone();
        let limit = config.template_config.max_connections.get();
        Self {
            ids: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_id: 0,
            reads: Lanes::new(limit),
            renewals: Lanes::new(limit),
            made: Lanes::new(limit),
            files: Queue::default(),
            expiries: Queue::default(),
            mounts: Mounts::new(namespace.clone()),
            reading: 0,
            refresh: Refresh::new(&config.template_config),
            backoff,
            namespace,
            leases: Leases::default(),
            formers: Vec::new(),
            maximum: None,
        }
    }

    /// The answer to a request, if there is one.
    pub(crate) fn answer(&self, request: &Request) -> Option<&Answer> {
        let id = self.ids.get(request)?;
        self.entries.get(id)?.answer.as_ref()
    }

    /// A template asks for this.
    pub(crate) fn want(&mut self, request: &Request, now: Moment) {
        if self.ids.contains_key(request) {
            return;
        }
        let id = Id(self.next_id);
        self.next_id += 1;
        let backoff = Backoff::between(self.backoff.0, self.backoff.1);
        let engine = self.mounts.engine(request.path()).to_owned();
        self.put(lane_of(request), &engine, now, id);
        let entry = Entry::new(request.clone(), engine, backoff, now);
        self.ids.insert(request.clone(), id);
        self.entries.insert(id, entry);
    }

    /// No template asks for this any more.
    pub(crate) fn forget(&mut self, request: &Request, now: Moment) {
        let Some(id) = self.ids.remove(request) else {
            return;
        };
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        if let Activity::Due { at, lane } = entry.activity {
            self.take(lane, &entry.engine, at, id);
        }
        if let Some(at) = entry.expires {
            self.expiries.take(at, id);
        }
        self.leases.left(&entry, now);
    }

    /// Whether an answer is on its way that may carry a lease.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading > 0
    }

    /// The commands that are due. Without a token only local files are read, and tokens of templates renewed.
    pub(crate) fn advance(
        &mut self,
        token: Option<&Token>,
        within: impl Fn(&Request) -> Vec<String>,
        now: Moment,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(id) = self.files.pop_due(now) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.activity = Activity::Reading;
            let (path, within) = match &entry.request {
                Request::File { path } => (path, within(&entry.request)),
                Request::Pki {
                    destination: Some(path),
                    ..
                } => (path, Vec::new()),
                Request::Read { .. }
                | Request::Write { .. }
                | Request::List { .. }
                | Request::Pki { .. } => continue,
            };
            commands.push(Command::ReadFile {
                within,
                path: path.clone(),
                request: entry.request.clone(),
            });
        }
        self.renew_made(&mut commands, now);
        if let Some(token) = token {
            self.renew(token, &mut commands, now);
            self.read(token, &mut commands, now);
        }
        commands
    }

    fn renew(&mut self, token: &Token, commands: &mut Vec<Command>, now: Moment) {
        while let Some(id) = self.renewals.pop_due(now) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let ticket = ticket(token, now);
            let reads = self.namespace.as_deref();
            let Some(renewal) = entry.renewal(ticket, token, reads) else {
                self.schedule(id, now, Lane::Read);
                continue;
            };
            entry.activity = Activity::Renewing(ticket);
            self.renewals.asked(entry.request.path(), &entry.engine);
            commands.push(renewal);
        }
    }

    fn read(&mut self, token: &Token, commands: &mut Vec<Command>, now: Moment) {
        while let Some(id) = self.reads.pop_due(now) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let path = entry.request.path().to_owned();
            let is_written_as_it_stands = matches!(entry.request, Request::Pki { .. });
            let found = if is_written_as_it_stands {
                Found::Mount(None)
            } else {
                self.mounts.find(&path, id)
            };
            let mount = match found {
                Found::Mount(mount) => mount,
                Found::Wait => {
                    entry.activity = Activity::Waiting;
                    continue;
                }
                Found::Ask => {
                    entry.activity = Activity::Waiting;
                    self.reads.asked(&path, &entry.engine);
                    commands.push(Command::FindMount {
                        ticket: ticket(token, now),
                        path,
                        token: token.secret.clone(),
                    });
                    continue;
                }
            };
            let namespace = self.namespace.as_deref();
            // Requests that Vault is not asked for stay where they are: their text has failed.
            entry.activity = Activity::Waiting;
            if let Some(call) = call(&entry.request, mount.as_ref(), namespace) {
                entry.activity = Activity::Reading;
                self.reading += 1;
                self.reads.asked(&path, &entry.engine);
                commands.push(Command::Read {
                    ticket: ticket(token, now),
                    request: entry.request.clone(),
                    call,
                    token: token.secret.clone(),
                });
            }
        }
    }

    /// When the lease of a request's answer ends, if it has one.
    pub(crate) fn ends_at(&self, request: &Request) -> Option<Moment> {
        let entry = &self.entries[self.ids.get(request)?];
        entry.lease().map(Lease::ends_at)
    }

    /// The leases that have just ended although files still hold what they kept alive; each once.
    pub(crate) fn expired(&mut self, now: Moment) -> Vec<Request> {
        let mut ended = Vec::new();
        while let Some(id) = self.expiries.pop_due(now) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.expires = None;
                ended.push(entry.request.clone());
            }
        }
        ended
    }

    /// When `advance`, `expired` or `part` has something to do although nothing happened; where there is
    /// no room, a result must come first.
    pub(crate) fn timeout(&self, has_token: bool) -> Option<Moment> {
        let always = [self.files.first(), self.expiries.first()];
        let always = always.into_iter().flatten().map(|(at, _)| at);
        let always = always.chain(self.made.first());
        let asking = [
            self.renewals.first(),
            self.reads.first(),
            self.next_parting(),
        ];
        let asking = asking.into_iter().flatten().filter(|_| has_token);
        always.chain(asking).min()
    }

    /// Takes a path's mount in; a failure that is not Vault's last word is a trouble of the
    /// request that waited longest.
    pub(crate) fn mount_found(
        &mut self,
        path: &str,
        result: Result<Mount, Failure>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Trouble> {
        self.reads.answered(path);
        let failure = match result {
            Ok(mount) => {
                let waiting = self.mounts.found(path, Some(mount), now);
                self.read_now(waiting, now);
                return None;
            }
            // An old server, a gateway, or a policy that denies the path: then the read itself will say so.
            Err(failure)
                if matches!(failure.status(), Some(400..=499))
                    && failure.remedy() == Remedy::GiveUp =>
            {
                let waiting = self.mounts.found(path, None, now);
                self.read_now(waiting, now);
                return None;
            }
            Err(failure) => failure,
        };
        let mut first = None;
        for id in self.mounts.failed(path) {
            let trouble = self.fail(id, failure.clone(), dice, now);
            first = first.or(trouble);
        }
        first
    }

    fn read_now(&mut self, waiting: Vec<Id>, now: Moment) {
        for id in waiting {
            self.schedule(id, now, Lane::Read);
        }
    }

    /// Takes an answer of Vault in.
    pub(crate) fn answered(
        &mut self,
        reply: Reply<'_, Answer>,
        current: Option<&Token>,
        dice: &mut Dice,
        now: Now,
    ) -> Taken {
        let Reply {
            request,
            ticket,
            result,
        } = reply;
        self.reading = self.reading.saturating_sub(1);
        self.reads.answered(request.path());
        let lease = result.as_ref().ok();
        let lease = lease.and_then(|answer| lease_of(answer, now.moment));
        let Some((&id, entry)) = self
            .ids
            .get(request)
            .and_then(|id| Some((id, self.entries.get_mut(id)?)))
        else {
            if let Err(failure) = &result {
                let mount = self.mounts.of(request.path());
                self.leases.unheard(request, failure, mount);
            }
            self.leases.stray(lease);
            return Taken::Unchanged;
        };
        let is_outdated = current.is_some_and(|current| current.id != ticket.token);
        let result = result.and_then(|answer| found(request, answer));
        let result = result.and_then(|answer| undeleted(answer, now));
        let result = result.and_then(|answer| pki::issued(request, answer));
        let keeps_lease = result.as_ref().is_ok_and(|it| lease_id(it).is_some());
        self.leases.stray(lease.filter(|_| !keeps_lease));
        let answer = match result {
            Ok(answer) => answer,
            // It says nothing about the token that we have now.
            Err(failure) if is_outdated && failure.remedy() == Remedy::CheckToken => {
                self.schedule(id, now.moment, Lane::Read);
                return Taken::Unchanged;
            }
            Err(failure) => {
                let mount = self.mounts.of(request.path());
                self.leases.unheard(request, &failure, mount);
                return self.failed(id, failure, dice, now.moment);
            }
        };
        self.maximum = self.maximum.into_iter().chain(entry.maximum()).min();
        entry.backoff.succeed();
        entry.hold = hold(&answer, current, ticket, dice, now.moment);
        let due = match &entry.hold {
            Hold::Leased {
                lease: Some(lease), ..
            } => (lease.act_at(), lease_lane(lease, &answer)),
            Hold::Leased { lease: None, .. } | Hold::Nothing | Hold::Lost => {
                let wait = self.refresh.wait(&answer, dice, now.wall);
                (now.moment + wait, Lane::Read)
            }
        };
        let expires = refresh::ends_at(&answer, ticket, now);
        let hangs_on_token = matches!(entry.hold, Hold::Leased { by: Some(_), .. });
        self.leases.left(entry, now.moment);
        let taken = entry.replace_answer(answer);
        self.set_expiry(id, expires);
        self.schedule(id, due.0, due.1);
        if is_outdated && hangs_on_token {
            self.lose(id, now.moment);
        }
        taken
    }

    /// Takes the content of a local file in.
    pub(crate) fn file_read(
        &mut self,
        request: &Request,
        result: Result<Answer, Failure>,
        dice: &mut Dice,
        now: Now,
    ) -> Taken {
        let Some(&id) = self.ids.get(request) else {
            return Taken::Unchanged;
        };
        if matches!(request, Request::Pki { .. }) {
            return self.certificate_read(id, result, now);
        }
        let now = now.moment;
        let answer = match result {
            Ok(answer) => answer,
            Err(failure) => return self.failed(id, failure, dice, now),
        };
        self.schedule(id, now + FILE_INTERVAL, Lane::File);
        let Some(entry) = self.entries.get_mut(&id) else {
            return Taken::Unchanged;
        };
        entry.backoff.succeed();
        entry.replace_answer(answer)
    }

    /// A certificate that is still good stays; otherwise another is issued.
    fn certificate_read(&mut self, id: Id, result: Result<Answer, Failure>, now: Now) -> Taken {
        let kept = result.ok().and_then(|answer| pki::kept(&answer));
        let kept = kept.and_then(|kept| {
            let good = self.refresh.good_for(&kept, now.wall)?;
            Some((kept, good))
        });
        let Some((certificate, good)) = kept else {
            self.schedule(id, now.moment, Lane::Read);
            return Taken::Unchanged;
        };
        self.schedule(id, now.moment + good, Lane::File);
        self.set_expiry(id, refresh::certificate_ends_at(&certificate, now));
        match self.entries.get_mut(&id) {
            Some(entry) => entry.replace_answer(Answer::Pki(certificate)),
            None => Taken::Unchanged,
        }
    }

    /// Takes a renewal in. A lease that cannot be extended is replaced.
    pub(crate) fn lease_renewed(
        &mut self,
        reply: Reply<'_, Grant>,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<Notice> {
        let Reply {
            request,
            ticket,
            result,
        } = reply;
        self.renewals.answered(request.path());
        self.made.answered(request.path());
        let &id = self.ids.get(request)?;
        let entry = self.entries.get_mut(&id)?;
        // An answer with another ticket may be about a lease that was forgotten meanwhile.
        if entry.activity != Activity::Renewing(ticket) {
            return None;
        }
        let mut expires = entry.expires;
        let notice = match result {
            Ok(grant) => {
                entry.backoff.succeed();
                if let Some(lease) = entry.lease_mut() {
                    lease.renewed(grant, ticket, dice, now);
                    expires = Some(lease.ends_at());
                }
                Notice::Renewed {
                    request: Some(request.clone()),
                    ttl: grant.ttl(),
                }
            }
            Err(failure) => {
                let wait = entry.backoff.fail(dice);
                let is_gone = entry.made().is_some() && failure.remedy() == Remedy::CheckToken;
                match entry.lease_mut() {
                    // The made token renews itself, and Vault does not know it.
                    Some(lease) if is_gone => lease.replace_now(now),
                    Some(lease) => lease.renewal_failed(&failure, wait, now),
                    None => {}
                }
                Notice::RenewalFailed {
                    request: Some(request.clone()),
                    failure,
                }
            }
        };
        let due = entry.lease().zip(entry.answer.as_ref());
        let due = due.map(|(lease, answer)| (lease.act_at(), lease_lane(lease, answer)));
        // An entry without a lease has lost it to a replaced token meanwhile.
        let (at, lane) = due.unwrap_or((now, Lane::Read));
        self.schedule(id, at, lane);
        self.set_expiry(id, expires);
        Some(notice)
    }

    fn schedule(&mut self, id: Id, at: Moment, lane: Lane) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let old = std::mem::replace(&mut entry.activity, Activity::Due { at, lane });
        let engine = self.mounts.engine(entry.request.path()).to_owned();
        let before = std::mem::replace(&mut entry.engine, engine.clone());
        if let Activity::Due { at, lane } = old {
            self.take(lane, &before, at, id);
        }
        self.put(lane, &engine, at, id);
    }

    fn set_expiry(&mut self, id: Id, expires: Option<Moment>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut entry.expires, expires) {
            self.expiries.take(old, id);
        }
        if let Some(new) = expires {
            self.expiries.put(new, id);
        }
    }

    fn put(&mut self, lane: Lane, engine: &str, at: Moment, id: Id) {
        match lane {
            Lane::Read => self.reads.put(engine, at, id),
            Lane::Renewal => self.renewals.put(engine, at, id),
            Lane::Made => self.made.put(engine, at, id),
            Lane::File => self.files.put(at, id),
        }
    }

    fn take(&mut self, lane: Lane, engine: &str, at: Moment, id: Id) {
        match lane {
            Lane::Read => self.reads.take(engine, at, id),
            Lane::Renewal => self.renewals.take(engine, at, id),
            Lane::Made => self.made.take(engine, at, id),
            Lane::File => self.files.take(at, id),
        }
    }
}

fn ticket(token: &Token, now: Moment) -> Ticket {
    Ticket {
        token: token.id,
        sent: now,
    }
}
