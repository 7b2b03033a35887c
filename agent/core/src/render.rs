//! Turns texts into files: each text is rendered once all it asks for is answered, and again
//! whenever an answer that it used changes.

mod exchange;
mod file;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::{Moment, Now};
use crate::command::{Command, Destination};
use crate::dice::Dice;
use crate::status::TextStatus;
use crate::write::Write;
pub(crate) use exchange::Exchange;
use file::{File, Misfit};
use planescape_agent_contract::Target;
use planescape_templates::{Answer, Answers, Environment, Pass, Request, Template};
use planescape_vault::Text;
pub use texts::Texts;

/// How long a text that does not fit waits at first and at most, as in `vault agent`.
const MISFIT_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// All texts of the configuration, by numbers that no other text ever has.
#[derive(Debug)]
pub(crate) struct Renderer {
    files: BTreeMap<usize, File>,
    next: usize,
    /// Texts that are gone, of which something is still under way.
    lingering: BTreeMap<usize, Target>,
    /// The texts that use each request.
    users: BTreeMap<Request, BTreeSet<usize>>,
    /// Texts that may have something to do.
    active: BTreeSet<usize>,
    /// How many files were never written.
    unwritten: usize,
    /// When all files were looked at last.
    looked_at: Option<Moment>,
    /// The files that are being looked at.
    checking: BTreeSet<usize>,
    variables: Arc<BTreeMap<String, String>>,
    seed: u64,
}

/// One pass over a template, to be run where it holds up nothing else.
pub struct Rendering {
    template: Arc<Template>,
    answers: Answers,
    environment: Environment,
}

impl Rendering {
    /// Runs the pass. It may take as long as the template's limits allow.
    ///
    /// # Errors
    /// The template does not fit its answers, in the engine's words, without values.
    pub fn run(&self) -> Result<Pass, String> {
        self.template
            .render(&self.answers, &self.environment)
            .map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for Rendering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendering").finish_non_exhaustive()
    }
}

/// The consequences of a pass for the rest of the agent.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) commands: Vec<Command>,
    /// Requests that no text made before.
    pub(crate) wanted: Vec<Request>,
    /// Requests that no text makes any more.
    pub(crate) unwanted: Vec<Request>,
    /// Why the text does not fit what Vault answered.
    pub(crate) failure: Option<String>,
    /// Name and value of a variable.
    pub(crate) variable: Option<(String, Text)>,
}

impl Renderer {
    pub(crate) fn new(texts: Texts, variables: BTreeMap<String, String>, seed: u64) -> Self {
        let files = texts.0.into_iter().enumerate();
        let files: BTreeMap<usize, File> = files
            .map(|(place, parsed)| (place, File::new(parsed, place)))
            .collect();
        Self {
            active: files.keys().copied().collect(),
            unwritten: files.len(),
            looked_at: None,
            checking: BTreeSet::new(),
            next: files.len(),
            lingering: BTreeMap::new(),
            files,
            users: BTreeMap::new(),
            variables: Arc::new(variables),
            seed,
        }
    }

