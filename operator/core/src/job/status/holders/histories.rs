//! Random histories of one run with several pods: agents that end well, are killed, restarted or lost, pods that vanish,
//! tokens that are revoked for them or end by themselves, leases that outlive their token. At no time is the run called
//! revoked while the token or lease of a pod lives that was once seen to hold one.

use jiff::{SignedDuration, Timestamp};
use planescape_agent_contract::{Phase, Reason, Report};

use super::super::vault::fate;
use super::*;
use crate::credentials::left::Revocation;
use crate::job::observed::{End, ObservedAgent};

const HISTORIES: u64 = 100_000;

#[test]
fn no_run_is_called_revoked_while_the_token_of_a_pod_lives() {
    let mut claims = 0;
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        for _ in 0..40 {
            world.happen();
            if let Some(lease) = world.look() {
                let is_claimed = matches!(lease, Lease::Revoked | Lease::RevokedByOperator);
                claims += u64::from(is_claimed);
                let lives = world.tokens.iter().any(|it| it.is_known && it.lives);
                assert!(!(is_claimed && lives), "seed {seed}: {lease:?}");
            }
        }
    }
    assert!(claims > HISTORIES / 10, "{claims} claims");
}

/// Vault's knowledge of the pod with the same index.
#[derive(Clone, Copy)]
struct Token {
    lives: bool,
    /// Whether the operator has seen that there is one.
    is_known: bool,
}

