//! How often Vault is asked while nothing gets better: an hour on a virtual clock for each request that fails and each
//! way to fail, from the start on and from later on.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use planescape_agent_contract::{Config, Overrides, Tree};
use planescape_agent_core::{Agent, Command, Failure, Input, Moment, Now, Start};
use planescape_templates::Answer;
use planescape_vault::mount::Mount;
use planescape_vault::{Error, Grant, Login, Secret, SecretText};

use crate::vault::{down, refused};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A pause of this length ends a trouble.
const PAUSE: Duration = Duration::from_secs(120);

/// Between question and answer.
const LATENCY: Duration = Duration::from_millis(5);

const TOKEN_LIFE: u64 = 1800;
const LEASE_LIFE: u64 = 600;

/// More steps than an hour has, however often Vault is asked.
const MOST_STEPS: usize = 200_000;

const TEXTS: [&str; 3] = [
    r#"{{ with secret "database/creds/a" }}{{ .LeaseID }}{{ end }}"#,
    r#"{{ with secret "database/creds/b" }}{{ .LeaseID }}{{ end }}"#,
    r#"{{ with secret "kv/c" }}{{ .Data.password }}{{ end }}"#,
];

/// The requests to Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    LogIn,
    FindMount,
    Read,
    RenewToken,
    LookUpToken,
    RenewLease,
}

impl Asked {
    /// How often in the first minute, and in each minute after.
    fn most(self) -> (usize, usize) {
        match self {
            Self::LogIn => (6, 6),
            // Two, and one where a lease ends: the last chance before that, or the first try after it.
            Self::FindMount
            | Self::Read
            | Self::RenewToken
            | Self::LookUpToken
            | Self::RenewLease => (60, 3),
        }
    }
}

/// Sets of requests that fail together.
const TROUBLES: [&[Asked]; 9] = [
    &[Asked::LogIn],
    &[Asked::FindMount],
    &[Asked::Read],
    &[Asked::RenewToken],
    &[Asked::RenewLease],
    &[Asked::Read, Asked::LookUpToken],
    &[Asked::RenewToken, Asked::RenewLease, Asked::LookUpToken],
    &[Asked::FindMount, Asked::Read, Asked::LookUpToken],
    &[
        Asked::LogIn,
        Asked::FindMount,
        Asked::Read,
        Asked::RenewToken,
        Asked::LookUpToken,
        Asked::RenewLease,
    ],
];

fn failures() -> Vec<Failure> {
    let silent = Error::Silent {
        address: "vault:8200".to_owned(),
    };
    let malformed = Error::Malformed {
        message: "it is no JSON".to_owned(),
    };
    let mut failures = vec![down(), silent.into(), malformed.into()];
    for (status, text) in [
        (400, "failed to renew entry: the database is down"),
        (400, "lease not found"),
        (403, "permission denied"),
        (
            403,
            "2 errors occurred: * permission denied * invalid token",
        ),
        (404, ""),
        (412, ""),
        (429, ""),
        (473, ""),
        (500, "internal error"),
        (503, "Vault is sealed"),
    ] {
        failures.push(refused(status, text, None));
    }
    failures.push(refused(429, "", Some(1)));
    failures
}

#[test]
fn a_vault_that_is_away_is_asked_seldom() {
    let mut most: BTreeMap<Asked, (usize, usize)> = BTreeMap::new();
    for (seed, failure) in (1..).zip(failures()) {
        for what in TROUBLES {
            for begins in [Duration::ZERO, MINUTE * 15] {
                let asked = Run::new(what, begins, failure.clone(), seed).asked();
                for ((kind, of), times) in asked {
                    let (first, later) = in_a_minute(&times);
                    let allowed = kind.most();
                    assert!(
                        first <= allowed.0 && later <= allowed.1,
                        "{what:?} fails after {begins:?} with {failure}: {kind:?} {of} {first} times in the first minute, \
                         {later} times in a later one"
                    );
                    let most = most.entry(kind).or_default();
                    *most = (most.0.max(first), most.1.max(later));
                }
            }
        }
    }
    eprintln!("most in the first minute, and in a later one: {most:?}");
}

/// The most in the first minute of a trouble, and in any minute after it.
fn in_a_minute(times: &[Moment]) -> (usize, usize) {
    let mut most = (0, 0);
    let mut first: Vec<Moment> = Vec::new();
    let mut later: VecDeque<Moment> = VecDeque::new();
    let mut last = None;
    for &at in times {
        let goes_on = last.is_some_and(|last| at.since(last) <= PAUSE);
        last = Some(at);
        if !goes_on {
            first.clear();
            later.clear();
        }
        if first.first().is_none_or(|begun| at.since(*begun) < MINUTE) {
            first.push(at);
        } else {
            later.push_back(at);
            later.retain(|before| at.since(*before) < MINUTE);
        }
        most = (first.len().max(most.0), later.len().max(most.1));
    }
    most
}

/// An hour of one agent.
struct Run {
    agent: Agent,
    now: Now,
    fails: &'static [Asked],
    fails_from: Moment,
    failure: Failure,
    answers: VecDeque<(Moment, Input)>,
    /// The moments of each request, by its kind and its object.
    asked: BTreeMap<(Asked, String), Vec<Moment>>,
    issued: usize,
}

