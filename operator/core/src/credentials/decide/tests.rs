use super::*;
use crate::credentials::{Content, Order, OrderedSecret};
use crate::job::identity::Identity;

const OUTAGE: SignedDuration = SignedDuration::from_hours(1);

#[test]
fn a_run_goes_from_its_claim_to_its_pods_and_from_its_end_to_its_release() {
    let mut world = World::new(Stage::Waiting);

    let begun = world.go_on();
    assert_eq!(
        begun,
        [
            "Recall",
            "Claim",
            "LogIn",
            "Look(0)",
            "Read(0)",
            "Write(0)",
            "LetGo",
            "RenewToken",
            "RenewLease(0)"
        ]
    );
    world.run.stage = Stage::Over { deleted: None };
    let ended = world.go_on();
    assert_eq!(
        ended,
        [
            "RevokeLease(0)",
            "RevokeToken",
            "Tell(Revoked)",
            "Forget",
            "Release",
            "Finish"
        ]
    );
    assert_eq!(world.tokens, 1);
}

#[test]
fn whoever_is_killed_between_two_steps_is_followed_without_a_second_token_or_pod() {
    for kill_after in 0..20 {
        let mut world = World::new(Stage::Waiting);
        world.kill_after = Some(kill_after);
        world.go_on();
        assert_eq!(world.run.stage, Stage::Running, "{kill_after}");
        assert!(world.has_secret, "{kill_after}");
        world.run.stage = Stage::Over { deleted: None };
        world.go_on();

        assert_eq!(world.tokens, 1, "{kill_after}");
        assert!(!world.is_token_alive && !world.has_record, "{kill_after}");
        assert!(!world.run.is_claimed, "{kill_after}");
        assert_eq!(world.told(), "Revoked", "{kill_after}");
    }
}

#[test]
fn a_run_that_ends_before_it_began_logs_in_to_nothing() {
    let mut world = World::new(Stage::Over { deleted: None });

    assert_eq!(world.go_on(), ["Finish"]);
    assert_eq!(world.tokens, 0);
}

#[test]
fn a_deleted_secret_is_made_again_with_the_same_token() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.has_secret = false;
    world.now = world.now.saturating_add(SECRET_CHECK).unwrap();

    let again = world.go_on();

    assert_eq!(again, ["Look(0)", "Read(0)", "Write(0)", "RenewLease(1)"]);
    assert_eq!(world.tokens, 1);
    world.run.stage = Stage::Over { deleted: None };
    let ended = world.go_on();
    assert!(ended.contains(&"RevokeLease(1)".to_owned()), "{ended:?}");
}

#[test]
fn nothing_is_said_to_be_revoked_before_vault_says_so() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over { deleted: None };
    world.is_vault_down = true;

    let tried = world.go_on();

    assert_eq!(tried, ["RevokeLease(0)", "Tell(Unreachable)"]);
    assert!(world.has_record && world.run.is_claimed);
    world.is_vault_down = false;
    world.now = world.now.saturating_add(LONGEST_RETRY * 2).unwrap();
    let again = world.go_on();
    assert_eq!(again[0], "RevokeLease(0)");
    assert_eq!(world.told(), "Revoked");
}

#[test]
fn where_vault_does_not_speak_of_leases_the_token_has_to_do_and_the_report_says_so() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.memory.may_not_revoke_leases = true;
    world.run.stage = Stage::Over { deleted: None };

    let mut unasked = world.clone();
    unasked.memory.may_not_look_up_leases = true;
    assert_eq!(unasked.go_on()[0], "RevokeToken");
    let message = unasked.run.told.unwrap().message.unwrap();
    assert!(message.contains("sys/leases/revoke"), "{message}");

    assert_eq!(world.go_on()[..2], ["RevokeToken", "LookUpLease(0)"]);
    assert_eq!(world.run.told.unwrap().message, None);
}

#[test]
fn a_deletion_waits_for_a_silent_vault_ten_minutes_and_not_for_ever() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    world.run.stage = Stage::Over {
        deleted: Some(world.now),
    };
    world.is_vault_down = true;
    let mut steps = world.go_on();
    for _ in 0..20 {
        assert!(world.run.is_claimed);
        world.now = world.now.saturating_add(LONGEST_RETRY).unwrap();
        steps = world.go_on();
        if !world.run.is_claimed {
            break;
        }
    }

    assert_eq!(steps, ["Tell(RevokeFailed)", "Forget", "Release", "Finish"]);
}

#[test]
fn an_end_does_not_wait_for_the_next_try_to_supply() {
    let mut world = World::new(Stage::Waiting);
    world.is_vault_down = true;
    assert_eq!(
        world.go_on(),
        ["Recall", "Claim", "LogIn", "Tell(Unreachable)"]
    );

    world.run.stage = Stage::Over { deleted: None };

    assert_eq!(world.go_on(), ["Release", "Finish"]);
}

