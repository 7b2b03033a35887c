//! Random histories of one run: ends, kills, outages and lost answers at any step. Afterwards no lease of an ended
//! run lives, and at no time is one called revoked that does.

use super::*;
use crate::credentials::{Content, Order, OrderedSecret};
use crate::job::identity::Identity;

const OUTAGE: SignedDuration = SignedDuration::from_hours(1);

const HISTORIES: u64 = 100_000;

#[test]
fn no_lease_outlives_its_run_whatever_happens() {
    let (mut longest, mut left) = (SignedDuration::ZERO, 0);
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.happen();
            assert_eq!(world.untruth(), None, "seed {seed}");
        }
        let calm = world.calm_down();
        // A deletion waits for ten minutes, and says then that the lease is left to its TTL.
        let is_left = world.told() == Some(&Reason::RevokeFailed);
        left += u64::from(is_left);
        assert!(!is_left || world.run.deleted().is_some(), "seed {seed}");
        assert!(is_left || !world.lives(), "seed {seed}: a lease lives");
        assert_eq!(world.untruth(), None, "seed {seed}");
        assert!(!world.run.is_claimed, "seed {seed}: its Job stays");
        assert!(world.record.is_none(), "seed {seed}: a record stays");
        longest = longest.max(calm);
    }
    println!("{left} left to their TTL, which was said");
    println!("gone {longest:#} after everything was calm, at most");
    assert!(longest <= LONGEST_RETRY * 2, "{longest:#}");
}

/// What Vault knows.
#[derive(Default)]
struct Vault {
    is_down: bool,
    /// Then no lease can be revoked. That of a token follows when it is back.
    is_database_down: bool,
    has_token: bool,
    leases: Vec<bool>,
}

impl Vault {
    /// It goes on trying to revoke the leases of tokens that are gone.
    fn catch_up(&mut self) {
        if !self.has_token && !self.is_database_down {
            self.leases.fill(false);
        }
    }
}

