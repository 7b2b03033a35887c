//! What can go wrong with Vault, at each request, in each way to run: the table beside this file says how the agent
//! then ends, what it says first, and what lives on in Vault. What no case may do is checked in all of them.
//!
//! Cases that end with `as upstream` have no `planescape` block: their codes are those of `vault agent`, a login is
//! tried for ever, and nothing is revoked.
//!
//! ```text
//! MATRIX=write cargo test -p planescape-agent --test it matrix   # writes the table anew
//! ```

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use planescape_tests::faults::{Fault, Proxy};
use planescape_tests::scripted_vault::{Answer, ScriptedVault};
use planescape_tests::tls::{Certificate, TlsFront};
use serde_json::json;

use crate::agent::{Agent, Place};
use crate::names::{Failure, NameServer};

const TABLE: &str = include_str!("matrix.txt");

/// Method and path of what is asked for.
const LOGIN: (&str, &str) = ("PUT", "/v1/auth/kubernetes/login");
const MOUNT: (&str, &str) = ("GET", "/v1/sys/internal/ui/mounts/database/creds/ro");
const READ: (&str, &str) = ("GET", "/v1/database/creds/ro");
const TOKEN_RENEWAL: (&str, &str) = ("PUT", "/v1/auth/token/renew-self");
const LEASE_RENEWAL: (&str, &str) = ("PUT", "/v1/sys/leases/renew");
const LEASE_REVOCATION: (&str, &str) = ("PUT", "/v1/sys/leases/revoke");
const REVOCATION: (&str, &str) = ("PUT", "/v1/auth/token/revoke-self");

/// In the order of a life.
const REQUESTS: [(&str, &str); 7] = [
    LOGIN,
    MOUNT,
    READ,
    TOKEN_RENEWAL,
    LEASE_RENEWAL,
    LEASE_REVOCATION,
    REVOCATION,
];

/// Where something is to be renewed, it lives for so many seconds.
const SHORT: u64 = 3;
const LONG: u64 = 3600;

/// More than a short life, so that what could not be renewed is replaced.
const RENEWALS_PATIENCE: Duration = Duration::from_millis(3500);

/// More than a request takes that is tried twice.
const UPSTREAMS_PATIENCE: Duration = Duration::from_secs(4);

/// A text of answers that nobody may see.
const SECRET: &str = "hunter2-of-the-answer";

/// What the only file holds when it is whole.
const WHOLE: &str = "v-1 hunter2";

const TEXT: &str =
    r#"{{ with secret "database/creds/ro" }}{{ .Data.username }} {{ .Data.password }}{{ end }}"#;

/// Most requests of one kind in the few seconds of a case: sixty a minute, and what comes at once.
const MOST_REQUESTS: usize = 14;

/// Longer than any case takes that ends by itself.
const PATIENCE: Duration = Duration::from_secs(20);

const AT_ONCE: usize = 32;

#[derive(Clone, Copy)]
enum Trouble {
    Says(u16),
    SaysLater(u16),
    Answers(&'static str, &'static str),
    TooLong,
    Network(&'static str, Fault),
    Certificate(&'static str, Certificate),
    Name(&'static str, Failure),
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Init,
    Sidecar,
    /// With a program that gets the secret in its environment.
    Supervisor,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Init, Self::Sidecar, Self::Supervisor];

    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Sidecar => "sidecar",
            Self::Supervisor => "supervisor",
        }
    }