struct World {
    seed: u64,
    now: Timestamp,
    job: ObservedJob,
    tokens: Vec<Token>,
    recorded: Vec<Holder>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        Self {
            seed,
            now,
            job: ObservedJob {
                name: "job-1".to_owned(),
                uid: "j".to_owned(),
                version: None,
                tick: now,
                rerun: None,
                started: Some(now),
                end: None,
                deleting_since: None,
                grace: SignedDuration::from_secs(30),
                expects_pods: true,
                has_had_pods: true,
                podless_since: None,
                is_hidden: false,
                is_tracked: true,
                template: None,
                is_ended: false,
                has_ttl: false,
                is_suspended: false,
                service_account: "default".to_owned(),
                waits_for_secrets: None,
                is_supplied: false,
                credentials: None,
                revocations: Vec::new(),
                pods: Vec::new(),
            },
            tokens: Vec::new(),
            recorded: Vec::new(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit
    }

    fn happen(&mut self) {
        self.now += SignedDuration::from_secs(1);
        match self.below(14) {
            0 | 1 if self.tokens.len() < 4 && self.job.end.is_none() => self.start(),
            2 | 3 => self.end("Revoked"),
            12 => self.end("TokenRevoked"),
            13 => self.look_for_lease(),
            4 => self.end("Killed"),
            5 => self.end("RevokeFailed"),
            6 => self.restart(),
            7 if !self.job.pods.is_empty() => {
                let gone = self.below(self.job.pods.len());
                self.job.pods.remove(gone);
            }
            8 | 9 => self.revoke(),
            // Its node is lost: the API server has its last word.
            10 if !self.job.pods.is_empty() => {
                let lost = self.below(self.job.pods.len());
                self.job.pods[lost].is_over = true;
            }
            11 if !self.tokens.is_empty() && self.job.pods.iter().all(|pod| pod.is_over) => {
                self.job.end = Some(End {
                    at: Some(self.now),
                    is_success: true,
                    reason: None,
                    message: None,
                });
            }
            _ => {}
        }
    }

    fn start(&mut self) {
        let number = self.tokens.len();
        self.tokens.push(Token {
            lives: true,
            is_known: false,
        });
        self.job.pods.push(ObservedPod {
            name: format!("pod-{number}"),
            uid: number.to_string(),
            created: Some(self.now),
            is_over: false,
            job_name_label: None,
            agent: Some(ObservedAgent {
                is_init: false,
                is_ready: true,
                is_done: false,
                is_restarted: true,
                report: None,
                ended: None,
                place: None,
            }),
            waiting: None,
            failure: None,
            prepared_since: None,
            has_begun: false,
        });
    }

    /// An agent at work, if there is one.
    fn at_work(&mut self) -> Option<usize> {
        let works =
            |pod: &ObservedPod| !pod.is_over && pod.agent.as_ref().is_some_and(|it| it.is_ready);
        let all: Vec<usize> = (0..self.job.pods.len())
            .filter(|it| works(&self.job.pods[*it]))
            .collect();
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }

    fn end(&mut self, how: &str) {
        let Some(index) = self.at_work() else { return };
        let has_ttl = self.below(2) == 0;
        let pod = &mut self.job.pods[index];
        let number: usize = pod.uid.parse().unwrap();
        let accessor = format!("a{number}");
        let ended = match how {
            "Killed" => Report::new(Phase::Running, Reason::LoggedIn),
            "RevokeFailed" => Report::new(Phase::Done, Reason::RevokeFailed),
            _ => Report::new(Phase::Done, Reason::Revoked),
        };
        self.tokens[number].lives = how != "Revoked";
        let leases = (how == "TokenRevoked").then(|| format!("lease-{number}"));
        let is_left = matches!(how, "Killed" | "RevokeFailed");
        let unrevoked = is_left.then(|| accessor.clone());
        pod.is_over = true;
        pod.agent = Some(ObservedAgent {
            is_init: false,
            is_ready: false,
            is_done: !is_left,
            is_restarted: false,
            report: Some(Report {
                accessor: Some(accessor),
                unrevoked: unrevoked.into_iter().collect(),
                leases: leases.into_iter().collect(),
                ttl_seconds: has_ttl.then_some(60),
                ..ended
            }),
            ended: Some(self.now),
            place: None,
        });
    }

    /// The agent is killed while its pod lives, and its next life is not ready yet.
    fn restart(&mut self) {
        let Some(index) = self.at_work() else { return };
        let runs_again = self.below(2) == 0;
        let pod = &mut self.job.pods[index];
        let accessor = format!("a{}", pod.uid);
        pod.agent = Some(ObservedAgent {
            is_init: false,
            is_ready: false,
            is_done: false,
            is_restarted: runs_again,
            report: Some(Report {
                accessor: Some(accessor.clone()),
                unrevoked: vec![accessor],
                ..Report::new(Phase::Running, Reason::LoggedIn)
            }),
            ended: Some(self.now),
            place: None,
        });
    }

    /// `planescape credentials` revokes what the API server, or the status, tells it of.
    fn revoke(&mut self) {
        let told = self
            .recorded
            .iter()
            .flat_map(|holder| holder.accessors.clone());
        let told: Vec<String> = told.collect();
        if told.is_empty() {
            return;
        }
        let accessor = told[self.below(told.len())].clone();
        let number: usize = accessor[1..].parse().unwrap();
        self.tokens[number].lives = false;
        self.job.revocations.push(Revocation {
            revoked: vec![accessor],
            ..Revocation::default()
        });
    }

    /// `planescape credentials` finds that the lease of a pod, which may be gone, has ended.
    fn look_for_lease(&mut self) {
        let open = self
            .recorded
            .iter()
            .filter(|it| it.lease == Lease::TokenRevoked);
        let open: Vec<String> = open.map(|it| it.uid.clone()).collect();
        if open.is_empty() {
            return;
        }
        let pod = open[self.below(open.len())].clone();
        self.tokens[pod.parse::<usize>().unwrap()].lives = false;
        self.job.revocations.push(Revocation {
            has_no_lease: true,
            pod,
            ..Revocation::default()
        });
    }

    /// The operator's word, if it looks now.
    fn look(&mut self) -> Option<Lease> {
        if self.below(3) > 0 {
            return None;
        }
        for pod in &self.job.pods {
            self.tokens[pod.uid.parse::<usize>().unwrap()].is_known = true;
        }
        let all = of(&self.job, &self.recorded);
        let lease = fate(&self.job, &all, None).lease;
        self.recorded = unsettled(all);
        lease
    }
}