impl Run {
    fn new(fails: &'static [Asked], after: Duration, failure: Failure, seed: u64) -> Self {
        let now = Now {
            moment: Moment::since_boot(HOUR),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        Self {
            agent: agent(seed, now),
            fails,
            fails_from: now.moment + after,
            failure,
            answers: VecDeque::new(),
            asked: BTreeMap::new(),
            issued: 0,
            now,
        }
    }

    fn asked(mut self) -> BTreeMap<(Asked, String), Vec<Moment>> {
        let end = self.now.moment + HOUR;
        self.feed(Input::Timeout);
        for _ in 0..MOST_STEPS {
            let woken = self.agent.poll_timeout().map(|(at, _)| at);
            let answered = self.answers.front().map(|(at, _)| *at);
            let next = woken.into_iter().chain(answered).min();
            let Some(next) = next.filter(|next| *next < end) else {
                return self.asked;
            };
            let wait = next.since(self.now.moment);
            self.now.moment = self.now.moment + wait;
            self.now.wall += wait;
            let answer = match answered {
                Some(at) if at <= next => self.answers.pop_front(),
                Some(_) | None => None,
            };
            self.feed(answer.map_or(Input::Timeout, |(_, input)| input));
        }
        panic!("{:?}: it does not come to rest", self.fails);
    }

    fn feed(&mut self, input: Input) {
        self.agent.handle(input, self.now);
        while let Some(command) = self.agent.poll_command() {
            if let Some(answer) = self.answer(command) {
                let at = self.now.moment + LATENCY;
                self.answers.push_back((at, answer));
            }
        }
    }

    /// Notes that it was asked, and says what comes of it.
    fn says<T>(&mut self, asked: Asked, of: &str, healthy: T) -> Result<T, Failure> {
        let key = (asked, of.to_owned());
        self.asked.entry(key).or_default().push(self.now.moment);
        if self.fails.contains(&asked) && self.now.moment >= self.fails_from {
            return Err(self.failure.clone());
        }
        Ok(healthy)
    }

    fn answer(&mut self, command: Command) -> Option<Input> {
        self.issued += 1;
        let number = self.issued;
        let token_grant = Grant::new(Duration::from_secs(TOKEN_LIFE), true);
        Some(match command {
            Command::LogIn { ticket } => {
                let login = Login {
                    accessor: format!("accessor-{number}"),
                    token: SecretText::new(format!("hvs.{number}")),
                    grant: token_grant,
                    has_limited_uses: false,
                    request: String::new(),
                };
                let result = self.says(Asked::LogIn, "", login);
                Input::LoggedIn { ticket, result }
            }
            Command::RenewToken { ticket, .. } => Input::TokenRenewed {
                ticket,
                result: self.says(Asked::RenewToken, "", token_grant),
            },
            Command::LookUpToken { ticket, .. } => Input::TokenLookedUp {
                ticket,
                result: self.says(Asked::LookUpToken, "", ()),
            },
            Command::FindMount { ticket, path, .. } => {
                let first = path.split('/').next().unwrap_or_default();
                let mount = Mount::new(&format!("{first}/"), first, "1");
                let result = self.says(Asked::FindMount, &path, mount);
                Input::MountFound {
                    ticket,
                    path,
                    result,
                }
            }
            Command::Read {
                ticket, request, ..
            } => {
                let secret = secret(request.path(), number);
                let answer = Answer::Secret(Some(secret));
                let result = self.says(Asked::Read, request.path(), answer);
                Input::Answered {
                    ticket,
                    request,
                    result,
                }
            }
            Command::RenewLease {
                ticket, request, ..
            } => {
                let grant = Grant::new(Duration::from_secs(LEASE_LIFE), true);
                let result = self.says(Asked::RenewLease, request.path(), grant);
                Input::LeaseRenewed {
                    ticket,
                    request,
                    result,
                }
            }
            Command::CheckFile { template } => Input::FileChecked {
                template,
                is_intact: true,
            },
            Command::Render {
                template,
                rendering,
            } => Input::Rendered {
                template,
                result: rendering.run(),
            },
            Command::Write { destination, .. } => Input::Written {
                destination,
                result: Ok(true),
            },
            Command::Log(_) | Command::Report(_) | Command::AnnounceReady => return None,
            other => panic!("an agent that goes on for ever does not ask for {other:?}"),
        })
    }
}

/// The secret at a path: at a static one always the same, at others a new lease.
fn secret(path: &str, number: usize) -> Secret {
    let body = if path.starts_with("kv/") {
        r#"{"data":{"password":"x"}}"#.to_owned()
    } else {
        format!(
            r#"{{"lease_id":"database/creds/{number}","lease_duration":{LEASE_LIFE},"renewable":true,"data":{{}}}}"#
        )
    };
    Secret::from_json(body.as_bytes()).unwrap()
}

/// An agent that never gives up.
fn agent(seed: u64, now: Now) -> Agent {
    let templates: String = (0..TEXTS.len())
        .map(|n| format!("template {{ contents = \"x\" destination = \"/{n}\" }}\n"))
        .collect();
    let text = format!(
        r#"auto_auth {{ method "kubernetes" {{ config {{ role = "reader" }} }} }}
        {templates}"#
    );
    let config = Config::new(&[Tree::parse(&text).unwrap()], &Overrides::default()).unwrap();
    let start = Start {
        config,
        texts: TEXTS.map(|text| text.as_bytes().to_vec()).to_vec(),
        variables: BTreeMap::new(),
        left_tokens: Vec::new(),
        left_orphans: Vec::new(),
        has_unread_ledger: false,
        left_leases: None,
        seed,
    };
    Agent::new(start, now).unwrap()
}
