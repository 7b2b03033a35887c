//! Does one command and reports one input. Never decides.

mod certified;
mod destinations;
mod file_work;
mod gathering;
mod ledger;
mod login;
mod newest;
mod passes;
mod programs;
mod saves;
mod serving;
mod sinks;
mod text_file;
mod vault;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use planescape_agent_contract::{Config, Hook, Reason, Report, Template};
use planescape_agent_core::{Command, Destination, ExitCode, Failure, Input, Ticket};
use planescape_templates::{Answer, Effect, Request};
use planescape_vault::{Call, SecretText, Text};
use planescape_vault_client::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::files::{self, Ledger, Stamps};
use crate::log;
use crate::persist::Persistent;
use crate::proxy::Metrics;
use crate::ready::ReadySocket;
use crate::status::Asker;
use crate::telemetry::Pusher;
use crate::termination::Termination;
pub(crate) use certified::Certified;
pub(crate) use destinations::{check_sinks, remove_unfinished};
use destinations::{shared_folders, sinks};
use file_work::FileWork;
use gathering::More;
use login::Login;
use newest::Newest;
use passes::Passes;
use programs::Child;
use saves::Saves;
use serving::Serving;
use sinks::Sink;
use text_file::TextFile;
use vault::Vault;

const USER_AGENT: &str = concat!("planescape-agent/", env!("CARGO_PKG_VERSION"));

/// How many sinks are written at once. A file system that hangs holds up these sinks alone.
const SINKS_AT_ONCE: usize = 8;

/// How many files of logins are read at once. They must not wait for the files of templates.
const LOGIN_FILES_AT_ONCE: usize = 4;

/// How long files may take at the end, and how long the report may take that a secret is about to be read.
const LAST_FILES: Duration = Duration::from_millis(500);

/// The things that commands act on.
pub(crate) struct Effects {
    running: JoinSet<Input>,
    passes: Passes,
    file_work: FileWork,
    vault: Vault,
    /// The files by the numbers of their texts.
    templates: BTreeMap<usize, TextFile>,
    stamps: Arc<Stamps>,
    sinks: Vec<Sink>,
    shared: Arc<Vec<PathBuf>>,
    ledger: Ledger,
    file_slots: Arc<Semaphore>,
    ready: ReadySocket,
    last_words: Newest<Report>,
    /// The reports that name the leases for the next life.
    named: Newest<Report>,
    /// The number of the change that gives these names to the persistent cache, too.
    names_saved: u64,
    /// Writes into the ledger, and removals.
    ledger_work: JoinSet<()>,
    /// The ledger is changed in the order in which it is to be.
    ledger_slot: Arc<Semaphore>,
    child: Child,
    serving: Serving,
    metrics: Arc<Metrics>,
    pushers: Vec<Arc<Pusher>>,
    /// Whether the login's files are already looked at, or need not be.
    is_watching: bool,
    environment: Arc<Vec<(String, String)>>,
    has_own_exit_codes: bool,
    /// How many reads are on their way.
    reads: usize,
}