#[test]
fn pods_that_stop_keep_their_credentials() {
    let mut world = World::new(Stage::Waiting);
    world.go_on();
    let until = world.now.saturating_add(OUTAGE).unwrap();
    world.run.stage = Stage::Stopping(until);

    assert_eq!(world.next(), Step::Wait(Some(until)));
    world.now = until;
    assert_eq!(world.next(), Step::RevokeLease(0));
}

#[test]
fn credentials_that_cannot_last_say_when_they_end() {
    let mut world = World::new(Stage::Waiting);
    world.is_renewable = false;

    world.go_on();

    let message = world.run.told.unwrap().message.unwrap();
    assert!(message.contains("2026-11-24T10:10:00Z"), "{message}");
}

#[test]
fn waits_as_long_as_it_has_lasted_and_as_it_was_asked_to() {
    let world = World::new(Stage::Waiting);
    let mut memory = Memory::default();
    let mut wait = |now: Timestamp, retry_after| {
        let failure = failure(Reason::RateLimited, retry_after);
        memory.fail(&world.run, failure, 0.0, now);
        memory
            .trouble
            .as_ref()
            .unwrap()
            .retry
            .duration_since(now)
            .as_secs()
    };
    let later = |seconds| {
        world
            .now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap()
    };

    assert_eq!(wait(world.now, None), 1);
    assert_eq!(wait(later(20), None), 20);
    assert_eq!(wait(later(900), None), 60);
    assert_eq!(wait(later(900), Some(SignedDuration::from_secs(300))), 300);
}

/// A Job, a Vault and a namespace that do what they are told.
#[derive(Clone)]
struct World {
    run: Run,
    memory: Memory,
    now: Timestamp,
    has_record: bool,
    recorded: Vec<Lease>,
    has_secret: bool,
    is_token_alive: bool,
    is_renewable: bool,
    is_vault_down: bool,
    tokens: usize,
    /// How many steps the program lives.
    kill_after: Option<usize>,
}

impl World {
    fn new(stage: Stage) -> Self {
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
            tokens: 0,
            kill_after: None,
        }
    }

    fn next(&self) -> Step {
        next(&self.run, &self.memory, OUTAGE, self.now)
    }

    fn told(&self) -> &str {
        self.run
            .told
            .as_ref()
            .map_or("", |told| told.reason.as_str())
    }

    /// The names of the steps until there is nothing to do.
    fn go_on(&mut self) -> Vec<String> {
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

    fn take(&mut self, step: Step) {
        if step.asks_vault() && self.is_vault_down {
            let failure = failure(Reason::Unreachable, None);
            self.memory.fail(&self.run, failure, 0.5, self.now);
            return;
        }
        let life = Life::new(self.now, 600, self.is_renewable);
        match step {
            Step::Recall => {
                self.memory.custody = if self.has_record {
                    Custody::Held(Holding {
                        token: life,
                        leases: self.recorded.clone(),
                        is_token_revoked: false,
                    })
                } else {
                    Custody::Absent
                };
            }
            Step::Claim => self.run.is_claimed = true,
            Step::LogIn => {
                self.tokens += 1;
                self.is_token_alive = true;
                self.has_record = true;
                let leases = Vec::new();
                self.memory.custody = Custody::Held(Holding {
                    token: life,
                    leases,
                    is_token_revoked: false,
                });
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
                let lease = Lease {
                    life,
                    is_revoked: false,
                };
                self.holding().leases.push(lease);
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
            | Step::RevokeLease(_)
            | Step::RevokeToken
            | Step::LookUpLease(_) => {
                self.renew_or_revoke(&step);
            }
            Step::Tell(report) => {
                self.run.told = Some(report);
                return;
            }
            Step::Forget => {
                self.has_record = false;
                self.memory.custody = Custody::Absent;
            }
            Step::Release => self.run.is_claimed = false,
            Step::Wait(_) | Step::Finish => unreachable!("is not done"),
        }
        self.memory.succeed();
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
            Step::RevokeLease(index) => self.holding().leases[*index].is_revoked = true,
            Step::RevokeToken => {
                self.is_token_alive = false;
                self.holding().is_token_revoked = true;
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

    fn holding(&mut self) -> &mut Holding {
        match &mut self.memory.custody {
            Custody::Held(holding) => holding,
            Custody::Unknown | Custody::Absent => panic!("nothing is held"),
        }
    }
}

fn failure(reason: Reason, retry_after: Option<SignedDuration>) -> Failure {
    Failure {
        report: Report::new(Phase::Login, reason),
        retry_after,
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
        | Step::RevokeToken
        | Step::Forget
        | Step::Release
        | Step::Wait(_)
        | Step::Finish => step.name().to_owned(),
    }
}
