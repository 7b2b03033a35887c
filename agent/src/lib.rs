//! Logs in to Vault, renders templates, renews leases, revokes them at the end.
//!
//! This crate acts; [`planescape_agent_core`] decides. [`run`] is the whole life: read the
//! configuration, build the [`Agent`], let the driver feed events to it
//! and carry out its commands.

pub mod args;
pub mod generate;
pub mod shell;
pub mod tools;

mod children;
mod clock;
mod driver;
mod effects;
mod files;
mod left;
mod limits;
mod listener;
mod log;
mod persist;
mod proxy;
mod ready;
mod reload;
mod seal;
mod settings;
mod signals;
mod status;
mod systemd;
mod telemetry;
mod termination;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use planescape_agent_contract::{Config, Log, Phase, Reason, Report, Vault};
use planescape_agent_core::{self as core, Agent, Start};

use planescape_vault::SecretText;
use planescape_vault_client::{Bearer, Client};
use tokio::task::JoinHandle;

use args::Arguments;
use files::Ledger;
use left::Left;
use persist::Persistent;
use reload::Reloading;
use settings::{Places, Settings, Unusable};
use signals::Signals;
use termination::Termination;

/// Passes over templates run on threads of the pool and may nest as deep as on the main thread.
/// Memory that a thread never touches costs nothing.
const STACK: usize = 8 << 20;

/// How long an agent that is told to end at once goes on reading the tokens of earlier lives.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Runs the agent until it ends by itself or by a signal.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    planescape_vault_client::stay_out_of_core_files();
    limits::raise();
    files::note_umask();
    if planescape_vault_client::install_crypto_provider().is_err() {
        tracing::debug!("a crypto provider is installed already");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Refusal::early(error).tell(arguments),
    };
    let code = runtime.block_on(live(arguments.clone()));
    // A file system or a name look-up that hangs is not waited for.
    runtime.shutdown_background();
    log::finish();
    code
}

/// Names all problems of the configuration and of its templates.
#[must_use]
pub fn check(arguments: &Arguments) -> ExitCode {
    let (lines, code) = match settings::check(arguments) {
        Ok(mut lines) => {
            lines.push("the configuration is valid".to_owned());
            (lines, ExitCode::SUCCESS)
        }
        Err(lines) => (lines, ExitCode::FAILURE),
    };
    for line in lines {
        println(&line);
    }
    code
}

/// Prints the version.
#[must_use]
pub fn version() -> ExitCode {
    println(concat!("planescape-agent ", env!("CARGO_PKG_VERSION")));
    ExitCode::SUCCESS
}

