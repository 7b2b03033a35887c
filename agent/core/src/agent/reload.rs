//! A configuration that takes the place of the one before, as far as that goes while the agent runs.

use super::Agent;
use crate::clock::Moment;
use crate::command::{Command, Destination, Notice};
use crate::input::Reloaded;
use crate::troubles::Concern;

impl Agent {
    /// The token stays, and so does every lease that somebody still uses.
    pub(super) fn reloaded(&mut self, reloaded: Reloaded, now: Moment) {
        if !self.life.is_working() {
            return;
        }
        self.secrets.reconfigure(&reloaded.template_config, now);
        let exchange = self.renderer.exchange(reloaded.texts);
        for number in &exchange.gone {
            self.verdict.mend(&Concern::Template(*number));
            let file = Destination::Template(*number);
            self.verdict.mend(&Concern::Write(file));
            self.unwritten.mend(file);
        }
        for request in &exchange.unwanted {
            self.secrets.forget(request, now);
            self.verdict.forget(request);
        }
        self.hooks.exchange(&exchange);
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.expect(&self.renderer.names(), now);
        }
        if exchange.gone.is_empty() && exchange.new.is_empty() {
            return;
        }
        self.log(Some(Notice::Exchanged {
            new: exchange.new.len(),
            gone: exchange.gone.len(),
            kept: exchange.kept,
        }));
        let new = exchange.new.into_iter();
        self.commands.push_back(Command::Exchange {
            gone: exchange.gone,
            new: new.map(|new| (new.number, new.settings)).collect(),
        });
    }
}
