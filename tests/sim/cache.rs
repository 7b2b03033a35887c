//! The cache of listeners against a model of Vault's tokens and leases on a virtual clock: clients that ask, revoke and
//! clear in any order, answers that are late or get lost, renewals, other tokens of the agent and later lives of it.
//!
//! No client gets what is gone, unless nobody could know: a revocation is on its way, or was never answered before the
//! agent was killed.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planescape_agent_core::{Asked, Cache, Carried, Failure, Key, Moment, Renewal, Revocation};
use planescape_tests::chance::Chance;
use planescape_vault::{Grant, SecretText};

use crate::vault::down;
use tree::{Given, Tree};

const STEPS: usize = 2_000;
const SEEDS: u64 = 200;

/// More than any cache needs to become empty.
const MOST_ROUNDS: usize = 10_000;

/// The number of the loss of the agent's token, of which the cache hears later.
const LOSS: usize = 0;

const PATHS: [&str; 3] = ["db/creds/a", "db/creds/b", "aws/creds/c"];
const NAMESPACES: [&str; 2] = ["root/", "team/"];
/// Prefixes of leases, and of tokens.
const PREFIXES: [&str; 5] = ["db/creds/a", "db", "aws", "auth/userpass", "auth/token"];

#[test]
fn nobody_is_given_what_is_gone() {
    let mut counts = BTreeMap::new();
    for seed in crate::seeds(SEEDS) {
        let mut world = World::new(seed);
        for step in 0..STEPS {
            world.step();
            if let Some(broken) = &world.broken {
                let story = world.story.join("\n");
                panic!("seed {seed}, step {step}: {broken}\n{story}");
            }
        }
        world.comes_to_rest(seed);
        for (what, count) in world.counts {
            *counts.entry(what).or_insert(0) += count;
        }
    }
    eprintln!("{counts:?}");
    if crate::seed().is_none() {
        for what in [
            "given from the cache",
            "kept",
            "revoked before it came",
            "kept on in another life",
            "renewed",
        ] {
            assert!(counts.contains_key(what), "never: {what}");
        }
    }
}

/// An answer, and when it was asked for.
#[derive(Clone, Debug)]
struct Kept {
    given: Given,
    life: Duration,
    sent: Moment,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Lease(usize),
    Child,
    Orphan,
    Login,
}

/// Something on its way: to Vault, or back.
#[derive(Debug)]
enum Flight {
    Asking(Asked, Wish),
    Answer(Asked, Option<Kept>),
    Revoking(Revocation, usize),
    /// The outcome of the client's request, and whether its answer says so.
    Revoked(Revocation, usize, bool),
    Renewing(Renewal, Moment),
    Renewed(Renewal, Moment, Result<Grant, Failure>),
}

struct World {
    chance: Chance,
    now: Moment,
    cache: Cache<Kept>,
    tree: Tree,
    own: String,
    /// Tokens that clients have, the agent's first.
    tokens: Vec<String>,
    /// Leases that clients have.
    leases: Vec<String>,
    keys: BTreeMap<(String, String, Option<String>), usize>,
    flights: Vec<Flight>,
    revocations: usize,
    /// Revocations that the cache has not heard of.
    unheard: BTreeSet<usize>,
    cleared_at: Option<Moment>,
    counts: BTreeMap<&'static str, usize>,
    broken: Option<String>,
    story: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Moment::since_boot(Duration::from_secs(1000));
        let mut tree = Tree::default();
        let own = tree.log_in(now);
        let mut cache = Cache::new(seed);
        cache.set_own(
            SecretText::new(own.clone()),
            tree.accessor(&own).map(str::to_owned),
        );
        Self {
            chance: Chance::new(seed),
            now,
            cache,
            tree,
            tokens: vec![own.clone()],
            own,
            leases: Vec::new(),
            keys: BTreeMap::new(),
            flights: Vec::new(),
            revocations: LOSS,
            unheard: BTreeSet::new(),
            cleared_at: None,
            counts: BTreeMap::new(),
            broken: None,
            story: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.go_on(Duration::from_millis(1));
        match self.chance.below(40) {
            0..8 => self.ask(),
            8..30 => self.fly(),
            30..33 => self.revoke(),
            33 if self.chance.once_in(4) => self.clear(),
            34 if self.chance.once_in(8) => self.lose_own(),
            35 if self.chance.once_in(4) => self.log_in(),
            36 if self.chance.once_in(8) => self.begin_another_life(),
            _ => self.pass(),
        }
    }