impl Effects {
    /// Builds the Vault client and opens the ready socket. The call may be given up at any time: it does nothing that
    /// would have to be undone.
    pub(crate) async fn new(
        config: &Config,
        ledger: Ledger,
        persistent: Persistent,
        asker: Asker,
    ) -> anyhow::Result<Self> {
        let file_slots = Arc::new(Semaphore::new(SINKS_AT_ONCE));
        let connection = &config.vault.connection;
        let metrics = Arc::new(Metrics::new(config.telemetry.clone()));
        let to_vault = connection.clone();
        let build = move || Client::new(&to_vault, USER_AGENT);
        let client = on_the_blocking_pool(&file_slots, build).await?;
        let persistent = Arc::new(persistent);
        let (saves, saving) = Saves::new(Arc::clone(&persistent));
        let mut running = JoinSet::new();
        running.spawn(saving);
        let termination = Termination::new(config.planescape.termination_log.clone());
        let (last_words, writing) = Newest::new(move |report| termination.write(report));
        running.spawn(writing);
        let pushers = Pusher::all(&config.telemetry, &metrics);
        for pusher in &pushers {
            running.spawn(Arc::clone(pusher).go_on());
        }
        let beside = ledger.clone();
        let name = move |report: &Report| beside.name_leases(&report.leases, report.more_leases);
        let (named, naming) = Newest::new(name);
        running.spawn(naming);
        if config.auth.method.is_some() {
            tracing::info!(target: "agent.auth.handler", "starting auth handler");
        } else {
            tracing::info!(
                "No auto_auth block found in config, the automatic authentication feature will not be started"
            );
        }
        let serving = Serving::start(
            config,
            &file_slots,
            (&persistent, &saves),
            Arc::clone(&metrics),
            asker.clone(),
        )
        .await?;
        Ok(Self {
            running,
            passes: Passes::new(),
            file_work: FileWork::new(),
            vault: Vault {
                client: Arc::new(client),
                login: Arc::new(Login::new(&config.auth, connection)),
                persistent,
                saves,
                file_slots: Arc::new(Semaphore::new(LOGIN_FILES_AT_ONCE)),
            },
            templates: TextFile::all(config).enumerate().collect(),
            stamps: Arc::default(),
            sinks: sinks(config),
            shared: Arc::new(shared_folders(config)),
            ledger,
            file_slots,
            ready: ReadySocket::open(config.planescape.ready_socket.clone(), asker)?,
            last_words,
            named,
            names_saved: 0,
            ledger_work: JoinSet::new(),
            ledger_slot: Arc::new(Semaphore::new(1)),
            child: Child::new(config.exec.clone()),
            serving,
            metrics,
            pushers,
            is_watching: !config.auth.follows_new_credentials,
            environment: Arc::new(programs::environment(connection)),
            has_own_exit_codes: config.has_own_exit_codes,
            reads: 0,
        })
    }

    /// The listeners and clients with certificates.
    pub(crate) fn certified(&self) -> Certified {
        let proxys = self.serving.client();
        Certified {
            listeners: self.serving.certificates(),
            clients: proxys
                .into_iter()
                .chain([(*self.vault.client).clone()])
                .collect(),
            login: Arc::clone(&self.vault.login),
        }
    }

