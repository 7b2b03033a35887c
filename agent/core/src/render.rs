//! Turns texts into files: each text is rendered once all it asks for is answered, and again
//! whenever an answer that it used changes.

use std::collections::{BTreeMap, BTreeSet};

use planescape_agent_contract as config;
use planescape_agent_contract::{Problem, Template as Settings};
use planescape_templates::{
    Answers, Engine, Environment, Options, Output, Pass, Rendered, Request, Template, Warning,
};

use crate::clock::{Moment, Now};
use crate::command::{Command, Destination, Notice};

/// All texts of the configuration.
#[derive(Debug)]
pub(crate) struct Renderer {
    files: Vec<File>,
    variables: BTreeMap<String, String>,
    seed: u64,
}

#[derive(Debug)]
struct File {
    template: Template,
    destination: String,
    /// What the last pass asked for.
    used: BTreeSet<Request>,
    /// What it did not get.
    missing: BTreeSet<Request>,
    state: State,
    /// Whether it was written once.
    is_there: bool,
    /// What the last complete pass warned of.
    warnings: Vec<Warning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A pass is due.
    Stale,
    /// The last pass was complete, or waits for answers.
    Settled,
    /// The file is being written.
    Writing,
    /// It was being written when an answer came.
    WritingStale,
    /// It could not be written; a pass is due then.
    Waiting { until: Moment },
}

/// A text that does not fit what Vault answered.
#[derive(Debug)]
pub(crate) struct RenderFailure {
    pub(crate) template: usize,
    pub(crate) message: String,
}

impl Renderer {
    /// Parses every text.
    ///
    /// # Errors
    /// Every text that does not parse, with its place.
    pub(crate) fn new(
        texts: &[(Settings, Vec<u8>)],
        variables: BTreeMap<String, String>,
        seed: u64,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut files = Vec::new();
        for (index, (settings, text)) in texts.iter().enumerate() {
            match Template::parse(text, &options(settings)) {
                Ok(template) => files.push(File::new(template, settings.destination.clone())),
                Err(error) => problems.push(Problem {
                    field: format!("template[{index}]"),
                    reason: error.to_string(),
                }),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                files,
                variables,
                seed,
            })
        } else {
            Err(problems)
        }
    }

    /// Whether every file was written at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.files.iter().all(|file| file.is_there)
    }

    /// Everything that any text asks for.
    pub(crate) fn wanted(&self) -> BTreeSet<Request> {
        self.files
            .iter()
            .flat_map(|file| &file.used)
            .cloned()
            .collect()
    }

    /// Notes that an answer came: texts that used it, or lacked nothing else, are due.
    pub(crate) fn answer_changed(&mut self, request: &Request) {
        for file in &mut self.files {
            file.missing.remove(request);
            if file.used.contains(request) && file.missing.is_empty() {
                file.state = match file.state {
                    State::Stale | State::Settled => State::Stale,
                    State::Writing | State::WritingStale => State::WritingStale,
                    waiting @ State::Waiting { .. } => waiting,
                };
            }
        }
    }

    /// One pass over every text that is due.
    pub(crate) fn advance(
        &mut self,
        answers: &Answers,
        now: Now,
    ) -> (Vec<Command>, Vec<RenderFailure>) {
        let mut commands = Vec::new();
        let mut failures = Vec::new();
        for (index, file) in self.files.iter_mut().enumerate() {
            if !file.is_due(now.moment) {
                continue;
            }
            let environment = Environment {
                now: now.wall,
                variables: self.variables.clone(),
                destination: Some(file.destination.clone()),
                seed: self.seed,
            };
            file.state = State::Settled;
            match file.template.render(answers, &environment) {
                Ok(Pass::Waiting { used, .. } | Pass::Complete(Rendered { used, .. }))
                    if used
                        .iter()
                        .any(|request| matches!(request, Request::Pki { .. })) =>
                {
                    failures.push(unsupported(index, "pkiCert (in Handlebars pki_cert)"));
                }
                Ok(Pass::Complete(rendered)) if !rendered.effects.is_empty() => {
                    failures.push(unsupported(index, "writeToFile"));
                }
                Ok(Pass::Waiting { missing, used }) => {
                    file.missing = missing;
                    file.used = used;
                }
                Ok(Pass::Complete(rendered)) => {
                    file.state = State::Writing;
                    file.used = rendered.used;
                    commands.extend(file.warn(index, rendered.warnings));
                    commands.push(Command::Write {
                        destination: Destination::Template(index),
                        contents: rendered.text,
                    });
                }
                Err(error) => failures.push(RenderFailure {
                    template: index,
                    message: error.to_string(),
                }),
            }
        }
        (commands, failures)
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self) -> Option<Moment> {
        self.files
            .iter()
            .filter_map(|file| match file.state {
                State::Waiting { until } => Some(until),
                State::Stale | State::Settled | State::Writing | State::WritingStale => None,
            })
            .min()
    }

    pub(crate) fn written(&mut self, index: usize) {
        if let Some(file) = self.files.get_mut(index) {
            file.is_there = true;
            file.state = match file.state {
                State::WritingStale => State::Stale,
                State::Stale | State::Settled | State::Writing | State::Waiting { .. } => {
                    State::Settled
                }
            };
        }
    }

    pub(crate) fn not_written(&mut self, index: usize, until: Moment) {
        if let Some(file) = self.files.get_mut(index) {
            file.state = State::Waiting { until };
        }
    }
}