    /// Time goes on, and what is due then is renewed.
    fn go_on(&mut self, time: Duration) {
        self.now = self.now + time;
        for renewal in self.cache.take_due(self.now) {
            self.flights.push(Flight::Renewing(renewal, self.now));
        }
        if self.cache.timeout().is_some_and(|at| at <= self.now) {
            self.breaks("it asks to be woken at a moment that is over");
        }
    }

    fn breaks(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| what.to_owned());
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn tell(&mut self, what: String) {
        self.story.push(format!("{:?} {what}", self.now));
    }

    /// A client asks, and is given what is kept or what Vault says.
    fn ask(&mut self) {
        let wish = match self.chance.below(8) {
            0 => Wish::Login,
            1 => Wish::Orphan,
            2 | 3 => Wish::Child,
            _ => Wish::Lease(self.chance.below(PATHS.len())),
        };
        let (path, token) = match wish {
            Wish::Login => ("auth/userpass/login/u", None),
            Wish::Orphan => ("auth/token/create-orphan", Some(())),
            Wish::Child => ("auth/token/create", Some(())),
            Wish::Lease(n) => (PATHS[n], Some(())),
        };
        let token = token.map(|()| self.chance.pick(&self.tokens));
        let namespace = self.chance.pick(&NAMESPACES).to_owned();
        let path = format!("/v1/{path}");
        let asked = Asked {
            key: self.key((path.clone(), namespace.clone(), token.clone())),
            path,
            namespace,
            token: token.map(SecretText::new),
            sent: self.now,
        };
        match self.cache.get(&asked.key, self.now).cloned() {
            Some(kept) => self.check(&kept),
            None => self.flights.push(Flight::Asking(asked, wish)),
        }
    }