    /// The next result.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        let more = match self.reads {
            0 => More::Nothing,
            _ => More::IsToCome,
        };
        tokio::select! {
            Some(result) = self.running.join_next() => match result {
                Ok(input) => {
                    self.metrics.see(&input);
                    if matches!(input, Input::Answered { .. }) {
                        self.reads -= 1;
                    }
                    if matches!(input, Input::NewCredentials) {
                        self.watch();
                    }
                    Some(input)
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            input = self.passes.next(more) => Some(input),
            input = self.file_work.next(more) => Some(input),
            input = self.serving.next() => Some(input),
            end = self.child.ended() => Some(Input::ChildEnded(end)),
        }
    }

    /// Starts a command. Its result comes through [`Self::next`]; the last command breaks.
    pub(crate) fn start(&mut self, command: Command) -> ControlFlow<ExitCode> {
        let vault = self.vault.clone();
        match command {
            Command::LogIn { ticket } => self.log_in(ticket),
            Command::Remember { token, accessor } => self.remember(token, accessor),
            Command::Forget { tokens } => self.forget(tokens),
            Command::RenewToken {
                ticket,
                token,
                increment,
            } => self.ask(vault.renew_token(ticket, token, increment)),
            Command::LookUpToken { ticket, token } => self.ask(vault.look_up_token(ticket, token)),
            Command::Revoke { token } => self.ask(vault.revoke(token)),
            Command::RevokeLease { lease_id, token } => {
                self.ask(vault.revoke_lease(lease_id, token));
            }
            Command::FindMount {
                ticket,
                path,
                token,
            } => self.ask(vault.find_mount(ticket, path, token)),
            Command::Read {
                ticket,
                request,
                call,
                token,
            } => self.read(ticket, request, call, token),
            Command::CheckFile { template } => self.check_file(template),
            Command::RenewLease {
                ticket,
                request,
                lease_id,
                namespace,
                token,
            } => self.ask(vault.renew_lease(ticket, request, (lease_id, namespace), token)),
            Command::RenewMade(made) => self.ask(vault.renew_made(made)),
            Command::ReadFile {
                request,
                path,
                within,
            } => self.read_file(request, path, within),
            Command::Write {
                destination,
                contents,
                effects,
            } => self.write(destination, contents, effects),
            Command::Exchange { gone, new } => self.exchange(&gone, &new),
            Command::RunHook {
                hook,
                file,
                follow_up,
            } => self.run_hook(hook, file, follow_up),
            Command::StartChild { variables } => self.child.start(variables),
            Command::SignalChild { signal } => self.child.signal(signal),
            Command::Render {
                template,
                rendering,
            } => self.passes.start(template, rendering),
            Command::AnnounceReady => {
                tracing::info!("every template is rendered");
                self.ready.announce();
            }
            Command::Report(report) => self.introduce(report),
            Command::Offer { token, accessor } => self.serving.offer(token, accessor),
            Command::ForgetAll { keeps_cache } => {
                self.forget_ledger();
                if !keeps_cache {
                    self.vault.saves.forget_all();
                }
            }
            Command::Log(notice) => log::tell(&notice),
            Command::Exit { code, report } => {
                self.tell_end(code, &report);
                self.pushers.iter().for_each(|pusher| pusher.push());
                self.last_words.say(report);
                return ControlFlow::Break(code);
            }
        }
        ControlFlow::Continue(())
    }

    /// Logs the end. An error has the words that alerts on `vault agent` look for.
    fn tell_end(&self, code: ExitCode, report: &Report) {
        let number = code.of_process(self.has_own_exit_codes);
        let is_failure = !matches!(code, ExitCode::Done | ExitCode::Interrupted) && number != 0;
        if let Some(error) = report.message.as_ref().filter(|_| is_failure) {
            tracing::error!(error, exitCode = number, "runtime error encountered");
        }
        if self.vault.login.has_method() {
            tracing::info!(target: "agent.auth.handler", "auth handler stopped");
        }
        // Without templates the reason would speak of files that do not exist.
        if report.reason == Reason::Rendered && self.templates.is_empty() {
            tracing::info!(code = number, "agent ends");
        } else {
            tracing::info!(code = number, reason = %report.reason, "agent ends");
        }
    }

    /// Lets file work that is on its way end, so that no file stays half done. A file system
    /// that hangs is not waited for.
    pub(crate) async fn finish_files(&mut self) {
        let last = async {
            let persistent = &self.vault.persistent;
            if persistent.is_written()
                && let Some(answers) = self.serving.kept()
            {
                self.vault.saves.save(|cache| cache.keep_answers(answers));
            }
            self.last_words.finished().await;
            self.named.finished().await;
            while self.ledger_work.join_next().await.is_some() {}
            self.vault.saves.finished().await;
            let slots = &self.vault.file_slots;
            drop(slots.acquire_many(LOGIN_FILES_AT_ONCE as u32).await);
            self.file_work.finish().await;
            drop(self.file_slots.acquire_many(SINKS_AT_ONCE as u32).await);
        };
        if tokio::time::timeout(LAST_FILES, last).await.is_err() {
            tracing::warn!(
                "a file system does not answer: the next life removes what is unfinished there"
            );
        }
    }

    fn ask(&mut self, question: impl Future<Output = Input> + Send + 'static) {
        self.running.spawn(question);
    }

    fn introduce(&mut self, report: Report) {
        if report.names_leases {
            let (leases, more) = (&report.leases, report.more_leases);
            let saves = &self.vault.saves;
            saves.save(|cache| cache.name_leases(leases, more));
            self.names_saved = saves.newest();
            self.named.say(report.clone());
        }
        self.last_words.say(report);
    }

    /// Reads once the reports say that a lease may be on its way. A node that hangs does not hold back the secrets.
    fn read(&mut self, ticket: Ticket, request: Request, call: Call, token: SecretText) {
        self.reads += 1;
        let vault = self.vault.clone();
        let (told, named) = (self.last_words.finished(), self.named.finished());
        // It does not wait for the answers to other reads, which are saved one after another.
        let cached = vault.saves.reached(self.names_saved);
        self.ask(async move {
            let all = async { tokio::join!(told, named, cached) };
            let _ = tokio::time::timeout(LAST_FILES, all).await;
            vault.read(ticket, request, call, token).await
        });
    }

    /// Looks at the login's files from time to time, until they hold something new.
    fn watch(&mut self) {
        let vault = self.vault.clone();
        let slots = Arc::clone(&self.vault.file_slots);
        let Some(period) = vault.login.watch() else {
            return;
        };
        self.running.spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                if vault.login.has_news(&slots).await {
                    return Input::NewCredentials;
                }
            }
        });
    }

    fn log_in(&mut self, ticket: Ticket) {
        tracing::info!(target: "agent.auth.handler", "authenticating");
        if !std::mem::replace(&mut self.is_watching, true) {
            self.watch();
        }
        self.ask(self.vault.clone().log_in(ticket));
    }

    fn read_file(&mut self, request: Request, path: String, within: Vec<String>) {
        let shared = Arc::clone(&self.shared);
        self.file_work.start(move || {
            let bytes = match request {
                Request::Pki { .. } => read_own(&path, &shared),
                Request::Read { .. }
                | Request::Write { .. }
                | Request::List { .. }
                | Request::File { .. } => files::read_within(path.as_ref(), &within),
            };
            let result = bytes
                .map(|bytes| Answer::File(Text::from(bytes.as_slice())))
                .map_err(|error| file_failure(&path, &error));
            Input::FileRead { request, result }
        });
    }

    fn run_hook(&mut self, hook: usize, file: usize, follow_up: Hook) {
        let path = self.templates[&file].path().display().to_string();
        let environment = Arc::clone(&self.environment);
        self.running.spawn(async move {
            let result = programs::follow(follow_up, &path, &environment).await;
            Input::HookEnded { hook, result }
        });
    }

    fn write(&mut self, destination: Destination, contents: Text, effects: Vec<Effect>) {
        let shared = Arc::clone(&self.shared);
        let file = match destination {
            Destination::Template(index) => self.templates[&index].clone(),
            Destination::Sink(index) => return self.write_sink(index, contents, shared),
        };
        let stamps = Arc::clone(&self.stamps);
        self.file_work.start(move || {
            let result = file.write(&shared, &contents, effects);
            if let Destination::Template(index) = destination {
                stamps.keep(index, file.path());
            }
            Input::Written {
                destination,
                result,
            }
        });
    }

    /// Takes over new texts. The files of texts that are gone stay as they are.
    fn exchange(&mut self, gone: &[usize], new: &[(usize, Template)]) {
        for number in gone {
            self.templates.remove(number);
            self.stamps.forget(*number);
        }
        let new = new.iter();
        let new = new.map(|(number, template)| (*number, TextFile::new(template)));
        self.templates.extend(new);
    }

    fn check_file(&mut self, template: usize) {
        let path = self.templates[&template].path().to_path_buf();
        let stamps = Arc::clone(&self.stamps);
        self.file_work.start(move || Input::FileChecked {
            template,
            is_intact: stamps.is_intact(template, &path),
        });
    }

    fn write_sink(&mut self, index: usize, contents: Text, shared: Arc<Vec<PathBuf>>) {
        let sink = self.sinks[index].clone();
        let vault = self.vault.clone();
        let slots = Arc::clone(&self.file_slots);
        self.running.spawn(async move {
            let path = sink.target.path.clone();
            let written = sink.write(contents, &vault, shared, &slots).await;
            if matches!(written, Ok(true)) {
                tracing::info!(target: "agent.sink.file", path = %path.display(), "token written");
            }
            Input::Written {
                destination: Destination::Sink(index),
                result: written,
            }
        });
    }
}

/// Logs why a certificate that exists is not used and another is issued.
fn read_own(path: &str, shared: &[PathBuf]) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let bytes = files::read_own(path.as_ref(), shared);
    if let Err(error) = &bytes
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path, %error, "the certificate in this file is not taken up: another is issued");
    }
    bytes
}

async fn on_the_blocking_pool<T: Send + 'static>(
    slots: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let _slot = slots.acquire().await;
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn file_failure(path: &str, error: &std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