    /// Its lines of the configuration. The program leaves what it was given, and its number.
    fn settings(self) -> &'static str {
        match self {
            Self::Init => "exit_after_auth = true",
            Self::Sidecar => "",
            Self::Supervisor => {
                r#"exec { command = ["sh", "-c", "echo $$ > FOLDER/pid; echo \"$DB\" > FOLDER/new; mv FOLDER/new FOLDER/out; exec sleep 60"] }"#
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Case {
    /// The request that goes wrong.
    at: (&'static str, &'static str),
    trouble: Trouble,
    mode: Mode,
    is_as_upstream: bool,
}

#[tokio::test]
async fn whatever_vault_answers_ends_as_the_table_says_and_leaves_nothing() {
    let cases: Vec<_> = cases().collect();
    let lines: Vec<String> = stream::iter(cases)
        .map(Case::run)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut table = String::new();
    for line in lines {
        writeln!(table, "{line}").unwrap();
    }
    if std::env::var_os("MATRIX").is_some() {
        std::fs::write("tests/it/matrix.txt", &table).unwrap();
        return;
    }
    for (line, expected) in table.lines().zip(TABLE.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(table.lines().count(), TABLE.lines().count());
}

fn cases() -> impl Iterator<Item = Case> {
    let statuses = [
        400, 401, 403, 404, 405, 408, 412, 429, 472, 473, 500, 502, 503, 504,
    ];
    let says = statuses.map(Trouble::Says);
    let others = [
        Trouble::SaysLater(429),
        Trouble::Answers("no JSON", "<html>hunter2-of-the-answer"),
        Trouble::Answers(
            "half of it",
            r#"{"auth": {"client_token": "hunter2-of-the-answer"#,
        ),
        Trouble::Answers(
            "other types",
            r#"{"auth": ["hunter2-of-the-answer"], "data": "hunter2-of-the-answer"}"#,
        ),
        Trouble::TooLong,
    ];
    let network = [
        Trouble::Network("refused", Fault::Refused),
        Trouble::Network("reset", Fault::Reset),
        Trouble::Network("half a body", Fault::HalfBody),
        Trouble::Network("a black hole", Fault::BlackHole),
        Trouble::Network("slow", Fault::Delay(Duration::from_millis(300))),
    ];
    let answered = REQUESTS.into_iter().flat_map(move |at| {
        let troubles = says.into_iter().chain(others);
        troubles.map(move |trouble| (at, trouble))
    });
    let certificates = [
        Trouble::Certificate("a good certificate", Certificate::Good),
        Trouble::Certificate("a certificate that ended", Certificate::Ended),
        Trouble::Certificate("a certificate of later", Certificate::NotYet),
        Trouble::Certificate("another host's certificate", Certificate::OfAnotherHost),
        Trouble::Certificate("a certificate from others", Certificate::OfAnotherAuthority),
    ];
    let names = [
        Trouble::Name("no name server", Failure::Gone),
        Trouble::Name("a silent name server", Failure::Silent),
        Trouble::Name("an unknown name", Failure::KnowsNothing),
    ];
    let everywhere = network.into_iter().chain(certificates).chain(names);
    let everywhere = everywhere.map(|trouble| (("", "everything"), trouble));
    let own = in_each_mode(answered.chain(everywhere), false);
    // An init run that ends well renews and revokes nothing.
    let own = own.filter(|case| {
        let is_of_a_life = [LOGIN, MOUNT, READ, ("", "everything")].contains(&case.at);
        is_of_a_life || case.mode != Mode::Init
    });
    let as_upstream = [LOGIN, READ].into_iter().flat_map(move |at| {
        let statuses = [400, 403, 404, 429, 473, 500, 503];
        let troubles = statuses.map(Trouble::Says).into_iter().chain(others);
        troubles.map(move |trouble| (at, trouble))
    });
    let unreachable = [
        Trouble::Network("refused", Fault::Refused),
        Trouble::Network("reset", Fault::Reset),
        Trouble::Network("slow", Fault::Delay(Duration::from_millis(300))),
    ];
    let unreachable = unreachable.map(|trouble| (("", "everything"), trouble));
    own.chain(in_each_mode(as_upstream.chain(unreachable), true))
}

fn in_each_mode(
    troubles: impl Iterator<Item = ((&'static str, &'static str), Trouble)>,
    is_as_upstream: bool,
) -> impl Iterator<Item = Case> {
    troubles.flat_map(move |(at, trouble)| {
        Mode::ALL.map(|mode| Case {
            at,
            trouble,
            mode,
            is_as_upstream,
        })
    })
}

impl Case {
    async fn run(self) -> String {
        let vault = ScriptedVault::start().await.unwrap();
        let (name, answer, fault) = meaning(self.trouble);
        script(&vault, self.at, answer.as_ref());
        let way = Way::to(&vault, self.trouble, fault).await;
        let place = self.place(&way, vault.address().port());
        std::fs::write(place.path("jwt"), SECRET).unwrap();
        let agent = way.start(&place);
        let (output, how) = match self.mode {
            Mode::Init if !self.is_as_upstream => (agent.output().await, "by itself"),
            Mode::Init | Mode::Sidecar | Mode::Supervisor => {
                self.ended_or_told(agent, &place).await
            }
        };
        let mode = self.mode.name();
        let codes = if self.is_as_upstream {
            " as upstream"
        } else {
            ""
        };
        let case = format!("{} {name} {mode}{codes}", self.at.1);
        check(&case, &vault, &place, &output);
        let left = Left::in_vault(&vault, self.at, answer.is_some());
        if !self.is_as_upstream {
            left.check(&case, self.mode, &output);
        }
        let report = place.report();
        let file = if place.path("out").exists() {
            "a whole file"
        } else {
            "no file"
        };
        let log = String::from_utf8_lossy(&output.stderr);
        format!(
            "{case}: ends {how} with {}, {} {}, {file}, {} tokens and {} leases live; {}",
            output.status.code().unwrap_or(-1),
            report["phase"].as_str().unwrap_or("no"),
            report["reason"].as_str().unwrap_or("report"),
            few(left.tokens),
            few(left.leases),
            first_trouble(&log),
        )
    }

    fn place(self, way: &Way, port: u16) -> Place {
        let place = way.place(port).setting(self.mode.settings());
        let place = match self.mode {
            Mode::Init | Mode::Sidecar => place.template("out", TEXT),
            Mode::Supervisor => place
                .setting(&format!(
                    "env_template \"DB\" {{ contents = <<EOT\n{TEXT}\nEOT\n}}"
                ))
                .variable("PATH", "/usr/bin:/bin"),
        };
        if self.is_as_upstream {
            return place.retries(1);
        }
        place.setting(
            r#"planescape {
                revoke_on_exit = true ledger = "FOLDER/ledger" give_up_after = "3s" exit_on_refusal = true
                termination_log = "FOLDER/report" ready_socket = "FOLDER/ready.sock"
            }"#,
        )
    }

    /// Tells an agent to end that goes on when there is nothing more to wait for.
    async fn ended_or_told(self, mut agent: Agent, place: &Place) -> (Output, &'static str) {
        let patience = if self.is_as_upstream {
            UPSTREAMS_PATIENCE
        } else {
            PATIENCE
        };
        let after_the_file = if [TOKEN_RENEWAL, LEASE_RENEWAL].contains(&self.at) {
            RENEWALS_PATIENCE
        } else {
            Duration::ZERO
        };
        let started = Instant::now();
        let mut written = None;
        loop {
            if written.is_none() && place.path("out").exists() {
                written = Some(Instant::now());
            }
            let is_done = written.is_some_and(|at: Instant| at.elapsed() >= after_the_file);
            match agent.ends_within(Duration::from_millis(50)).await {
                Ok(output) => return (output, "by itself"),
                Err(agent) if is_done || started.elapsed() > patience => {
                    return (agent.terminate().await, "when told");
                }
                Err(going_on) => agent = going_on,
            }
        }
    }
}

/// What Vault answers: what is asked `at` goes wrong each time, if there is another answer.
fn script(vault: &ScriptedVault, at: (&str, &str), trouble: Option<&Answer>) {
    let life_at = |request: (&str, &str)| if at == request { SHORT } else { LONG };
    let (token_life, lease_life) = (life_at(TOKEN_RENEWAL), life_at(LEASE_RENEWAL));
    let mount = json!({ "data": { "path": "database/", "type": "database", "options": null } });
    let secret = json!({ "username": "v-1", "password": "hunter2" });
    // Each token and lease has its own name, up to more than any case asks for.
    let logins =
        (1..=MOST_REQUESTS).map(|n| Answer::login(&token(n), &format!("a{n}"), token_life));
    let reads = (1..=MOST_REQUESTS).map(|n| Answer::leased(&lease(n), lease_life, &secret));
    let healthy = [
        (LOGIN, logins.collect()),
        (MOUNT, vec![Answer::ok(&mount)]),
        (READ, reads.collect::<Vec<_>>()),
        (
            TOKEN_RENEWAL,
            vec![Answer::login(&token(1), "a1", token_life)],
        ),
        (
            LEASE_RENEWAL,
            vec![Answer::leased(&lease(1), lease_life, &json!(null))],
        ),
        (LEASE_REVOCATION, vec![Answer::empty()]),
        (REVOCATION, vec![Answer::empty()]),
    ];
    for (request, usual) in healthy {
        let trouble = trouble.filter(|_| request == at);
        let answers = trouble.map_or(usual, |answer| vec![answer.clone()]);
        for answer in answers {
            vault.on(request.0, request.1, answer);
        }
    }
}

fn token(n: usize) -> String {
    format!("t{n}")
}

fn lease(n: usize) -> String {
    format!("database/creds/ro/{n}")
}

/// What Vault has given and nobody has taken back.
struct Left {
    tokens: usize,
    leases: usize,
    /// Tokens that were used, so that the agent has heard of them.
    used: usize,
}

impl Left {
    fn in_vault(vault: &ScriptedVault, at: (&str, &str), goes_wrong: bool) -> Self {
        let requests = vault.requests();
        let asked = |request: (&'static str, &'static str)| {
            let answered = !goes_wrong || request != at;
            requests
                .iter()
                .filter(move |it| answered && it.method == request.0 && it.path == request.1)
        };
        let has_ended =
            |token: &str| asked(REVOCATION).any(|it| it.token.as_deref() == Some(token));
        let tokens = (1..=asked(LOGIN).count()).map(token);
        let tokens: Vec<String> = tokens.filter(|token| !has_ended(token)).collect();
        let is_used = |token: &&String| requests.iter().any(|it| it.token.as_ref() == Some(*token));
        let leases = asked(READ).enumerate().filter(|(before, read)| {
            let id = lease(before + 1);
            let is_revoked = asked(LEASE_REVOCATION).any(|it| it.body["lease_id"] == id.as_str());
            !is_revoked && read.token.as_deref().is_some_and(|token| !has_ended(token))
        });
        Self {
            leases: leases.count(),
            used: tokens.iter().filter(is_used).count(),
            tokens: tokens.len(),
        }
    }

    /// An init run that ends well hands its token over to the application, and one whose revocation fails cannot help it.
    fn check(&self, case: &str, mode: Mode, output: &Output) {
        let is_handed_over = output.status.success() && mode == Mode::Init;
        let cannot_revoke = case.starts_with(REVOCATION.1);
        assert!(
            self.used == 0 || is_handed_over || cannot_revoke,
            "{case}: {} tokens live on",
            self.used
        );
    }
}

/// How many there are of what comes again and again depends on the time.
fn few(count: usize) -> &'static str {
    match count {
        0 => "no",
        1 => "one",
        _ => "some",
    }
}

/// The first warning or error, without what differs from run to run.
fn first_trouble(log: &str) -> String {
    let of_level = |level: &str| {
        let found = log.lines().enumerate().find_map(|(line, text)| {
            let (_, said) = text.split_once(level)?;
            Some((line, said.to_owned()))
        });
        found.map(|(line, said)| (line, level.trim().to_owned(), said))
    };
    let found = ["[WARN] ", "[ERROR]"].map(of_level);
    let Some((_, level, said)) = found.into_iter().flatten().min() else {
        return "says nothing".to_owned();
    };
    let (module, words) = said.split_once(": ").unwrap_or_default();
    let (words, _) = words.split_once(" (").unwrap_or((words, ""));
    format!("{level} {}: {}", module.trim(), without_fields(words))
}

/// Fields begin with a name and `=`.
fn without_fields(words: &str) -> &str {
    let begins = words.match_indices(": ").find(|(at, _)| {
        let (name, _) = words[at + 2..].split_once('=').unwrap_or((" ", ""));
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    begins.map_or(words, |(at, _)| &words[..at])
}

/// What stands between the agent and Vault.
enum Way {
    Network(Proxy),
    Tls(TlsFront),
    Name(NameServer),
}

impl Way {
    async fn to(vault: &ScriptedVault, trouble: Trouble, fault: Fault) -> Self {
        match trouble {
            Trouble::Certificate(_, certificate) => {
                Self::Tls(TlsFront::start(vault.address(), certificate).await.unwrap())
            }
            Trouble::Name(_, failure) => Self::Name(NameServer::start(failure)),
            Trouble::Says(_)
            | Trouble::SaysLater(_)
            | Trouble::Answers(..)
            | Trouble::TooLong
            | Trouble::Network(..) => {
                let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
                let proxy = Proxy::start(loopback, vault.address()).await.unwrap();
                proxy.set(fault);
                Self::Network(proxy)
            }
        }
    }

    fn place(&self, port: u16) -> Place {
        match self {
            Self::Network(proxy) => Place::offline(&format!("http://{}", proxy.address())),
            Self::Tls(front) => {
                let place = Place::offline(&front.url());
                let authority = place.path("ca.pem");
                std::fs::write(&authority, front.authority()).unwrap();
                place.variable("VAULT_CACERT", &authority.display().to_string())
            }
            Self::Name(_) => Place::offline(&format!("http://vault.example.com:{port}")),
        }
    }

    fn start(&self, place: &Place) -> Agent {
        match self {
            Self::Name(server) => server.start_agent(place),
            Self::Network(_) | Self::Tls(_) => place.start(),
        }
    }
}

/// Its name, what Vault answers, and what the network does.
fn meaning(trouble: Trouble) -> (String, Option<Answer>, Fault) {
    match trouble {
        Trouble::Says(status) => (
            status.to_string(),
            Some(Answer::error(status, "not now")),
            Fault::None,
        ),
        Trouble::SaysLater(status) => {
            let later = Answer {
                headers: vec![("retry-after", "1".to_owned())],
                ..Answer::error(status, "not now")
            };
            (format!("{status}, later"), Some(later), Fault::None)
        }
        Trouble::Answers(name, body) => {
            let odd = Answer {
                body: body.to_owned(),
                ..Answer::ok(&json!({}))
            };
            (name.to_owned(), Some(odd), Fault::None)
        }
        Trouble::TooLong => {
            let body = json!({ "data": { "x": SECRET.repeat(600_000) } });
            ("13 MB".to_owned(), Some(Answer::ok(&body)), Fault::None)
        }
        Trouble::Network(name, fault) => (name.to_owned(), None, fault),
        Trouble::Certificate(name, _) | Trouble::Name(name, _) => {
            (name.to_owned(), None, Fault::None)
        }
    }
}

/// What is true however it ends.
fn check(case: &str, vault: &ScriptedVault, place: &Place, output: &Output) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains(SECRET), "{case}: {log}");
    assert!(!place.read("report").contains(SECRET), "{case}");
    let file = std::fs::read_to_string(place.path("out"));
    assert!(
        file.as_deref().map_or(true, |text| text.trim() == WHOLE),
        "{case}: {file:?}"
    );
    let program = place.read("pid");
    let program = program.trim();
    assert!(
        program.is_empty() || !Path::new("/proc").join(program).exists(),
        "{case}: its program goes on"
    );
    let left: Vec<String> = place.files();
    assert!(
        !left.iter().any(|name| name.contains("unfinished")),
        "{case}: {left:?}"
    );
    for (method, path) in REQUESTS {
        let count = vault.count(method, path);
        assert!(
            count <= MOST_REQUESTS,
            "{case}: {count} times {path}\n{log}"
        );
    }
    assert!(vault.count(LOGIN.0, LOGIN.1) <= 6, "{case}: {log}");
}
