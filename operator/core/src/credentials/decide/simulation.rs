//! Random histories of one run: ends, kills, outages and lost answers at any step, under clocks that differ and are set.
//! Afterwards no lease of an ended run lives. No living lease is ever called revoked, none lives for longer than it is
//! said to, and no pod starts with one that has ended. As long as a run goes on, its token and leases are renewed.

mod clocks;
mod promises;
mod vault;

use super::*;
use crate::credentials::run::{Lock, Stage};
use crate::credentials::{Content, Order, OrderedSecret};
use crate::job::identity::Identity;
use clocks::Clocks;
use planescape_agent_contract::{Phase, Reason};
use planescape_vault::Refusal;
use vault::{Record, Vault, VaultLease};

const OUTAGE: SignedDuration = SignedDuration::from_hours(1);

const HISTORIES: u64 = 100_000;

/// How long a renewed token lives, at most.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_mins(90);

const DATABASE_IS_DOWN: u16 = 400;

/// So many steps, waits among them, may pass before a renewal that is due is tried.
const LONGEST_NEGLECT: u32 = 20;

#[test]
fn no_lease_outlives_its_run_whatever_happens() {
    let (mut longest, mut left, mut again) = (SignedDuration::ZERO, 0, 0);
    let (mut differing, mut set, mut narrow) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        for _ in 0..80 {
            world.happen();
            assert_eq!(world.untruth(), None, "seed {seed}");
        }
        let calm = world.calm_down();
        // A deletion waits for ten minutes, and says then that the lease is left to its TTL.
        let is_left = world.was_left;
        left += u64::from(is_left);
        again += u64::from(world.logins > 1);
        differing += u64::from(world.clocks.differ);
        set += world.clocks.set;
        narrow += u64::from(world.narrow_denials > 0);
        let is_excused = is_left && world.run.deleted().is_some();
        // A program that was killed after a revocation, or has not heard of it, is denied until the token's time is over by
        // any clock; and one whose policy lets it neither see nor revoke its token for as long as that lives.
        let is_denied = world.is_silent || world.is_narrow;
        let most = LONGEST_RETRY * 2
            + match is_denied {
                true => LONGEST_LIFE + CLOCKS * 2,
                false => SignedDuration::ZERO,
            };
        assert!(calm <= most, "seed {seed}: {calm:#}");
        assert!(is_excused || !world.lives(), "seed {seed}: a lease lives");
        assert_eq!(world.untruth(), None, "seed {seed}");
        assert!(!world.run.is_claimed, "seed {seed}: its Job stays");
        assert!(world.record.is_none(), "seed {seed}: a record stays");
        if !is_denied {
            longest = longest.max(calm);
        }
    }
    println!("{left} left to their TTL, which was said");
    println!("{again} logged in again, since their token had ended before they began");
    println!("gone {longest:#} after everything was calm, at most");
    println!("{differing} with clocks that differ, which were set {set} times");
    println!("{narrow} were denied their revocation by a policy");
    assert!(left > 0 && again > 0);
    assert!(differing > 0 && set > 0 && narrow > 0);
}

