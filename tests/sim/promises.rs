//! Promises that must not be broken, checked after each step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use planescape_agent_contract::Template;
use planescape_agent_core::{Command, Moment, Notice};
use planescape_templates::Request;

/// The events so far that the promises are about.
#[derive(Default)]
pub(crate) struct Promises {
    broken: Option<String>,
    pub(crate) logins_in_flight: usize,
    logins: VecDeque<Moment>,
    renewals: BTreeMap<String, Moment>,
    remembered: BTreeSet<String>,
    is_leaving: bool,
    has_exited: bool,
    pub(crate) hook_runs: bool,
    pub(crate) program_runs: bool,
    /// The lease or token that each file holds, by the number of its text.
    pub(crate) files: BTreeMap<usize, String>,
    /// Texts that are gone: nobody looks after their files.
    gone: BTreeSet<usize>,
    /// While a new configuration is being taken over: the new texts.
    taken_over: Option<BTreeSet<usize>>,
    /// The lease or token that each request was answered with last.
    pub(crate) latest: BTreeMap<Request, String>,
    /// Leases and tokens whose end was told.
    told: BTreeSet<String>,
    /// Made tokens whose last renewal failed.
    failed: BTreeSet<String>,
    /// Leases and tokens from before an exchange of texts: they may be asked for anew.
    exchanged: BTreeSet<String>,
}

impl Promises {
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    pub(crate) fn breaks(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.broken.get_or_insert(what);
    }

    /// Another life begins; what stands on the disk stays.
    pub(crate) fn new_life(&mut self) {
        self.logins_in_flight = 0;
        self.logins.clear();
        self.renewals.clear();
        self.latest.clear();
        self.failed.clear();
        self.exchanged.clear();
        self.gone.clear();
        self.is_leaving = false;
        self.has_exited = false;
        self.hook_runs = false;
        self.program_runs = false;
    }

    /// The leases and tokens in files that the agent takes for current.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&usize, &String)> {
        let is_current = |held: &String| self.latest.values().any(|latest| latest == held);
        let files = self.files.iter();
        files.filter(move |(_, held)| is_current(held))
    }

    /// The same without those whose end was told.
    pub(crate) fn untold(&self) -> impl Iterator<Item = (&usize, &String)> {
        self.held()
            .filter(move |(_, held)| !self.told.contains(*held))
    }

    /// A file was written.
    pub(crate) fn wrote(&mut self, text: usize, lease: String) {
        if !self.gone.contains(&text) {
            self.files.insert(text, lease);
        }
    }

    /// A new configuration is taken over, or has been: nothing else happens in between, so that all that the agent does
    /// then is because of it.
    pub(crate) fn takes_over(&mut self, begins: bool) {
        self.taken_over = begins.then(BTreeSet::new);
    }

    fn see_exchange(&mut self, gone: &[usize], new: &[(usize, Template)]) {
        self.exchanged.extend(self.latest.values().cloned());
        for number in gone {
            self.files.remove(number);
            self.gone.insert(*number);
        }
        let Some(taken_over) = &mut self.taken_over else {
            self.breaks("texts are exchanged and nobody asked for it");
            return;
        };
        taken_over.extend(new.iter().map(|(number, _)| *number));
    }

    /// A text that stays as it was is not made again, and nothing is written that was not rendered.
    fn see_consequence(&mut self, command: &Command) {
        let Some(new) = &self.taken_over else { return };
        let broken = match command {
            Command::Render { template, .. } if !new.contains(template) => {
                "a text that is as it was is rendered"
            }
            Command::Write { .. } => "a file is written before its new text is rendered",
            _ => return,
        };
        self.breaks(format!("{broken}, because of a new configuration"));
    }

    /// The ledger was asked to take a token.
    pub(crate) fn remember(&mut self, token: &str) {
        self.remembered.insert(token.to_owned());
    }

    pub(crate) fn is_remembered(&self, token: &str) -> bool {
        self.remembered.contains(token)
    }

    /// A token was asked to last longer.
    pub(crate) fn renewed_made(&mut self, token: &str, is_renewed: bool) {
        if is_renewed {
            self.failed.remove(token);
        } else {
            self.failed.insert(token.to_owned());
        }
    }

    /// Whether a made token may end, or be made anew, although it could go on.
    pub(crate) fn is_excused(&self, token: &str) -> bool {
        self.failed.contains(token) || self.exchanged.contains(token)
    }

    pub(crate) fn see(&mut self, command: &Command, now: Moment) {
        if self.has_exited {
            self.breaks(format!("a command after the exit: {command:?}"));
        }
        self.see_consequence(command);
        match command {
            Command::LogIn { .. } => self.see_login(now),
            Command::RenewLease { lease_id, .. } => self.see_renewal(lease_id, now),
            Command::RenewMade(made) => self.see_renewal(made.token.expose(), now),
            Command::Read { token, .. } | Command::FindMount { token, .. } => {
                if !self.is_remembered(token.expose()) {
                    self.breaks("a token is used that stands in no ledger");
                }
            }
            Command::Log(Notice::Expired { request, .. }) => {
                self.told.extend(self.latest.get(request).cloned());
            }
            Command::Log(Notice::Stopping) => self.is_leaving = true,
            Command::RevokeLease { lease_id, .. } if self.is_in_use(lease_id) => {
                self.breaks(format!("{lease_id} is revoked, and a file holds it"));
            }
            Command::RunHook { .. } => {
                if std::mem::replace(&mut self.hook_runs, true) {
                    self.breaks("two commands at once");
                }
            }
            Command::StartChild { .. } => {
                if std::mem::replace(&mut self.program_runs, true) {
                    self.breaks("two programs at once");
                }
            }
            // A killed program that hangs in the kernel uses nothing any more.
            Command::SignalChild { signal: None } => self.program_runs = false,
            Command::Revoke { .. } | Command::RevokeLease { .. } if self.program_runs => {
                self.breaks("a token or lease is revoked while the program runs");
            }
            Command::Exit { .. } => self.has_exited = true,
            Command::Exchange { gone, new } => self.see_exchange(gone, new),
            Command::Remember { .. }
            | Command::Forget { .. }
            | Command::RenewToken { .. }
            | Command::LookUpToken { .. }
            | Command::ReadFile { .. }
            | Command::CheckFile { .. }
            | Command::Render { .. }
            | Command::Write { .. }
            | Command::SignalChild { signal: Some(_) }
            | Command::Offer { .. }
            | Command::AnnounceReady
            | Command::Report(_)
            | Command::Revoke { .. }
            | Command::RevokeLease { .. }
            | Command::ForgetAll { .. }
            | Command::Log(_) => {}
        }
    }

    /// On the way out the program that uses the files has ended.
    fn is_in_use(&self, lease: &str) -> bool {
        !self.is_leaving && self.files.values().any(|held| held == lease)
    }

    fn see_renewal(&mut self, held: &str, now: Moment) {
        let before = self.renewals.insert(held.to_owned(), now);
        if before.is_some_and(|at| now.since(at) < Duration::from_millis(90)) {
            self.breaks(format!("{held} is renewed without a pause"));
        }
    }

    fn see_login(&mut self, now: Moment) {
        self.logins_in_flight += 1;
        if self.logins_in_flight > 1 {
            self.breaks("two logins in flight");
        }
        self.logins.push_back(now);
        let minute = Duration::from_secs(60);
        self.logins.retain(|at| now.since(*at) < minute);
        if self.logins.len() > 6 {
            self.breaks("more than six logins in a minute");
        }
    }
}
