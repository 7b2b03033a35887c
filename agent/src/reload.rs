//! Takes over changes on SIGHUP. One reload runs at a time, on the pool: its files may be held up by a disk.

use std::sync::Arc;

use planescape_agent_contract::{Config, hindrances, needs_start};
use planescape_agent_core::Reloaded;
use tokio::task::JoinHandle;

use crate::args::Arguments;
use crate::effects::Certified;
use crate::log;
use crate::settings::{self, Settings, Unusable};
use crate::systemd::{self, State};

/// The reload that runs, if one does.
pub(crate) struct Reloading {
    reload: Arc<Reload>,
    running: Option<JoinHandle<Option<Reloaded>>>,
    is_asked_again: bool,
}

/// The inputs of a reload, and the clients and listeners that it renews.
struct Reload {
    arguments: Arguments,
    /// The configuration that the agent was started with.
    started: Config,
    certified: Certified,
}

impl Reloading {
    pub(crate) fn new(arguments: Arguments, started: Config, certified: Certified) -> Self {
        Self {
            reload: Arc::new(Reload {
                arguments,
                started,
                certified,
            }),
            running: None,
            is_asked_again: false,
        }
    }

    /// Begins a reload. If one runs, another begins after it: files may have changed since the first read them.
    pub(crate) fn ask(&mut self) {
        // A log that was moved away gets a new file even if the configuration is not good.
        log::reopen();
        if self.running.is_some() {
            self.is_asked_again = true;
            return;
        }
        let reload = Arc::clone(&self.reload);
        self.running = Some(tokio::task::spawn_blocking(move || reload.run()));
    }

    /// Waits for the end of the running reload, and gives the texts that it takes over. Without one it waits for ever.
    pub(crate) async fn ended(&mut self) -> Option<Reloaded> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let ended = running.await;
        self.running = None;
        let reloaded = match ended {
            Ok(reloaded) => reloaded,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if std::mem::take(&mut self.is_asked_again) {
            self.ask();
        }
        reloaded
    }
}

impl Reload {
    fn run(&self) -> Option<Reloaded> {
        tracing::info!("agent config reload triggered");
        systemd::notify(State::Reloading);
        let reloaded = self.take_over();
        systemd::notify(State::Ready);
        reloaded
    }

    /// A configuration that is not valid changes nothing.
    fn take_over(&self) -> Option<Reloaded> {
        let config = match settings::load_config(&self.arguments) {
            Ok(config) => config,
            Err(unusable) => {
                tracing::error!(error = %unusable, "the configuration is kept as it was");
                return None;
            }
        };
        log::set_level(config.log.level);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        self.certified.renew(&config);
        for key in needs_start(&self.started, &config) {
            tracing::warn!(
                key,
                "a new value is taken over when the agent is started again"
            );
        }
        match self.templates(config) {
            Ok(reloaded) => Some(reloaded),
            Err(unusable) => {
                tracing::error!(error = %unusable, "the templates are kept as they were");
                None
            }
        }
    }

    /// All templates, or none of them.
    fn templates(&self, config: Config) -> Result<Reloaded, Unusable> {
        let problems = hindrances(&self.started, &config);
        if !problems.is_empty() {
            return Err(Unusable::problems(&problems, false));
        }
        let template_config = config.template_config;
        Ok(Reloaded {
            texts: Settings::with_texts(config)?.parse()?,
            template_config,
        })
    }
}
