//! Does one command and reports one input. Never decides.

mod login;
mod passes;
mod vault;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use planescape_agent_contract::Config;
use planescape_agent_core::{Command, Destination, ExitCode, Failure, Input, Ticket, Token};
use planescape_templates::{Answer, Request};
use planescape_vault::Text;
use planescape_vault_client::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::files::{self, Ledger, Target};
use crate::log;
use crate::ready::ReadySocket;
use crate::termination::Termination;
use login::Login;
use passes::Passes;
use vault::Vault;

/// How many files are read and written at once. A file system that hangs holds up these, and
/// nothing else.
const FILES_AT_ONCE: usize = 8;

/// The things that commands act on.
pub(crate) struct Effects {
    running: JoinSet<Input>,
    passes: Passes,
    vault: Vault,
    templates: Vec<Target>,
    sinks: Vec<Target>,
    shared: Arc<Vec<PathBuf>>,
    ledger: Ledger,
    file_slots: Arc<Semaphore>,
    ready: ReadySocket,
    termination: Termination,
}

impl Effects {
    /// Builds the Vault client and opens the ready socket.
    pub(crate) fn new(config: &Config, ledger: Ledger) -> anyhow::Result<Self> {
        let user_agent = concat!("planescape-agent/", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            running: JoinSet::new(),
            passes: Passes::new(),
            vault: Vault {
                client: Arc::new(Client::new(&config.vault.connection, user_agent)?),
                login: Arc::new(Login::new(&config.auth)),
            },
            templates: templates(config),
            sinks: sinks(config),
            shared: Arc::new(shared_folders(config)),
            ledger,
            file_slots: Arc::new(Semaphore::new(FILES_AT_ONCE)),
            ready: ReadySocket::open(config.planescape.ready_socket.clone())?,
            termination: Termination::new(config.planescape.termination_log.clone()),
        })
    }

    /// The next result.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        tokio::select! {
            Some(result) = self.running.join_next() => match result {
                Ok(input) => Some(input),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            input = self.passes.next() => Some(input),
        }
    }

    /// Starts a command whose result comes through [`Self::next`]; breaks when it is the last one.
    pub(crate) fn start(&mut self, command: Command) -> ControlFlow<ExitCode> {
        let vault = self.vault.clone();
        match command {
            Command::LogIn { ticket } => self.log_in(ticket),
            Command::Remember { token, accessor } => self.remember(token, accessor),
            Command::RenewToken { ticket, token } => self.ask(vault.renew_token(ticket, token)),
            Command::LookUpToken { ticket, token } => self.ask(vault.look_up_token(ticket, token)),
            Command::Revoke { token } => self.ask(vault.revoke(token)),
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
            } => self.ask(vault.read(ticket, request, call, token)),
            Command::RenewLease {
                ticket,
                request,
                lease_id,
                token,
            } => self.ask(vault.renew_lease(ticket, request, lease_id, token)),
            Command::ReadFile {
                request,
                path,
                within,
            } => self.read_file(request, path, within),
            Command::Write {
                destination,
                contents,
            } => self.write(destination, contents),
            Command::Render {
                template,
                rendering,
            } => self.passes.start(template, rendering),
            Command::AnnounceReady => {
                tracing::info!("every template is rendered");
                self.ready.announce();
            }
            Command::Report(report) => self.termination.write(&report),
            Command::ForgetAll => self.ledger.forget_all(),
            Command::Log(notice) => log::tell(&notice),
            Command::Exit { code, report } => {
                self.termination.write(&report);
                tracing::info!(code = code as u8, reason = %report.reason, "agent ends");
                return ControlFlow::Break(code);
            }
        }
        ControlFlow::Continue(())
    }

    fn ask(&mut self, question: impl Future<Output = Input> + Send + 'static) {
        self.running.spawn(question);
    }

    fn log_in(&mut self, ticket: Ticket) {
        let vault = self.vault.clone();
        let file_slots = Arc::clone(&self.file_slots);
        self.running.spawn(async move {
            let result = vault.login.run(&vault.client, &file_slots).await;
            Input::LoggedIn { ticket, result }
        });
    }

    fn remember(&mut self, token: Token, accessor: String) {
        let ledger = self.ledger.clone();
        self.file_work(move || {
            let result = ledger.remember(&token.secret, &accessor);
            Input::Remembered {
                token: token.id,
                result: result.map_err(|error| file_failure("planescape.ledger", &error)),
            }
        });
    }

    fn read_file(&mut self, request: Request, path: String, within: Vec<String>) {
        self.file_work(move || {
            let result = files::read_within(path.as_ref(), &within)
                .map(|bytes| Answer::File(Text::from(bytes.as_slice())))
                .map_err(|error| file_failure(&path, &error));
            Input::FileRead { request, result }
        });
    }

    fn write(&mut self, destination: Destination, contents: Text) {
        let target = match destination {
            Destination::Template(index) => self.templates[index].clone(),
            Destination::Sink(index) => self.sinks[index].clone(),
        };
        let shared = Arc::clone(&self.shared);
        self.file_work(move || {
            let path = target.path.display();
            let result = match files::write(&target, &shared, &contents) {
                Ok(true) => {
                    tracing::info!(%path, "file written");
                    Ok(())
                }
                Ok(false) => Ok(()),
                Err(error) => Err(file_failure(&path.to_string(), &error)),
            };
            Input::Written {
                destination,
                result,
            }
        });
    }

    fn file_work(&mut self, work: impl FnOnce() -> Input + Send + 'static) {
        let file_slots = Arc::clone(&self.file_slots);
        self.running
            .spawn(async move { on_the_blocking_pool(&file_slots, work).await });
    }
}

/// Removes what a killed life left beside the files that this one writes.
pub(crate) fn remove_unfinished(config: &Config) {
    let shared = shared_folders(config);
    for target in templates(config).iter().chain(&sinks(config)) {
        files::remove_unfinished(&target.path, &shared);
    }
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

fn templates(config: &Config) -> Vec<Target> {
    let templates = config.templates.iter();
    templates
        .map(|template| Target {
            path: template.destination.clone().into(),
            mode: template.mode,
            create_parents: template.create_parents,
        })
        .collect()
}

fn sinks(config: &Config) -> Vec<Target> {
    let sinks = config.auth.sinks.iter();
    sinks
        .map(|sink| Target {
            path: sink.path.clone().into(),
            mode: Some(sink.mode),
            create_parents: false,
        })
        .collect()
}

fn shared_folders(config: &Config) -> Vec<PathBuf> {
    let folders = config.planescape.shared_folders.iter();
    folders.map(PathBuf::from).collect()
}

fn file_failure(path: &str, error: &std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
