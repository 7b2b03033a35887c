//! What can go wrong with Vault, at each request, in each way to run: the table beside this file says how the agent
//! then ends, and what no case may do is checked in all of them.
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

/// Method and path of what is asked for, in the order of a life.
const LOGIN: (&str, &str) = ("PUT", "/v1/auth/kubernetes/login");
const MOUNT: (&str, &str) = ("GET", "/v1/sys/internal/ui/mounts/database/creds/ro");
const READ: (&str, &str) = ("GET", "/v1/database/creds/ro");
const REVOCATION: (&str, &str) = ("PUT", "/v1/auth/token/revoke-self");

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

const AT_ONCE: usize = 16;

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

#[tokio::test]
async fn whatever_vault_answers_ends_as_the_table_says_and_leaves_nothing() {
    let cases: Vec<_> = cases().collect();
    let run = |(at, trouble, mode)| case(at, trouble, mode);
    let lines: Vec<String> = stream::iter(cases)
        .map(run)
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

fn cases() -> impl Iterator<Item = ((&'static str, &'static str), Trouble, Mode)> {
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
        Trouble::Network("reset", Fault::Reset),
        Trouble::Network("half a body", Fault::HalfBody),
        Trouble::Network("a black hole", Fault::BlackHole),
        Trouble::Network("slow", Fault::Delay(Duration::from_millis(300))),
    ];
    let answered = [LOGIN, MOUNT, READ, REVOCATION]
        .into_iter()
        .flat_map(move |at| {
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
    let all = answered.chain(everywhere.map(|trouble| (("", "everything"), trouble)));
    let all = all.flat_map(|(at, trouble)| Mode::ALL.map(|mode| (at, trouble, mode)));
    // An init run that ends well revokes nothing.
    all.filter(|(at, _, mode)| (*at, *mode) != (REVOCATION, Mode::Init))
}

async fn case(at: (&'static str, &'static str), trouble: Trouble, mode: Mode) -> String {
    let vault = ScriptedVault::start().await.unwrap();
    let (name, answer, fault) = meaning(trouble);
    for (request, usual) in healthy() {
        let answer = answer.clone().filter(|_| request == at);
        vault.on(request.0, request.1, answer.unwrap_or(usual));
    }
    let way = Way::to(&vault, trouble, fault).await;
    let place = way.place(vault.address().port()).setting(mode.settings());
    let place = match mode {
        Mode::Init | Mode::Sidecar => place.template("out", TEXT),
        Mode::Supervisor => place
            .setting(&format!(
                "env_template \"DB\" {{ contents = <<EOT\n{TEXT}\nEOT\n}}"
            ))
            .variable("PATH", "/usr/bin:/bin"),
    };
    let place = place.setting(
        r#"planescape {
            revoke_on_exit = true ledger = "FOLDER/ledger" give_up_after = "3s" exit_on_refusal = true
            termination_log = "FOLDER/report" ready_socket = "FOLDER/ready.sock"
        }"#,
    );
    std::fs::write(place.path("jwt"), SECRET).unwrap();
    let agent = way.start(&place);
    let output = match mode {
        Mode::Init => agent.output().await,
        Mode::Sidecar | Mode::Supervisor => ended_or_told(agent, &place).await,
    };
    let case = format!("{} {name} {}", at.1, mode.name());
    check(&case, &vault, &place, &output);
    let report = place.report();
    let file = if place.path("out").exists() {
        "a whole file"
    } else {
        "no file"
    };
    format!(
        "{case}: exit code {}, {} {}, {file}",
        output.status.code().unwrap_or(-1),
        report["phase"].as_str().unwrap_or("no"),
        report["reason"].as_str().unwrap_or("report"),
    )
}

/// Tells an agent to end that goes on after its file is there.
async fn ended_or_told(mut agent: Agent, place: &Place) -> Output {
    let started = Instant::now();
    loop {
        let is_due = place.path("out").exists() || started.elapsed() > PATIENCE;
        match agent.ends_within(Duration::from_millis(50)).await {
            Ok(output) => return output,
            Err(agent) if is_due => return agent.terminate().await,
            Err(going_on) => agent = going_on,
        }
    }
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
    for (method, path) in [LOGIN, MOUNT, READ, REVOCATION] {
        let count = vault.count(method, path);
        assert!(
            count <= MOST_REQUESTS,
            "{case}: {count} times {path}\n{log}"
        );
    }
    assert!(vault.count(LOGIN.0, LOGIN.1) <= 6, "{case}: {log}");
    // An init run that ends well hands its user over to the application.
    let is_handed_over = output.status.success() && case.ends_with("init");
    let used = vault
        .requests()
        .iter()
        .any(|request| request.token.is_some());
    let is_revoked = vault.count(REVOCATION.0, REVOCATION.1) > 0;
    assert!(!used || is_handed_over || is_revoked, "{case}: {log}");
}

fn healthy() -> [((&'static str, &'static str), Answer); 4] {
    let mount = json!({ "data": { "path": "database/", "type": "database", "options": null } });
    let secret = json!({ "username": "v-1", "password": "hunter2" });
    [
        (LOGIN, Answer::login("t1", "a1", 3600)),
        (MOUNT, Answer::ok(&mount)),
        (READ, Answer::leased("database/creds/ro/1", 3600, &secret)),
        (REVOCATION, Answer::empty()),
    ]
}
