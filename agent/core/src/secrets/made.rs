//! Tokens that templates have made: each asks for its own renewal, even if the agent's token is lost.

use planescape_templates::Request;
use planescape_vault::Text;

use super::entry::Activity;
use super::{Lane, Secrets};
use crate::clock::Moment;
use crate::command::Command;
use crate::token::{Ticket, TokenId};

impl Secrets {
    /// The token that a request has made, if it is being renewed with this ticket: another one may have come meanwhile.
    pub(crate) fn made(&self, request: &Request, ticket: Ticket) -> Option<&Text> {
        let entry = self.entries.get(self.ids.get(request)?)?;
        let is_renewing = entry.activity == Activity::Renewing(ticket);
        entry.made().filter(|_| is_renewing)
    }

    pub(super) fn renew_made(&mut self, commands: &mut Vec<Command>, now: Moment) {
        while let Some(id) = self.made.pop_due(now) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let ticket = Ticket {
                token: TokenId::NONE,
                sent: now,
            };
            let Some(renewal) = entry.renewal_of_made(ticket, self.namespace.as_deref()) else {
                self.schedule(id, now, Lane::Read);
                continue;
            };
            entry.activity = Activity::Renewing(ticket);
            self.made.asked(entry.request.path(), &entry.engine);
            commands.push(renewal);
        }
    }
}