    /// Whether every file was written at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.unwritten == 0
    }

    /// The state of every text; `ends_at` says when the lease of a request ends, if it has one.
    pub(crate) fn status(
        &self,
        ends_at: impl Fn(&Request) -> Option<Moment>,
        now: Moment,
    ) -> Vec<TextStatus> {
        let status = |file: &File| {
            let ends_at = file.used.iter().filter_map(&ends_at).min();
            TextStatus {
                target: file.target().clone(),
                age: file.written_at.map(|at| now.since(at)),
                expires_in: ends_at.map(|at| at.since(now)),
                has_expired: ends_at.is_some_and(|at| at <= now),
            }
        };
        self.in_order().into_iter().map(status).collect()
    }

    /// The texts in the order of the configuration.
    fn in_order(&self) -> Vec<&File> {
        let mut files: Vec<&File> = self.files.values().collect();
        files.sort_by_key(|file| file.place);
        files
    }

    /// `template[n]` of a text.
    pub(crate) fn place(&self, index: usize) -> usize {
        self.files.get(&index).map_or(index, |file| file.place)
    }

    /// The block of a text.
    pub(crate) fn block(&self, index: usize) -> String {
        let file = self.files.get(&index);
        file.map_or_else(String::new, |file| file.target().block(file.place))
    }

    /// The texts that use a request.
    pub(crate) fn users(&self, request: &Request) -> Vec<usize> {
        let users = self.users.get(request);
        users.into_iter().flatten().copied().collect()
    }

    /// How long the former answer to a request lives on beside the next one.
    pub(crate) fn overlap(&self, request: &Request) -> Option<Duration> {
        let users = self.users(request).into_iter();
        users
            .filter_map(|index| self.files[&index].settings.overlap)
            .max()
    }

    /// Whether every file that uses a request holds the newest answer.
    pub(crate) fn is_written(&self, request: &Request) -> bool {
        let mut users = self.users(request).into_iter();
        users.all(|index| self.files[&index].is_current())
    }

    /// The folders that a local file must lie in.
    pub(crate) fn sandboxes(&self, request: &Request) -> Vec<String> {
        let users = self.users(request).into_iter();
        users
            .filter_map(|index| self.files[&index].settings.sandbox_path.clone())
            .collect()
    }

    /// The places that are probably not what was meant, of all texts.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let files = self.in_order().into_iter();
        files
            .flat_map(|file| {
                let warnings = file.warnings.iter();
                let block = file.target().block(file.place);
                warnings.map(move |warning| format!("{block} {warning}"))
            })
            .collect()
    }

    /// Notes that an answer came: texts that used it, or lacked nothing else, are due.
    pub(crate) fn answer_changed(&mut self, request: &Request, now: Moment) {
        let is_complete = self.is_complete();
        for index in self.users.get(request).into_iter().flatten() {
            let Some(file) = self.files.get_mut(index) else {
                continue;
            };
            file.missing.remove(request);
            if file.missing.is_empty() {
                if is_complete {
                    file.settle(now);
                }
                file.state.outdate();
                self.active.insert(*index);
            }
        }
    }

    /// An answer came: its files are looked at, because somebody may have changed or removed them. Files of other
    /// answers, which may never come again, are looked at twice in an interval.
    pub(crate) fn checks(
        &mut self,
        request: &Request,
        interval: Duration,
        now: Moment,
    ) -> Vec<Command> {
        let is_due = |at| now.since(at) >= interval / 2;
        let looked: Vec<usize> = if self.looked_at.is_some_and(is_due) {
            self.looked_at = Some(now);
            self.files.keys().copied().collect()
        } else {
            self.users(request)
        };
        let files = &self.files;
        let made = looked.into_iter().filter(|index| {
            let file = &files[index];
            file.state == Write::Done && file.target().file().is_some()
        });
        // Each look at a file system that hangs would keep a thread from other files.
        let checking = &mut self.checking;
        made.filter(|index| checking.insert(*index))
            .map(|template| Command::CheckFile { template })
            .collect()
    }

    /// A file that somebody else has changed or removed is made anew.
    pub(crate) fn file_checked(&mut self, index: usize, is_intact: bool) {
        self.checking.remove(&index);
        if let Some(file) = self.files.get_mut(&index).filter(|_| !is_intact) {
            file.state.outdate();
            self.active.insert(index);
        }
    }

    /// The requests of a text that does not fit its answers, and when to ask for them again.
    pub(crate) fn asked_again(
        &mut self,
        index: usize,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<(Moment, Vec<Request>)> {
        let file = self.files.get_mut(&index)?;
        let misfit = file.misfit.as_mut()?;
        // Its answers come one by one: they are one attempt.
        if misfit.again <= now {
            misfit.again = now + misfit.backoff.fail(dice);
        }
        Some((misfit.again, file.used.iter().cloned().collect()))
    }

    /// One pass over every text that is due.
    pub(crate) fn advance<'answers>(
        &mut self,
        answer: impl Fn(&Request) -> Option<&'answers Answer>,
        now: Now,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        for index in std::mem::take(&mut self.active) {
            let Some(file) = self.files.get_mut(&index) else {
                continue;
            };
            if file.is_settling(now.moment) {
                self.active.insert(index);
                continue;
            }
            if !file.state.start(now.moment) {
                if file.state.timeout().is_some() {
                    self.active.insert(index);
                }
                continue;
            }
            file.settling = None;
            let mut answers = Answers::new();
            for request in &file.used {
                if let Some(known) = answer(request) {
                    answers.insert(request.clone(), known.clone());
                }
            }
            commands.push(Command::Render {
                template: index,
                rendering: Rendering {
                    template: Arc::clone(&file.template),
                    answers,
                    environment: Environment {
                        now: now.wall,
                        variables: Arc::clone(&self.variables),
                        destination: file.target().file().map(str::to_owned),
                        seed: self.seed,
                    },
                },
            });
        }
        commands
    }

    /// Takes the result of a pass. `is_answered` says whether an answer came meanwhile.
    pub(crate) fn rendered(
        &mut self,
        index: usize,
        result: Result<Pass, String>,
        is_answered: impl Fn(&Request) -> bool,
        now: Moment,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        match result {
            Ok(Pass::Waiting {
                mut missing,
                mut used,
            }) => {
                // It may ask for what it has inherited once it has the rest.
                if let Some(file) = self.files.get(&index).filter(|file| file.inherits) {
                    used.extend(file.used.iter().cloned());
                }
                self.use_only(index, used, &mut outcome);
                missing.retain(|request| !is_answered(request));
                let Some(file) = self.files.get_mut(&index) else {
                    return outcome;
                };
                file.state.finish();
                if missing.is_empty() {
                    file.state.outdate();
                }
                file.missing = missing;
            }
            Ok(Pass::Complete(rendered)) => {
                self.use_only(index, rendered.used, &mut outcome);
                let Some(file) = self.files.get_mut(&index) else {
                    return outcome;
                };
                file.misfit = None;
                file.inherits = false;
                outcome.commands.extend(file.warn(rendered.warnings));
                match file.target() {
                    Target::File(_) => outcome.commands.push(Command::Write {
                        destination: Destination::Template(index),
                        contents: rendered.text,
                        effects: rendered.effects,
                    }),
                    Target::Variable(name) => {
                        outcome.variable = Some((name.clone(), rendered.text));
                        self.written(index, now);
                    }
                }
            }
            Err(message) => {
                let Some(file) = self.files.get_mut(&index) else {
                    return outcome;
                };
                file.state.finish();
                file.misfit.get_or_insert(Misfit {
                    again: now,
                    backoff: Backoff::between(MISFIT_BACKOFF.0, MISFIT_BACKOFF.1),
                });
                outcome.failure = Some(message);
            }
        }
        self.active.insert(index);
        outcome
    }

    /// Makes exactly these the requests of a text.
    fn use_only(&mut self, index: usize, used: BTreeSet<Request>, outcome: &mut Outcome) {
        let Some(file) = self.files.get_mut(&index) else {
            return;
        };
        let before = std::mem::replace(&mut file.used, used);
        for request in file.used.difference(&before) {
            let users = self.users.entry(request.clone()).or_default();
            if users.is_empty() {
                outcome.wanted.push(request.clone());
            }
            users.insert(index);
        }
        for request in before.difference(&file.used) {
            let Some(users) = self.users.get_mut(request) else {
                continue;
            };
            users.remove(&index);
            if users.is_empty() {
                self.users.remove(request);
                outcome.unwanted.push(request.clone());
            }
        }
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self) -> Option<Moment> {
        let active = self.active.iter();
        active
            .filter_map(|index| self.files.get(index)?.timeout())
            .min()
    }

    /// Whether a text that does not fit its answers, or cannot be written, can end the agent.
    pub(crate) fn error_is_fatal(&self, index: usize) -> bool {
        let file = self.files.get(&index);
        file.is_none_or(|file| file.settings.error_fatal)
    }

    /// Whether a file is being rendered or written, or is about to be.
    pub(crate) fn is_making(&self) -> bool {
        self.files.values().any(|file| match file.state {
            Write::Busy | Write::BusyStale => true,
            Write::Stale => file.settling.is_none(),
            Write::Waiting { .. } | Write::Done => false,
        })
    }

    pub(crate) fn written(&mut self, index: usize, now: Moment) {
        let Some(file) = self.files.get_mut(&index) else {
            return;
        };
        if file.written_at.replace(now).is_none() {
            self.unwritten -= 1;
        }
        self.looked_at.get_or_insert(now);
        file.state.finish();
        self.active.insert(index);
    }

    pub(crate) fn not_written(&mut self, index: usize, until: Moment) {
        if let Some(file) = self.files.get_mut(&index) {
            file.state.fail(until);
            self.active.insert(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use planescape_agent_contract::{Config, Overrides, Tree};

    #[test]
    fn each_text_is_read_in_its_own_language_and_written_in_its_own_form() {
        let configuration = r#"
            auto_auth { method "kubernetes" { config { role = "reader" } } }
            template { contents = "x" destination = "/go" }
            template { contents = "x" destination = "/hbs" engine = "handlebars" output = "base64-decoded" }
        "#;
        let config = Config::new(
            &[Tree::parse(configuration).unwrap()],
            &Overrides::default(),
        );
        let texts = ["{{ print 1 }}", "{{base64_encode (concat 2)}}\n"];
        let texts = texts.map(|text| text.as_bytes().to_vec());
        let texts = Texts::parse(config.unwrap().templates, texts.to_vec()).unwrap();
        let now = Now {
            moment: Moment::since_boot(Duration::ZERO),
            wall: SystemTime::UNIX_EPOCH,
        };

        let mut renderer = Renderer::new(texts, BTreeMap::new(), 1);
        let commands = renderer.advance(|_| None, now);

        let written: Vec<Text> = commands
            .into_iter()
            .map(|command| {
                let Command::Render { rendering, .. } = command else {
                    panic!("{command:?}");
                };
                let Ok(Pass::Complete(rendered)) = rendering.run() else {
                    panic!("nothing is asked for");
                };
                rendered.text
            })
            .collect();
        assert_eq!(written, [Text::from("1"), Text::from("2")]);
    }
}