impl File {
    fn new(template: Template, destination: String) -> Self {
        Self {
            template,
            destination,
            used: BTreeSet::new(),
            missing: BTreeSet::new(),
            state: State::Stale,
            is_there: false,
            warnings: Vec::new(),
        }
    }

    /// A loop meets one place many times.
    fn warn(&mut self, index: usize, mut warnings: Vec<Warning>) -> Option<Command> {
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings.dedup();
        if warnings == self.warnings {
            return None;
        }
        self.warnings.clone_from(&warnings);
        let notice = Notice::RenderWarned {
            template: index,
            warnings,
        };
        (!self.warnings.is_empty()).then_some(Command::Log(notice))
    }

    fn is_due(&self, now: Moment) -> bool {
        match self.state {
            State::Stale => true,
            State::Waiting { until } => until <= now,
            State::Settled | State::Writing | State::WritingStale => false,
        }
    }
}

fn unsupported(template: usize, function: &str) -> RenderFailure {
    RenderFailure {
        template,
        message: format!("function {function} is not supported by planescape-agent yet"),
    }
}

fn options(settings: &Settings) -> Options {
    Options {
        engine: match settings.engine {
            config::Engine::Go => Engine::Go,
            config::Engine::Handlebars => Engine::Handlebars,
        },
        output: match settings.output {
            config::Output::Text => Output::Text,
            config::Output::Base64Decoded => Output::Base64Decoded,
        },
        left_delimiter: settings.left_delimiter.clone(),
        right_delimiter: settings.right_delimiter.clone(),
        error_on_missing_key: settings.error_on_missing_key,
        denied_functions: settings.denied_functions.clone(),
        sandbox_path: settings.sandbox_path.clone(),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use planescape_agent_contract::{Config, Overrides, Tree};

    use super::*;

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
        let texts: Vec<_> = config.unwrap().templates.into_iter().zip(texts).collect();
        let now = Now {
            moment: Moment::since_boot(Duration::ZERO),
            wall: SystemTime::UNIX_EPOCH,
        };

        let mut renderer = Renderer::new(&texts, BTreeMap::new(), 1).unwrap();
        let (commands, failures) = renderer.advance(&Answers::new(), now);

        assert!(failures.is_empty(), "{failures:?}");
        let written: Vec<&[u8]> = commands
            .iter()
            .map(|command| {
                let Command::Write { contents, .. } = command else {
                    panic!("{command:?}");
                };
                contents.as_bytes()
            })
            .collect();
        assert_eq!(written, [b"1", b"2"]);
    }
}