struct World {
    seed: u64,
    now: Timestamp,
    run: Run,
    memory: Memory,
    vault: Vault,
    /// Which of Vault's leases the record names, if there is one.
    record: Option<Vec<usize>>,
    has_secret: bool,
    is_away: bool,
    /// What the policies of the run's role, and of the program's own, allow.
    may_revoke_leases: bool,
    may_look_up_leases: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let secret = OrderedSecret {
            path: "database/creds/readonly".to_owned(),
            params: Default::default(),
            secret_name: "creds".to_owned(),
            content: Content::All,
        };
        Self {
            seed,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
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
                    secrets: vec![secret],
                },
                stage: Stage::Waiting,
                is_claimed: false,
                told: None,
            },
            memory: Memory::default(),
            vault: Vault::default(),
            record: None,
            has_secret: false,
            is_away: false,
            may_revoke_leases: !seed.is_multiple_of(3),
            may_look_up_leases: !seed.is_multiple_of(9),
        }
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
            1 => self.has_secret = false,
            2 | 3 => self.kill(),
            4 => self.is_away = !self.is_away,
            12 => self.break_database(),
            5 if !self.run.is_over(self.now) => self.run.stage = Stage::Over { deleted: None },
            6 if self.run.deleted().is_none() => {
                self.run.stage = Stage::Over {
                    deleted: Some(self.now),
                };
            }
            7..12 => {
                let seconds = 1 << self.below(9);
                self.pass(SignedDuration::from_secs(seconds));
            }
            _ if self.is_away => self.pass(SignedDuration::from_secs(1)),
            _ => {
                let fault = self.below(8);
                self.act(fault);
            }
        }
    }

    fn break_database(&mut self) {
        self.vault.is_database_down = !self.vault.is_database_down;
        self.vault.catch_up();
    }

    fn kill(&mut self) {
        self.memory = Memory::default();
    }

    fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.saturating_add(time).unwrap();
    }

    /// One step; how long to wait, and whether nothing is left to do. `fault`: 0 loses the request, 1 the answer, 2
    /// kills before what was done is known.
    fn act(&mut self, fault: u64) -> bool {
        let step = next(&self.run, &self.memory, OUTAGE, self.now);
        if let Step::Wait(until) = step {
            let until = until.unwrap_or(self.now).max(self.now);
            let wait = until.duration_since(self.now);
            self.pass(wait.min(SignedDuration::from_secs(60)));
            return false;
        }
        if step == Step::Finish {
            return true;
        }
        let asks_vault = step.asks_vault();
        let is_lost = fault == 0 || (asks_vault && self.vault.is_down);
        let is_refused = self.vault_cannot(&step);
        let done = !is_lost && !is_refused && self.perform(&step, fault == 1);
        match (done, fault) {
            (_, 2) => self.kill(),
            (true, _) => {
                if !matches!(step, Step::Tell(_)) {
                    self.memory.succeed();
                }
            }
            (false, _) if matches!(step, Step::Tell(_)) => {}
            (false, _) => {
                let is_revocation = matches!(
                    step,
                    Step::RevokeLease(_) | Step::RevokeToken | Step::LookUpLease(_)
                );
                let (phase, reason) = match (is_revocation, asks_vault) {
                    (true, _) => (Phase::Done, Reason::RevokeFailed),
                    (false, true) => (Phase::Read, Reason::Unreachable),
                    (false, false) => (Phase::Write, Reason::KubernetesRefused),
                };
                let failure = Failure {
                    report: Report::new(phase, reason),
                    retry_after: None,
                };
                self.memory.fail(&self.run, failure, 0.5, self.now);
            }
        }
        false
    }

    /// Whether Vault has this lease of the record.
    fn has_lease(&self, index: usize) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| self.vault.leases[record[index]])
    }

    /// Whether Vault answers that it could not do it, or not yet.
    fn vault_cannot(&self, step: &Step) -> bool {
        match step {
            Step::RevokeLease(index) => {
                self.may_revoke_leases
                    && self.vault.is_database_down
                    && self.has_lease(*index)
                    && self.vault.has_token
            }
            Step::LookUpLease(index) => self.may_look_up_leases && self.has_lease(*index),
            Step::Read(_) => self.vault.is_database_down,
            Step::Recall
            | Step::Claim
            | Step::LogIn
            | Step::Look(_)
            | Step::Write(_)
            | Step::LetGo(_)
            | Step::RenewToken
            | Step::RenewLease(_)
            | Step::RevokeToken
            | Step::Tell(_)
            | Step::Forget
            | Step::Release
            | Step::Wait(_)
            | Step::Finish => false,
        }
    }

    /// What a step does outside; whether its answer arrived. Without one the program knows nothing of it.
    fn perform(&mut self, step: &Step, is_answer_lost: bool) -> bool {
        let life = Life::new(self.now, 3600, true);
        match step {
            Step::Claim => self.run.is_claimed = true,
            Step::Release => self.run.is_claimed = false,
            Step::LetGo(report) => {
                self.run.told = Some(report.clone());
                self.run.stage = Stage::Running;
            }
            Step::Tell(report) => self.run.told = Some(report.clone()),
            // A login whose answer is lost leaves a token that has leased nothing.
            Step::LogIn if is_answer_lost => {}
            Step::LogIn => {
                self.vault.has_token = true;
                self.vault.leases.clear();
                self.record = Some(Vec::new());
            }
            // The lease is under a token that is recorded, and ends with it.
            Step::Read(_) => self.vault.leases.push(true),
            Step::Write(_) => self.has_secret = true,
            Step::RevokeLease(index) if self.may_revoke_leases && self.vault.has_token => {
                let known = self.record.as_ref().map(|record| record[*index]);
                self.vault.leases[known.unwrap()] = false;
            }
            Step::RevokeToken => {
                self.vault.has_token = false;
                self.vault.catch_up();
            }
            Step::RevokeLease(_) | Step::LookUpLease(_) => {}
            Step::Forget => self.record = None,
            Step::Recall | Step::Look(_) | Step::RenewToken | Step::RenewLease(_) => {}
            Step::Wait(_) | Step::Finish => {}
        }
        if !is_answer_lost {
            self.learn(step, life);
        }
        !is_answer_lost
    }

    fn learn(&mut self, step: &Step, life: Life) {
        let lease = Lease {
            life,
            is_revoked: false,
        };
        match (step, &mut self.memory.custody) {
            (Step::Recall, custody) => {
                *custody = match &self.record {
                    None => Custody::Absent,
                    Some(leases) => Custody::Held(Holding {
                        token: life.recalled(self.now, OUTAGE),
                        leases: vec![lease; leases.len()],
                        is_token_revoked: false,
                    }),
                };
            }
            (Step::LogIn, custody) => {
                *custody = Custody::Held(Holding {
                    token: life,
                    leases: Vec::new(),
                    is_token_revoked: false,
                });
            }
            (Step::Read(index), Custody::Held(holding)) => {
                holding.leases.push(lease);
                let made = self.vault.leases.len() - 1;
                self.record.get_or_insert_default().push(made);
                self.memory.sight(*index, Sighting::Ready);
            }
            (Step::Look(index), _) => {
                let sighting = match self.has_secret {
                    true => Sighting::Present(self.now),
                    false => Sighting::Missing,
                };
                self.memory.sight(*index, sighting);
            }
            (Step::Write(index), _) => self.memory.sight(*index, Sighting::Present(self.now)),
            (Step::RenewToken, Custody::Held(holding)) => {
                holding.token = holding.token.renewed(self.now, 5_400, true);
            }
            (Step::RenewLease(index), Custody::Held(holding)) => {
                let life = &mut holding.leases[*index].life;
                *life = life.renewed(self.now, 5_400, true);
            }
            (Step::RevokeLease(_), Custody::Held(holding)) if !self.vault.has_token => {
                holding.is_token_revoked = true;
            }
            (Step::RevokeLease(_), Custody::Held(_)) if !self.may_revoke_leases => {
                self.memory.may_not_revoke_leases = true;
            }
            (Step::LookUpLease(_), Custody::Held(_)) if !self.may_look_up_leases => {
                self.memory.may_not_look_up_leases = true;
            }
            (Step::RevokeLease(index) | Step::LookUpLease(index), Custody::Held(holding)) => {
                holding.leases[*index].is_revoked = true;
            }
            (Step::RevokeToken, Custody::Held(holding)) => holding.is_token_revoked = true,
            (Step::Forget, custody) => *custody = Custody::Absent,
            _ => {}
        }
    }

    fn told(&self) -> Option<&Reason> {
        let told = self.run.told.as_ref();
        told.filter(|told| told.phase == Phase::Done)
            .map(|told| &told.reason)
    }

    fn lives(&self) -> bool {
        self.vault.has_token || self.vault.leases.contains(&true)
    }

    /// What the status says and is not so. Where nobody may look it says that this is not known; a lease whose answer
    /// was lost nobody knows of, and Vault ends it with its token as soon as it can.
    fn untruth(&self) -> Option<&'static str> {
        let told = self.run.told.as_ref();
        let is_doubted = told.is_some_and(|told| told.message.as_deref() == Some(UNVERIFIED));
        let known = self.record.iter().flatten();
        let has_known = known.copied().any(|lease| self.vault.leases[lease]);
        let lives = self.vault.has_token || (has_known && !is_doubted);
        (was_revoked(&self.run) && lives).then_some("`Revoked`, and a lease lives")
    }

    /// The run ends if it has not, everything works, and all is done; how long that took.
    fn calm_down(&mut self) -> SignedDuration {
        self.vault.is_down = false;
        self.vault.is_database_down = false;
        self.vault.catch_up();
        if !self.run.is_over(self.now) {
            self.run.stage = Stage::Over { deleted: None };
        }
        let calm = self.now;
        for _ in 0..200 {
            if self.act(u64::MAX) {
                break;
            }
        }
        self.now.duration_since(calm)
    }
}