struct World {
    seed: u64,
    /// As Vault's clock says.
    now: Timestamp,
    clocks: Clocks,
    run: Run,
    memory: Memory,
    vault: Vault,
    record: Option<Record>,
    has_secret: Vec<bool>,
    is_away: bool,
    was_left: bool,
    logins: usize,
    /// How many steps ago each renewal became due.
    neglected: BTreeMap<Subject, u32>,
    /// The longest that Vault's roles let a token and a lease live without a renewal.
    longest_life: i64,
    /// Rights by the policies of the run's role, and of the program's own.
    may_revoke_leases: bool,
    may_look_up_leases: bool,
    /// Whether Vault says no more of a token that has ended than that it is denied, as OpenBao does.
    is_silent: bool,
    /// Whether the role's policy lets a token neither look itself up nor revoke itself.
    is_narrow: bool,
    narrow_denials: u32,
    /// Whether a database that is down does not answer, where others refuse.
    hangs: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let secret = |name: &str| OrderedSecret {
            path: format!("{name}/creds/readonly"),
            params: Default::default(),
            secret_name: name.to_owned(),
            content: Content::All,
        };
        let secrets: Vec<_> = match seed.is_multiple_of(2) {
            true => vec![secret("database")],
            false => vec![secret("database"), secret("queue")],
        };
        let mut world = Self {
            seed,
            clocks: Clocks::default(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            has_secret: vec![false; secrets.len()],
            run: Run {
                owner: Identity {
                    namespace: "team".to_owned(),
                    name: "job".to_owned(),
                    uid: "u".to_owned(),
                },
                job: "job-1".to_owned(),
                uid: "j".to_owned(),
                service_account: "default".to_owned(),
                order: Order {
                    address: "http://vault:8200".to_owned(),
                    namespace: None,
                    auth_path: "auth/kubernetes".to_owned(),
                    role: "runs".to_owned(),
                    secrets,
                },
                lock: Lock::Suspended,
                stage: Stage::Waiting,
                is_claimed: false,
                told: None,
            },
            memory: Memory::default(),
            vault: Vault::default(),
            record: None,
            is_away: false,
            was_left: false,
            logins: 0,
            neglected: BTreeMap::new(),
            longest_life: if seed % 4 < 2 { 5_400 } else { 300 },
            may_revoke_leases: !seed.is_multiple_of(3),
            may_look_up_leases: !seed.is_multiple_of(9),
            is_silent: seed.is_multiple_of(5),
            is_narrow: seed.is_multiple_of(11),
            narrow_denials: 0,
            hangs: seed.is_multiple_of(7),
        };
        world.draw_clocks();
        world
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn happen(&mut self) {
        match self.below(40) {
            0 => self.vault.is_down = !self.vault.is_down,
            1 => {
                let secrets = self.has_secret.len() as u64;
                let index = self.below(secrets) as usize;
                self.has_secret[index] = false;
            }
            2 | 3 => self.kill(),
            4 => self.is_away = !self.is_away,
            12 => self.break_database(),
            14 => self.set_clock(),
            5 if !self.run.is_over(self.here()) && self.below(3) == 0 => {
                self.run.stage = Stage::Over { deleted: None };
            }
            6 if self.run.deleted().is_none() && self.below(3) == 0 => {
                let deleted = Some(self.at_api_server());
                self.run.stage = Stage::Over { deleted };
            }
            // Somebody writes a report in the program's place.
            13 if self.below(8) == 0 => {
                self.run.told = Some(Report {
                    more_leases: 1,
                    ..Report::new(Phase::Done, Reason::Revoked)
                });
            }
            7..12 => {
                let seconds = 1 << self.below(9);
                self.pass(SignedDuration::from_secs(seconds));
            }
            _ if self.is_away => self.pass(SignedDuration::from_secs(1)),
            _ => {
                let fault = self.below(10);
                self.act(fault);
            }
        }
    }

    fn break_database(&mut self) {
        self.vault.is_database_down = !self.vault.is_database_down;
        self.vault.catch_up(self.now);
    }

    /// Another one leads, or the same again.
    fn kill(&mut self) {
        self.memory = Memory::default();
        self.neglected.clear();
        if self.below(2) == 0 {
            self.set_clock();
        }
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.saturating_add(time).unwrap();
        self.vault.catch_up(self.now);
    }

    /// One step; how long to wait, and whether nothing is left to do. `fault`: 0 loses the request, 1 the answer, 2
    /// kills before the result is known, 3 before anybody has heard of it.
    fn act(&mut self, fault: u64) -> bool {
        let here = self.here();
        let step = next(&self.run, &self.memory, OUTAGE, here);
        self.watch(&step);
        if let Step::Wait(until) = step {
            let until = until.unwrap_or(here).max(here);
            let wait = until.duration_since(here);
            self.pass(wait.min(SignedDuration::from_secs(60)));
            return false;
        }
        if step == Step::Finish {
            return true;
        }
        if let Step::Read(_) = step {
            self.expect_lease();
        }
        let asks_vault = step.asks_vault();
        let is_lost = fault == 0 || (asks_vault && self.vault.is_down);
        let is_answer_lost = matches!(fault, 1 | 3);
        let answer = if is_lost {
            Err(None)
        } else if step.asks_with_token() && (self.vault.token.is_none() || self.forbids(&step)) {
            self.be_denied(&step, is_answer_lost)
        } else if let Some(refusal) = self.refusal(&step) {
            Err(Some(refusal))
        } else if self.perform(&step, is_answer_lost) {
            Ok(())
        } else {
            Err(None)
        };
        match (answer, fault) {
            (_, 2 | 3) => self.kill(),
            (Ok(()), _) => self.memory.succeed(&step),
            (Err(status), _) => self.fail(&step, status),
        }
        false
    }

    fn fail(&mut self, step: &Step, status: Option<u16>) {
        let is_silent = self.hangs && status == Some(DATABASE_IS_DOWN);
        let is_lost = status.is_none() || is_silent;
        if matches!(step, Step::Read(_)) && is_lost {
            self.holding().unheard += 1;
        }
        if matches!(step, Step::RenewToken | Step::RenewLease(_)) && is_lost {
            let here = self.here();
            self.memory.lose_renewal(step.subject(), OUTAGE, here);
        }
        let (phase, reason) = match (step, step.asks_vault()) {
            (Step::RevokeLease(_) | Step::RevokeToken | Step::LookUpLease(_), _) => {
                (Phase::Done, Reason::RevokeFailed)
            }
            (_, true) => (Phase::Read, Reason::Unreachable),
            (_, false) => (Phase::Write, Reason::KubernetesRefused),
        };
        let failure = Failure {
            report: Report {
                status: status.filter(|_| !is_silent),
                ..Report::new(phase, reason)
            },
            retry_after: None,
            is_outage: step.asks_vault() && status.is_none(),
            is_silent,
        };
        let here = self.here();
        self.memory.fail(&self.run, (step, failure), 0.5, here);
    }

    fn holding(&mut self) -> &mut Holding {
        match &mut self.memory.custody {
            Custody::Held(holding) => holding,
            Custody::Unknown | Custody::Absent => panic!("nothing is held"),
        }
    }

    fn expect_lease(&mut self) {
        let unheard = self.holding().unheard + 1;
        let record = self.record.as_mut().unwrap();
        record.unheard = record.unheard.max(unheard);
    }

    /// Which of Vault's leases this one of the record is.
    fn lease(&mut self, index: usize) -> &mut VaultLease {
        let known = self.record.as_ref().unwrap().leases[index].0;
        &mut self.vault.leases[known]
    }

    /// Whether the role's policy does, though the token lives.
    fn forbids(&self, step: &Step) -> bool {
        self.is_narrow && matches!(step, Step::LookUpToken | Step::RevokeToken)
    }

    /// Vault denies a step: its token has ended, or may not do it.
    fn be_denied(&mut self, step: &Step, is_answer_lost: bool) -> Result<(), Option<u16>> {
        if is_answer_lost {
            return Err(None);
        }
        let lives = self.vault.token.is_some();
        self.narrow_denials += u32::from(lives);
        let text = match self.is_silent || lives {
            true => "permission denied",
            false => "permission denied: invalid token",
        };
        let error = Error::Refused(Refusal::new(403, text.to_owned(), None));
        let now = self.here();
        let holding = self.holding();
        let is_known = if *step == Step::LookUpToken {
            holding.miss(&error, now)
        } else if *step == Step::RevokeToken {
            holding.hear_of_revocation(&error, now)
        } else {
            holding.hear(&error, now)
        };
        let is_doubted = holding.is_doubted;
        if matches!(step, Step::RevokeLease(_)) && !is_known && !is_doubted {
            self.memory.may_not_revoke_leases = true;
            return Ok(());
        }
        match is_known && !matches!(step, Step::Read(_)) {
            true => Ok(()),
            false => Err(Some(403)),
        }
    }

    /// The status with which a database behind Vault says no.
    fn refusal(&mut self, step: &Step) -> Option<u16> {
        let is_down = self.vault.is_database_down;
        let is_refused = match step {
            Step::RevokeLease(index) => {
                let lease = self.lease(*index);
                let is_stuck = lease.lives && lease.is_of_database && is_down;
                self.may_revoke_leases && is_stuck
            }
            Step::RenewLease(index) => {
                let now = self.now;
                let lease = self.lease(*index);
                lease.end > now && lease.is_of_database && is_down
            }
            Step::LookUpLease(index) => {
                let lives = self.lease(*index).lives;
                self.may_look_up_leases && lives
            }
            Step::Read(index) => *index == 0 && is_down,
            Step::Recall
            | Step::Claim
            | Step::LogIn
            | Step::Look(_)
            | Step::Write(_)
            | Step::LetGo(_)
            | Step::RenewToken
            | Step::LookUpToken
            | Step::RevokeToken
            | Step::Tell(_)
            | Step::Forget
            | Step::Release
            | Step::Wait(_)
            | Step::Finish => false,
        };
        is_refused.then_some(DATABASE_IS_DOWN)
    }

    /// Takes a step outside; whether its answer arrived. Without one the program knows nothing of it.
    fn perform(&mut self, step: &Step, is_answer_lost: bool) -> bool {
        let (now, here) = (self.now, self.here());
        let end = |seconds: i64| {
            now.saturating_add(SignedDuration::from_secs(seconds))
                .unwrap()
        };
        let (first, renewed) = (3_600.min(self.longest_life), self.longest_life);
        match step {
            Step::Claim => self.run.is_claimed = true,
            Step::Release => self.run.is_claimed = false,
            Step::LetGo(report) => {
                self.run.told = Some(report.clone());
                self.run.stage = Stage::Running;
            }
            Step::Tell(report) => {
                let is_unsaid = report.reason == Reason::RevokeFailed
                    || (report.phase == Phase::Done && report.reason == Reason::CredentialsEnded);
                self.was_left |= is_unsaid && report.at.is_some();
                self.run.told = Some(report.clone());
            }
            // A login whose answer is lost leaves a token that has leased nothing.
            Step::LogIn if is_answer_lost => {}
            Step::LogIn => {
                let before = match &self.memory.custody {
                    Custody::Held(holding) => holding.open(),
                    Custody::Unknown | Custody::Absent => 0,
                };
                self.vault.end_token(now);
                self.vault.token = Some(end(first));
                self.logins += 1;
                self.record = Some(Record {
                    token: Life::new(here, first, true),
                    leases: Vec::new(),
                    unheard: before + 1,
                });
            }
            // The lease is under a token that is recorded, and ends with it.
            Step::Read(index) => self.vault.leases.push(VaultLease {
                is_of_database: *index == 0,
                end: end(first),
                lives: true,
            }),
            Step::Write(index) => self.has_secret[*index] = true,
            Step::RenewToken => self.vault.token = Some(end(renewed)),
            Step::RenewLease(index) => {
                let lease = self.lease(*index);
                if lease.end > now {
                    lease.end = end(renewed);
                }
            }
            Step::RevokeLease(index) if self.may_revoke_leases => {
                let lease = self.lease(*index);
                (lease.end, lease.lives) = (lease.end.min(now), false);
            }
            Step::RevokeToken => self.vault.end_token(now),
            Step::Forget => self.record = None,
            Step::RevokeLease(_) | Step::LookUpLease(_) => {}
            Step::Recall | Step::Look(_) | Step::LookUpToken => {}
            Step::Wait(_) | Step::Finish => {}
        }
        self.vault.catch_up(now);
        if !is_answer_lost {
            self.learn(step);
        }
        !is_answer_lost
    }

    fn learn(&mut self, step: &Step) {
        let now = self.here();
        match step {
            Step::Recall => match &self.record {
                None => self.memory.custody = Custody::Absent,
                Some(record) => {
                    let leases = record.leases.iter();
                    let leases = leases.map(|(known, life)| {
                        let id = self.vault.leases[*known].id();
                        Lease::new(id, life.recalled(now, OUTAGE))
                    });
                    let token = record.token.recalled(now, OUTAGE);
                    let holding = Holding::new(token, leases.collect(), record.unheard);
                    self.memory.hold(holding);
                }
            },
            Step::LogIn => {
                let record = self.record.as_ref().unwrap();
                let holding = Holding::new(record.token, Vec::new(), record.unheard - 1);
                self.memory.hold(holding);
            }
            Step::Read(index) => self.learn_of_read(*index),
            Step::Look(index) => {
                let sighting = match self.has_secret[*index] {
                    true => Sighting::Present(now),
                    false => Sighting::Missing,
                };
                self.memory.sight(*index, sighting);
            }
            Step::Write(index) => self.memory.sight(*index, Sighting::Present(now)),
            Step::RenewToken | Step::RenewLease(_) => self.learn_of_renewal(step.subject()),
            Step::LookUpToken => {
                let end = self.vault.token.expect("it lives");
                let left = end.duration_since(self.now).as_secs();
                self.holding().confirm(now, left, true);
            }
            Step::RevokeLease(_) if !self.may_revoke_leases => {
                self.memory.may_not_revoke_leases = true;
            }
            Step::LookUpLease(_) if !self.may_look_up_leases => {
                self.memory.may_not_look_up_leases = true;
            }
            Step::RevokeLease(index) | Step::LookUpLease(index) => {
                self.holding().leases[*index].is_revoked = true;
            }
            Step::RevokeToken => self.holding().token_end = TokenEnd::Said,
            Step::Forget => self.memory.forget(),
            Step::Claim | Step::LetGo(_) | Step::Tell(_) | Step::Release => {}
            Step::Wait(_) | Step::Finish => {}
        }
    }

    fn learn_of_read(&mut self, index: usize) {
        let life = Life::new(self.here(), 3_600.min(self.longest_life), true);
        self.memory.sight(index, Sighting::Ready);
        let is_ready = |it: &Sighting| matches!(it, Sighting::Ready | Sighting::Present(_));
        let ready = self.memory.secrets.iter().filter(|it| is_ready(it));
        let others = usize::from(ready.count() < self.has_secret.len());
        let holding = self.holding();
        let unheard = holding.unheard + others;
        let made = self.vault.leases.len() - 1;
        let lease = Lease::new(self.vault.leases[made].id(), life);
        self.holding().leases.push(lease);
        let record = self.record.as_mut().unwrap();
        record.leases.push((made, life));
        record.unheard = unheard;
    }

    fn learn_of_renewal(&mut self, subject: Subject) {
        let (now, here, renewed) = (self.now, self.here(), self.longest_life);
        let is_alive = match subject {
            Subject::Lease(index) => self.lease(index).end > now,
            Subject::Token | Subject::Work | Subject::Status => true,
        };
        let holding = self.holding();
        let life = match subject {
            Subject::Lease(index) => &mut holding.leases[index].life,
            Subject::Token | Subject::Work | Subject::Status => &mut holding.token,
        };
        *life = match is_alive {
            true => life.renewed(here, renewed, true),
            false => life.ended(here),
        };
    }

    /// The run ends if it has not, everything works, and all is done; how long that took.
    fn calm_down(&mut self) -> SignedDuration {
        self.vault.is_down = false;
        self.vault.is_database_down = false;
        self.vault.catch_up(self.now);
        if !self.run.is_over(self.here()) {
            self.run.stage = Stage::Over { deleted: None };
        }
        let calm = self.now;
        for _ in 0..1_000 {
            if self.act(u64::MAX) {
                break;
            }
        }
        self.now.duration_since(calm)
    }
}