/// `vault token revoke -self`, which injected pods call before they end.
#[must_use]
pub fn revoke_token(arguments: &Arguments) -> ExitCode {
    match revoke(arguments) {
        Ok(()) => {
            println("Success! Revoked token (if it existed)");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error revoking token: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn revoke(arguments: &Arguments) -> anyhow::Result<()> {
    let (client, token, _) = client(arguments)?;
    let bearer = Bearer {
        token: &token,
        namespace: None,
    };
    Ok(block_on(client.revoke_self(bearer))??)
}

/// `agent generate-config`.
#[must_use]
pub fn generate_config(arguments: &Arguments, wish: &generate::Wish) -> ExitCode {
    let fail = |code: u8, message: &str| {
        let _ = writeln!(io::stderr(), "{message}");
        ExitCode::from(code)
    };
    if wish.kind != "env-template" {
        let message = format!(
            "{:?} is not a supported configuration type: write -type=env-template",
            wish.kind
        );
        return fail(1, &message);
    }
    let text = client(arguments).and_then(|(client, token, address)| {
        let token_file = token_file();
        let text = generate::text(wish, &client, &token, &address, &token_file);
        block_on(text)?
    });
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            return fail(
                2,
                &format!("Error: could not generate templates: {error:#}"),
            );
        }
    };
    match generate::write(&wish.output, &text) {
        Ok(()) => {
            println(&format!(
                "Successfully generated \"{}\" configuration file!",
                wish.output
            ));
            println(
                "Warning: the generated file uses 'token_file', which is not suitable for production environments.",
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(3, &format!("Error: {error:#}")),
    }
}

/// A client with the token of the environment or of the home folder, and Vault's address.
fn client(arguments: &Arguments) -> anyhow::Result<(Client, SecretText, String)> {
    if planescape_vault_client::install_crypto_provider().is_err() {
        tracing::debug!("a crypto provider is installed already");
    }
    let vault = Vault::of(&arguments.overrides())?;
    let token = match args::variable("TOKEN") {
        Some(token) => token,
        None => {
            let path = token_file();
            let bytes = files::read(path.as_ref()).with_context(|| path.clone())?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let token = SecretText::new(token.trim().to_owned());
    let client = Client::new(&vault.connection, "planescape-agent")?;
    Ok((client, token, vault.connection.address))
}

/// The file in which `vault login` leaves the token.
fn token_file() -> String {
    args::variable("TOKEN_PATH").unwrap_or_else(|| {
        let home = std::env::var("HOME").unwrap_or_default();
        format!("{}/.vault-token", home.trim_end_matches('/'))
    })
}

/// Does the work of a command. A name look-up that hangs does not hold up its end.
fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Ignores a closed output: there is nowhere else to report it.
fn println(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Waits until the agent that runs with the same configuration has rendered every file.
#[must_use]
pub fn wait(arguments: &Arguments) -> ExitCode {
    with_socket(arguments, |path| {
        ready::wait_for(path);
        ExitCode::SUCCESS
    })
}

/// Whether the agent that runs with the same configuration has rendered every file.
#[must_use]
pub fn ready(arguments: &Arguments) -> ExitCode {
    with_socket(arguments, |path| {
        let status = ready::status_at(path).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        match status["phase"] == "ready" {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    })
}

/// Prints the status of the agent that runs with the same configuration.
#[must_use]
pub fn status(arguments: &Arguments) -> ExitCode {
    with_socket(arguments, |path| match ready::status_at(path) {
        Ok(status) if !status.is_empty() => {
            println(status.trim_end());
            ExitCode::SUCCESS
        }
        Ok(_) => tell(path, "the agent is about to end"),
        Err(error) => tell(path, &format!("no agent answers: {error}")),
    })
}

fn tell(path: &str, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{path}: {message}");
    ExitCode::FAILURE
}

/// Does something with the ready socket of the configuration.
fn with_socket(arguments: &Arguments, act: impl FnOnce(&str) -> ExitCode) -> ExitCode {
    // The termination message belongs to the agent, which may be at work at the same time.
    let refuse = |message: &dyn std::fmt::Display, has_own_exit_codes| {
        let _ = writeln!(io::stderr(), "{message}");
        ExitCode::from(core::ExitCode::Config.of_process(has_own_exit_codes))
    };
    match settings::load_config(arguments) {
        Ok(config) => match config.planescape.ready_socket {
            Some(path) => act(&path),
            None => {
                let message = "planescape.ready_socket: is missing: name a path, and give the same configuration here";
                refuse(&message, false)
            }
        },
        Err(unusable) => refuse(&unusable, unusable.has_own_exit_codes),
    }
}

/// The content of the disk before anything else happens.
struct Found {
    settings: Settings,
    left: Left,
    last_word: LastWord,
}

async fn live(arguments: Arguments) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return Refusal::early(error).tell(&arguments),
    };
    let to_load = arguments.clone();
    let mut looking = tokio::task::spawn_blocking(move || look(&to_load));
    let found = tokio::select! {
        found = &mut looking => Some(found),
        () = signals.terminated() => None,
    };
    let Some(found) = found else {
        return end_at_once(looking).await;
    };
    let found = found.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let found = match found {
        Ok(found) => found,
        Err(refusal) => return refusal.tell(&arguments),
    };
    let Found {
        settings,
        left,
        last_word,
    } = found;
    let own_codes = last_word.has_own_exit_codes;
    if last_word.left.as_ref().is_some_and(|left| !left.is_empty()) {
        // If this life is killed before its login, the pod must still show what earlier lives have left.
        last_word.say(Phase::Running, Reason::Starting, None);
    }
    match work(settings, left, &arguments, signals).await {
        Ok(Some(code)) => ExitCode::from(code.of_process(own_codes)),
        Ok(None) => last_word.interrupted(),
        Err(error) => last_word.refuse(&format!("{error:#}")),
    }
}

/// Ends before the agent has begun. It names the tokens of its earlier lives, if the disk gives them in time.
async fn end_at_once(looking: JoinHandle<Result<Found, Refusal>>) -> ExitCode {
    match tokio::time::timeout(LAST_LOOK, looking).await {
        Ok(Ok(Ok(Found { last_word, .. }) | Err(Refusal { last_word, .. }))) => {
            last_word.interrupted()
        }
        Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        Err(_) => LastWord::early().interrupted(),
    }
}

/// Reads the ledger first: the tokens of earlier lives are then known even if something else is wrong.
fn look(arguments: &Arguments) -> Result<Found, Refusal> {
    let config = settings::load_config(arguments).map_err(Refusal::of)?;
    let ledger = Ledger::new(config.planescape.ledger.as_deref());
    let left = of_ledger(&ledger);
    let last_word = LastWord {
        termination: Termination::new(config.planescape.termination_log.clone()),
        has_own_exit_codes: config.has_own_exit_codes,
        left: left.accessors(),
    };
    let settings = match Settings::with_texts(config) {
        Ok(settings) => settings,
        Err(unusable) => {
            let message = unusable.to_string();
            return Err(Refusal { message, last_word });
        }
    };
    effects::remove_unfinished(&settings.config);
    match effects::check_sinks(&settings.config) {
        Ok(()) => Ok(Found {
            settings,
            left,
            last_word,
        }),
        Err(error) => Err(Refusal {
            message: format!("{error:#}"),
            last_word,
        }),
    }
}

fn of_ledger(ledger: &Ledger) -> Left {
    Left::of_ledger(
        ledger.left_tokens(),
        ledger.misses_tokens(),
        ledger.left_leases(),
    )
}

/// `None` if the agent was told to end before it has begun.
async fn work(
    settings: Settings,
    left: Left,
    arguments: &Arguments,
    mut signals: Signals,
) -> anyhow::Result<Option<core::ExitCode>> {
    let config = &settings.config;
    log::start(&config.log, arguments.combines_logs())?;
    if let Some(error) = &left.trouble {
        let path = config.planescape.ledger.as_deref().unwrap_or_default();
        tracing::warn!(path, %error, "cannot read the ledger: tokens of earlier lives end with their TTL");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let _pid_file = files::PidFile::write(config.pid_file.as_deref())?;
    let ledger = Ledger::new(config.planescape.ledger.as_deref());
    let persist = config.proxy.persist.clone();
    let sink = reused_sink(config);
    let revokes = config.planescape.revoke_on_exit;
    let opening = tokio::task::spawn_blocking(move || {
        Persistent::open(persist.as_ref(), sink.as_deref(), revokes)
    });
    let (asker, questions) = status::questions();
    let beginning = async {
        let persistent = opening.await??;
        let has_ledger = config.planescape.ledger.is_some();
        let left = left.with_cache(&persistent, has_ledger, std::time::SystemTime::now());
        let effects = effects::Effects::new(config, ledger, persistent, asker).await?;
        anyhow::Ok((effects, left))
    };
    let (effects, left) = tokio::select! {
        begun = beginning => begun?,
        () = signals.terminated() => return Ok(None),
    };
    let says_so = !config.has_own_exit_codes && !arguments.combines_logs();
    let mut started = config.clone();
    // The agent has the templates.
    started.templates = Vec::new();
    let agent = Agent::new(start(settings, left), clock::now())
        .map_err(|problems| Unusable::problems(&problems, false))?;
    signals.reload_with(Reloading::new(
        arguments.clone(),
        started,
        effects.certified(),
    ));
    systemd::notify(systemd::State::Ready);
    if says_so {
        // Scripts wait for this line.
        println("==> Vault Agent started! Log data will stream in below:\n");
    }
    let code = driver::drive(agent, effects, signals, questions).await;
    systemd::notify(systemd::State::Stopping);
    Ok(Some(code))
}

/// The sink from which the first login takes its token, if that is configured.
fn reused_sink(config: &Config) -> Option<PathBuf> {
    let sinks = config.auth.sinks.iter();
    let mut plain = sinks.filter(|sink| sink.wrap_ttl.is_none() && sink.encryption.is_none());
    let sink = plain
        .next()
        .filter(|_| config.planescape.reuses_sink_token)?;
    Some(sink.path.clone().into())
}

fn start(settings: Settings, left: Left) -> Start {
    Start {
        config: settings.config,
        texts: settings.texts,
        variables: std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        has_unread_ledger: left.is_unread,
        left_leases: left.leases,
        left_tokens: left.tokens,
        left_orphans: left.orphans,
        seed: clock::seed(),
    }
}

/// Why the agent does not start.
struct Refusal {
    message: String,
    last_word: LastWord,
}

impl Refusal {
    /// For an end before the configuration is known.
    fn early(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            last_word: LastWord::early(),
        }
    }

    fn of(unusable: Unusable) -> Self {
        let message = unusable.to_string();
        let early = LastWord::early();
        let (termination, left) = match unusable.places {
            Some(Places {
                ledger,
                termination_log,
            }) => (
                termination_log.map_or(early.termination, |path| Termination::new(Some(path))),
                of_ledger(&Ledger::new(ledger.as_deref())).accessors(),
            ),
            None => (early.termination, early.left),
        };
        Self {
            message,
            last_word: LastWord {
                termination,
                has_own_exit_codes: unusable.has_own_exit_codes,
                left,
            },
        }
    }

    /// Logs the reason, though no log is open yet.
    fn tell(self, arguments: &Arguments) -> ExitCode {
        let said = arguments.log();
        let log = Log {
            level: said.level.unwrap_or_default(),
            format: said.format.unwrap_or_default(),
            file: None,
        };
        // A log without a file cannot fail.
        let _ = log::start(&log, arguments.combines_logs());
        let code = self.last_word.refuse(&self.message);
        log::finish();
        code
    }
}

/// The message to the pod of a life that ends before its login.
struct LastWord {
    termination: Termination,
    has_own_exit_codes: bool,
    /// Accessors of the tokens that earlier lives have left; `None` if they are not known.
    left: Option<Vec<String>>,
}

impl LastWord {
    /// For an end before the configuration is known.
    fn early() -> Self {
        Self {
            termination: Termination::in_a_pod(),
            has_own_exit_codes: false,
            left: None,
        }
    }

    fn refuse(&self, message: &str) -> ExitCode {
        for line in message.lines() {
            tracing::error!("{line}");
        }
        self.say(Phase::Config, Reason::InvalidConfig, Some(message));
        self.code(core::ExitCode::Config)
    }

    /// Writes nothing if the tokens left are not known: the pod then keeps the message of the life before.
    fn interrupted(&self) -> ExitCode {
        if self.left.is_some() {
            self.say(Phase::Done, Reason::Terminated, None);
        }
        self.code(core::ExitCode::Interrupted)
    }

    fn say(&self, phase: Phase, reason: Reason, message: Option<&str>) {
        self.termination.write(&Report {
            message: message.map(str::to_owned),
            unrevoked: self.left.clone().unwrap_or_default(),
            ..Report::new(phase, reason)
        });
    }

    fn code(&self, code: core::ExitCode) -> ExitCode {
        ExitCode::from(code.of_process(self.has_own_exit_codes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_before_the_beginning_names_what_is_left_or_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let told = async |left: Option<Vec<String>>| {
            let refusal = Refusal {
                message: "a sink cannot be written".to_owned(),
                last_word: LastWord {
                    termination: Termination::new(path.to_str().map(str::to_owned)),
                    has_own_exit_codes: true,
                    left,
                },
            };
            end_at_once(tokio::task::spawn_blocking(move || Err(refusal))).await;
            std::fs::read_to_string(&path).unwrap_or_default()
        };

        assert_eq!(told(None).await, "");
        let named = told(Some(vec!["a1".to_owned()])).await;
        assert_eq!(
            named,
            r#"{"phase":"done","reason":"Terminated","unrevoked":["a1"]}"#
        );
    }
}
