//! Does one command and reports one input. Never decides.

use std::ops::ControlFlow;
use std::sync::Arc;

use planescape_agent_contract::{Config, Kubernetes, Method};
use planescape_agent_core::{Command, Destination, ExitCode, Failure, Input};
use planescape_templates::Answer;
use planescape_vault::Text;
use tokio::task::JoinSet;

use crate::log;
use crate::ready::Door;
use crate::sink::{self, Target};
use crate::termination::Termination;
use crate::vault::Vault;

/// What the commands act on.
pub(crate) struct Effects {
    running: JoinSet<Input>,
    vault: Arc<Vault>,
    login: Arc<Login>,
    templates: Vec<Target>,
    sinks: Vec<Target>,
    door: Door,
    termination: Termination,
}

struct Login {
    mount_path: String,
    namespace: Option<String>,
    method: Kubernetes,
}

impl Effects {
    /// Builds the Vault client and opens the ready socket; removes what a killed life left.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let Method::Kubernetes(method) = config.auth.method.clone();
        let templates: Vec<Target> = config
            .templates
            .iter()
            .map(|template| Target {
                path: template.destination.clone().into(),
                mode: template.mode,
                create_parents: template.create_parents,
            })
            .collect();
        let sinks: Vec<Target> = config
            .auth
            .sinks
            .iter()
            .map(|sink| Target {
                path: sink.path.clone().into(),
                mode: Some(sink.mode),
                create_parents: false,
            })
            .collect();
        for target in templates.iter().chain(&sinks) {
            sink::remove_unfinished(&target.path);
        }
        Ok(Self {
            running: JoinSet::new(),
            vault: Arc::new(Vault::new(&config.vault)?),
            login: Arc::new(Login {
                mount_path: config.auth.mount_path.clone(),
                namespace: config.auth.namespace.clone(),
                method,
            }),
            templates,
            sinks,
            door: Door::open(config.planescape.ready_socket.clone())?,
            termination: Termination::new(config.planescape.termination_log.clone()),
        })
    }

    /// The next result.
    pub(crate) async fn next(&mut self) -> Option<Input> {
        match self.running.join_next().await? {
            Ok(input) => Some(input),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Starts a command whose result comes through [`Self::next`]; breaks when it is the last one.
    pub(crate) fn start(&mut self, command: Command) -> ControlFlow<ExitCode> {
        let vault = Arc::clone(&self.vault);
        match command {
            Command::LogIn => {
                let login = Arc::clone(&self.login);
                self.running
                    .spawn(async move { Input::LoggedIn(login.run(&vault).await) });
            }
            Command::RenewToken { token } => {
                self.running
                    .spawn(async move { Input::TokenRenewed(vault.renew_self(&token).await) });
            }
            Command::FindMount {
                request,
                path,
                token,
            } => {
                self.running.spawn(async move {
                    let result = vault.mount_of(&path, &token).await;
                    Input::MountFound { request, result }
                });
            }
            Command::Read {
                request,
                call,
                token,
            } => {
                self.running.spawn(async move {
                    let result = vault.call(call, &token).await;
                    Input::Answered { request, result }
                });
            }
            Command::ReadFile { request, path } => {
                self.running.spawn(async move {
                    let result = std::fs::read(&path)
                        .map(|bytes| Answer::File(Text::from(bytes)))
                        .map_err(|error| file_failure(&path, &error));
                    Input::Answered { request, result }
                });
            }
            Command::RenewLease {
                request,
                lease_id,
                token,
            } => {
                self.running.spawn(async move {
                    let result = vault.renew_lease(&lease_id, &token).await;
                    Input::LeaseRenewed { request, result }
                });
            }
            Command::Write {
                destination,
                contents,
            } => self.write(destination, contents),
            Command::Revoke { token } => {
                self.running
                    .spawn(async move { Input::Revoked(vault.revoke_self(&token).await) });
            }
            Command::AnnounceReady => {
                tracing::info!("every template is rendered");
                self.door.announce();
            }
            Command::Log(notice) => log::tell(&notice),
            Command::Exit { code, report } => {
                self.termination.write(&report);
                tracing::info!(code = code as u8, reason = report.reason, "agent ends");
                return ControlFlow::Break(code);
            }
        }
        ControlFlow::Continue(())
    }

    fn write(&mut self, destination: Destination, contents: Text) {
        let target = match destination {
            Destination::Template(index) => self.templates[index].clone(),
            Destination::Sink(index) => self.sinks[index].clone(),
        };
        self.running.spawn(async move {
            let result = sink::write(&target, &contents)
                .map_err(|error| file_failure(&target.path.to_string_lossy(), &error));
            Input::Written {
                destination,
                result,
            }
        });
    }
}

impl Login {
    async fn run(&self, vault: &Vault) -> Result<planescape_agent_core::Login, Failure> {
        let path = &self.method.token_path;
        let jwt = std::fs::read_to_string(path)
            .map(zeroize::Zeroizing::new)
            .map_err(|error| file_failure(path, &error))?;
        vault
            .log_in(
                &self.mount_path,
                self.namespace.as_deref(),
                &self.method.role,
                jwt.trim(),
            )
            .await
    }
}

fn file_failure(path: &str, error: &std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
