//! The texts of a new configuration take the place of those before them. An unchanged text stays with its file. Any
//! other text is a new one; a request that old and new texts share is not asked again.

use std::collections::BTreeSet;

use planescape_agent_contract::{Target, Template as Settings};
use planescape_templates::Request;

use super::Renderer;
use super::file::File;
use super::texts::Texts;
use crate::write::Write;

/// The result of an exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The numbers of texts that are gone.
    pub(crate) gone: Vec<usize>,
    /// Texts that are new or changed.
    pub(crate) new: Vec<New>,
    /// How many are as they were.
    pub(crate) kept: usize,
    /// Requests that no text makes any more.
    pub(crate) unwanted: Vec<Request>,
}

/// A text that is new or changed.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) number: usize,
    pub(crate) settings: Settings,
    /// The text that became the same file or variable.
    pub(crate) instead_of: Option<usize>,
}

impl Renderer {
    pub(crate) fn exchange(&mut self, texts: Texts) -> Exchange {
        let mut before = std::mem::take(&mut self.files);
        let mut fresh = Vec::new();
        for (place, parsed) in texts.0.into_iter().enumerate() {
            let same = before.iter().find(|(_, file)| file.is_of(&parsed));
            let same = same.map(|(number, _)| *number);
            match same.and_then(|number| before.remove_entry(&number)) {
                Some((number, mut file)) => {
                    file.place = place;
                    self.files.insert(number, file);
                }
                None => fresh.push((place, parsed)),
            }
        }
        let kept = self.files.len();
        let inherited = inherited(before.values());
        let gone: Vec<(usize, File)> = before.into_iter().collect();
        for (number, file) in &gone {
            self.let_go(*number, file);
        }
        let fresh = fresh.into_iter();
        let new = fresh
            .map(|(place, parsed)| self.begin(File::new(parsed, place), &inherited, &gone))
            .collect();
        Exchange {
            gone: gone.into_iter().map(|(number, _)| number).collect(),
            new,
            kept,
            unwanted: self.unwanted(),
        }
    }

    /// Whether there is a text with this number.
    pub(crate) fn has(&self, number: usize) -> bool {
        self.files.contains_key(&number)
    }

    /// The names of all variables.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let targets = self.files.values().map(File::target);
        targets
            .filter_map(|target| match target {
                Target::Variable(name) => Some(name.as_str()),
                Target::File(_) => None,
            })
            .collect()
    }

    /// The work for a text that is gone has ended: the text that makes the same file now may begin.
    pub(crate) fn hand_on(&mut self, gone: usize) -> Option<usize> {
        let target = self.lingering.remove(&gone)?;
        let mut files = self.files.iter_mut();
        let (&heir, file) = files.find(|(_, file)| *file.target() == target)?;
        file.state.finish();
        self.active.insert(heir);
        Some(heir)
    }

    fn let_go(&mut self, number: usize, file: &File) {
        self.active.remove(&number);
        self.unwritten -= usize::from(file.written_at.is_none());
        for request in &file.used {
            if let Some(users) = self.users.get_mut(request) {
                users.remove(&number);
            }
        }
        // A text that still waits for an earlier one has not begun: the earlier one is the one to wait for.
        let is_busy = matches!(file.state, Write::Busy | Write::BusyStale);
        if is_busy && !self.is_lingering(file.target()) {
            self.lingering.insert(number, file.target().clone());
        }
    }

    fn begin(
        &mut self,
        mut file: File,
        inherited: &BTreeSet<Request>,
        gone: &[(usize, File)],
    ) -> New {
        let number = self.next;
        self.next += 1;
        let before = gone.iter().find(|(_, old)| old.target() == file.target());
        file.written_at = before.and_then(|(_, old)| old.written_at);
        self.unwritten += usize::from(file.written_at.is_none());
        // It may ask for any of these until its first complete pass has told its requests.
        file.inherits = true;
        file.used.clone_from(inherited);
        for request in inherited {
            let users = self.users.entry(request.clone()).or_default();
            users.insert(number);
        }
        if self.is_lingering(file.target()) {
            file.state = Write::BusyStale;
        }
        let new = New {
            number,
            settings: file.settings.clone(),
            instead_of: before.map(|(number, _)| *number),
        };
        self.active.insert(number);
        self.files.insert(number, file);
        new
    }

    fn is_lingering(&self, target: &Target) -> bool {
        self.lingering.values().any(|it| it == target)
    }

    fn unwanted(&mut self) -> Vec<Request> {
        let unused = self.users.iter().filter(|(_, users)| users.is_empty());
        let unused = unused.map(|(request, _)| request.clone()).collect();
        self.users.retain(|_, users| !users.is_empty());
        unused
    }
}

/// The requests of texts that are gone. A local file is read again: each text has its own folder for them.
fn inherited<'files>(gone: impl Iterator<Item = &'files File>) -> BTreeSet<Request> {
    let requests = gone.flat_map(|file| &file.used);
    requests
        .filter(|request| !matches!(request, Request::File { .. }))
        .cloned()
        .collect()
}
