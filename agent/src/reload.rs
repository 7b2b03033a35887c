//! What SIGHUP takes over. One reload runs at a time, on the pool: its files may be held up by a disk.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::args::Arguments;
use crate::effects::Certified;
use crate::log;
use crate::settings;
use crate::systemd::{self, State};

/// The reload that runs, if one does.
pub(crate) struct Reloading {
    reload: Arc<Reload>,
    running: Option<JoinHandle<()>>,
    is_asked_again: bool,
}

/// What a reload reads, and whom it tells.
struct Reload {
    arguments: Arguments,
    certified: Certified,
}

impl Reloading {
    pub(crate) fn new(arguments: Arguments, certified: Certified) -> Self {
        Self {
            reload: Arc::new(Reload {
                arguments,
                certified,
            }),
            running: None,
            is_asked_again: false,
        }
    }

    /// Begins, or begins once more when the one that runs is over: it may have read what was changed since.
    pub(crate) fn ask(&mut self) {
        // Whoever has moved the log away needs no good configuration for a new one.
        log::reopen();
        if self.running.is_some() {
            self.is_asked_again = true;
            return;
        }
        let reload = Arc::clone(&self.reload);
        self.running = Some(tokio::task::spawn_blocking(move || reload.run()));
    }

    /// Waits for the end of the one that runs; for ever where there is none.
    pub(crate) async fn ended(&mut self) {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let ended = running.await;
        self.running = None;
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
        if std::mem::take(&mut self.is_asked_again) {
            self.ask();
        }
    }
}

impl Reload {
    fn run(&self) {
        tracing::info!("agent config reload triggered");
        systemd::notify(State::Reloading);
        self.take_over();
        systemd::notify(State::Ready);
    }

    /// A configuration that is not valid changes nothing.
    fn take_over(&self) {
        match settings::load_config(&self.arguments) {
            Ok(config) => {
                log::set_level(config.log.level);
                self.certified.renew(&config);
            }
            Err(unusable) => {
                tracing::error!(error = %unusable, "the configuration is kept as it was");
            }
        }
    }
}