    fn key(&mut self, of: (String, String, Option<String>)) -> Key {
        let next = self.keys.len();
        let number = *self.keys.entry(of).or_insert(next);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(number as u64).to_be_bytes());
        key
    }

    fn check(&mut self, kept: &Kept) {
        self.count("given from the cache");
        let name = kept.given.name();
        let ended_by = self.tree.ended_by(name);
        let is_unheard = ended_by.is_some_and(|number| self.unheard.contains(&number));
        if !self.tree.has(name, self.now) && !is_unheard {
            let broken = format!("{name} is gone, by {ended_by:?}, and given from the cache");
            self.breaks(&broken);
        }
        if self.cleared_at.is_some_and(|at| kept.sent <= at) {
            let broken = format!("{name} was cleared, and is given from the cache");
            self.breaks(&broken);
        }
    }

    /// Something arrives, at Vault or back.
    fn fly(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let index = self.chance.below(self.flights.len());
        let flight = self.flights.swap_remove(index);
        self.tell(format!("{flight:?}"));
        match flight {
            Flight::Asking(asked, wish) => {
                let kept = match self.chance.below(10) {
                    0 => None,
                    1 => self.serve(&asked, wish).and(None),
                    _ => self.serve(&asked, wish),
                };
                self.flights.push(Flight::Answer(asked, kept));
            }
            Flight::Answer(asked, kept) => {
                if let Some(kept) = kept {
                    self.answered(asked, kept);
                }
            }
            Flight::Revoking(revocation, number) => {
                let is_done = self.chance.below(10) > 0;
                if is_done {
                    self.unheard.insert(number);
                    self.tree.revoke(&revocation, number);
                }
                let is_sure = is_done && self.chance.below(10) > 0;
                let flight = Flight::Revoked(revocation, number, is_sure);
                self.flights.push(flight);
            }
            // Without an answer it may be done all the same.
            Flight::Revoked(revocation, number, is_sure) => {
                self.unheard.remove(&number);
                let revocation = match is_sure {
                    true => revocation,
                    false => revocation.unsure(),
                };
                self.cache.revoke(revocation, self.now);
            }
            Flight::Renewing(renewal, sent) => {
                let name = match &renewal.lease {
                    Some(id) => id.clone(),
                    None => renewal.token.expose().to_owned(),
                };
                let result = match self.chance.below(6) {
                    0 => Err(down()),
                    1 => self.tree.renew(&name, self.now).and(Err(down())),
                    _ => self.tree.renew(&name, self.now),
                };
                self.flights.push(Flight::Renewed(renewal, sent, result));
            }
            Flight::Renewed(renewal, sent, result) => {
                self.count("renewed");
                self.cache.renewed(renewal.of, result, sent, self.now);
            }
        }
    }

    fn serve(&mut self, asked: &Asked, wish: Wish) -> Option<Kept> {
        let life = Duration::from_secs(self.chance.pick(&[3, 30, 600]));
        let token = asked.token.as_ref().map(SecretText::expose);
        let path = asked.path.trim_start_matches("/v1/");
        let place = (path, asked.namespace.as_str());
        let given = match wish {
            Wish::Lease(_) => self.tree.lease(token?, place, life, self.now),
            Wish::Child => self.tree.create(Some(token?), place, life, self.now),
            Wish::Orphan if !self.tree.has_token(token?, self.now) => None,
            Wish::Orphan | Wish::Login => self.tree.create(None, place, life, self.now),
        };
        Some(Kept {
            given: given?,
            life,
            sent: asked.sent,
        })
    }

    fn answered(&mut self, asked: Asked, kept: Kept) {
        const MOST: usize = 8;
        let names = match &kept.given {
            Given::Lease { .. } => &mut self.leases,
            Given::Token { .. } => &mut self.tokens,
        };
        names.push(kept.given.name().to_owned());
        if names.len() > MOST {
            names.remove(1);
        }
        let is_renewable = self.chance.below(6) > 0;
        let carried = carried(&kept, is_renewable);
        let would_be = self.cache.keeps(&asked, &carried);
        let is_kept = self.cache.put(asked, carried, kept, self.now);
        match (would_be, is_kept) {
            (true, true) => self.count("kept"),
            (true, false) => self.count("revoked before it came"),
            (false, _) => self.count("not to be kept"),
        }
    }

    /// A client revokes something through the listener.
    fn revoke(&mut self) {
        let token = self.chance.pick(&self.tokens);
        if token == self.own && self.chance.below(8) > 0 {
            return;
        }
        let revocation = match self.chance.below(5) {
            0 => Revocation::Token(SecretText::new(token)),
            1 => Revocation::TokenAlone(SecretText::new(token)),
            2 => match self.tree.accessor(&token) {
                Some(accessor) => Revocation::Accessor(accessor.to_owned()),
                None => return,
            },
            3 if self.leases.is_empty() => return,
            3 => Revocation::Lease(self.chance.pick(&self.leases)),
            _ => Revocation::Leases {
                prefix: self.chance.pick(&PREFIXES).to_owned(),
                namespace: self.chance.pick(&NAMESPACES).to_owned(),
            },
        };
        self.revocations += 1;
        let number = self.revocations;
        self.flights.push(Flight::Revoking(revocation, number));
    }

    fn clear(&mut self) {
        let wish = if self.chance.once_in(2) {
            self.cleared_at = Some(self.now);
            Revocation::All
        } else {
            Revocation::Path {
                prefix: "/v1/auth/token/".to_owned(),
                namespace: self.chance.pick(&NAMESPACES).to_owned(),
            }
        };
        self.tell(format!("clear {wish:?}"));
        self.cache.revoke(wish, self.now);
    }

    /// Somebody else takes the agent's token away.
    fn lose_own(&mut self) {
        self.tell(format!("{} is lost", self.own));
        self.unheard.insert(LOSS);
        self.tree.take_token(&self.own, LOSS);
    }

    /// The agent has another token.
    fn log_in(&mut self) {
        let own = self.tree.log_in(self.now);
        self.tell(format!("{own} follows {}", self.own));
        self.take(own);
        self.set_own();
    }

    fn set_own(&mut self) {
        let accessor = self.tree.accessor(&self.own).map(str::to_owned);
        self.cache
            .set_own(SecretText::new(self.own.clone()), accessor);
    }

    /// Takes a new token; all that hung on the one before is forgotten.
    fn take(&mut self, own: String) {
        self.unheard.remove(&LOSS);
        self.tokens[0].clone_from(&own);
        self.own = own;
    }

    /// The agent is killed, and what it kept is kept on where its token is the same, as far as it is vouched for.
    /// Revocations that were not answered are never heard of.
    fn begin_another_life(&mut self) {
        self.tell("another life".to_owned());
        self.flights.clear();
        let mut left: Vec<(Asked, Kept)> = Vec::new();
        for held in self.cache.held() {
            let remaining = held.ends_at.since(self.now);
            let asked = Asked {
                key: held.key,
                path: held.path.to_owned(),
                namespace: held.namespace.to_owned(),
                token: held.token.cloned(),
                sent: self.now.before(held.answer.life.saturating_sub(remaining)),
            };
            left.push((asked, held.answer.clone()));
        }
        self.cache = Cache::new(self.now.since(Moment::since_boot(Duration::ZERO)).as_secs());
        if self.chance.once_in(4) {
            let own = self.tree.log_in(self.now);
            self.take(own);
        }
        self.set_own();
        loop {
            let before = left.len();
            for (asked, kept) in std::mem::take(&mut left) {
                let carried = carried(&kept, true);
                match self.cache.keeps(&asked, &carried) {
                    true => {
                        self.count("kept on in another life");
                        self.cache.put(asked, carried, kept, self.now);
                    }
                    false => left.push((asked, kept)),
                }
            }
            if left.len() == before {
                return;
            }
        }
    }

    fn pass(&mut self) {
        let waits = [0, 10, 500, 2_000, 20_000, 200_000];
        let mut wait = Duration::from_millis(self.chance.pick(&waits));
        // The cache's own timers do not oversleep.
        if let Some(at) = self.cache.timeout() {
            wait = wait.min(at.since(self.now));
        }
        self.go_on(wait);
    }

    /// Without Vault everything that is kept ends.
    fn comes_to_rest(&mut self, seed: u64) {
        for _ in 0..MOST_ROUNDS {
            let Some(at) = self.cache.timeout() else {
                break;
            };
            self.now = self.now + at.since(self.now);
            for renewal in self.cache.take_due(self.now) {
                let now = self.now;
                self.cache.renewed(renewal.of, Err(down()), now, now);
            }
        }
        let left = self.cache.len();
        assert_eq!(left, 0, "seed {seed}: what is kept does not end");
    }
}

fn carried(kept: &Kept, is_renewable: bool) -> Carried {
    let grant = Grant::new(kept.life, is_renewable);
    match &kept.given {
        Given::Lease { id } => Carried::Lease {
            id: id.clone(),
            grant,
        },
        Given::Token {
            name,
            accessor,
            is_orphan,
        } => Carried::Token {
            token: SecretText::new(name.clone()),
            accessor: accessor.clone(),
            is_orphan: *is_orphan,
            grant,
        },
    }
}
