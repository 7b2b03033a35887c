//! One text and the file or variable that it becomes.

use std::collections::BTreeSet;
use std::sync::Arc;

use planescape_agent_contract::{Target, Template as Settings};
use planescape_templates::{Request, Template, Warning};

use super::texts::Parsed;
use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::{Command, Notice};
use crate::write::Write;

#[derive(Debug)]
pub(super) struct File {
    /// `template[n]` of the configuration.
    pub(super) place: usize,
    /// The settings without the text, which the template has.
    pub(super) settings: Settings,
    pub(super) template: Arc<Template>,
    /// Changes that are waited for.
    pub(super) settling: Option<Settling>,
    /// The requests of the last pass.
    pub(super) used: BTreeSet<Request>,
    /// Whether these hold requests of texts that are gone, too; until a pass is complete.
    pub(super) inherits: bool,
    /// Its requests without an answer.
    pub(super) missing: BTreeSet<Request>,
    /// Rendering and writing are one making of the file.
    pub(super) state: Write,
    /// When it was written last.
    pub(super) written_at: Option<Moment>,
    /// The warnings of the last complete pass.
    pub(super) warnings: Vec<Warning>,
    /// Present while the text does not fit its answers.
    pub(super) misfit: Option<Misfit>,
}

/// A text that does not fit its answers: they are asked for again until somebody has mended them.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) again: Moment,
    pub(super) backoff: Backoff,
}

/// Changes that are waited for before they are rendered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    /// The wait ends by then, however much changes.
    latest: Moment,
    until: Moment,
}

impl File {
    pub(super) fn new(parsed: Parsed, place: usize) -> Self {
        Self {
            place,
            settings: parsed.settings,
            template: parsed.template,
            settling: None,
            used: BTreeSet::new(),
            inherits: false,
            missing: BTreeSet::new(),
            state: Write::Stale,
            written_at: None,
            warnings: Vec::new(),
            misfit: None,
        }
    }

    /// Whether it is this text, with these settings.
    pub(super) fn is_of(&self, parsed: &Parsed) -> bool {
        self.settings == parsed.settings && self.template.source() == parsed.template.source()
    }

    pub(super) fn target(&self) -> &Target {
        &self.settings.target
    }

    /// Whether it was made of the newest answers.
    pub(super) fn is_current(&self) -> bool {
        self.state == Write::Done && self.misfit.is_none() && self.missing.is_empty()
    }

    /// Something changed: a quiet time starts anew, up to the longest.
    pub(super) fn settle(&mut self, now: Moment) {
        let Some(wait) = self.settings.wait else {
            return;
        };
        let latest = self.settling.map_or(now + wait.max, |it| it.latest);
        let until = (now + wait.min).min(latest);
        self.settling = Some(Settling { latest, until });
    }

    pub(super) fn is_settling(&self, now: Moment) -> bool {
        let is_waited_for = self.settling.is_some_and(|it| it.until > now);
        is_waited_for && self.state == Write::Stale
    }

    pub(super) fn timeout(&self) -> Option<Moment> {
        match self.state {
            Write::Stale => self.settling.map(|it| it.until),
            Write::Busy | Write::BusyStale | Write::Waiting { .. } | Write::Done => {
                self.state.timeout()
            }
        }
    }

    /// Tells each place once: a loop meets it many times.
    pub(super) fn warn(&mut self, mut warnings: Vec<Warning>) -> Option<Command> {
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings.dedup();
        if warnings == self.warnings {
            return None;
        }
        self.warnings.clone_from(&warnings);
        let notice = Notice::RenderWarned {
            template: self.place,
            warnings,
        };
        (!self.warnings.is_empty()).then_some(Command::Log(notice))
    }
}
