//! Runs programs and sends signals after files have changed, once no file is being made: files that change together are
//! there together. Files that share a program, or a signal, share its run.

use std::collections::BTreeSet;

use planescape_agent_contract::Hook;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::command::Command;
use crate::dice::Dice;
use crate::render::Exchange;

/// The programs of all files.
#[derive(Debug)]
pub(crate) struct Hooks {
    hooks: Vec<Entry>,
    /// How often a failed run is repeated.
    retries: u32,
    /// The backoff of a hook that has not failed.
    backoff: Backoff,
    is_running: bool,
}

#[derive(Debug)]
struct Entry {
    hook: Hook,
    /// The number of each file that it follows; none where all of them are gone.
    files: Vec<usize>,
    state: State,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Due,
    Running,
    /// It is running, and a file has changed meanwhile.
    RunningDue,
    Waiting {
        until: Moment,
    },
}

/// The fate of a run that failed.
#[derive(Debug)]
pub(crate) struct FailedRun {
    /// The first of the files that it follows.
    pub(crate) file: usize,
    /// The key that asks for it.
    pub(crate) key: &'static str,
    /// When it is run again, if it is.
    pub(crate) again: Option<std::time::Duration>,
}

impl Hooks {
    /// The hook of each template, in order.
    pub(crate) fn new(of_templates: Vec<Option<Hook>>, retries: u32, backoff: Backoff) -> Self {
        let mut hooks = Self {
            hooks: Vec::new(),
            retries,
            backoff,
            is_running: false,
        };
        for (file, hook) in of_templates.into_iter().enumerate() {
            if let Some(hook) = hook {
                hooks.follow(file, hook);
            }
        }
        hooks
    }

    fn follow(&mut self, file: usize, hook: Hook) {
        let mut hooks = self.hooks.iter_mut();
        match hooks.find(|entry| entry.hook.does_the_same(&hook)) {
            Some(entry) => {
                if entry.files.is_empty() {
                    entry.hook = hook;
                }
                entry.files.push(file);
            }
            None => {
                let new = Entry {
                    hook,
                    files: vec![file],
                    state: State::Idle,
                    backoff: self.backoff.clone(),
                };
                let mut hooks = self.hooks.iter_mut();
                // A hook without files makes room, unless the end of its run is yet to come.
                match hooks.find(|entry| entry.files.is_empty() && entry.state == State::Idle) {
                    Some(free) => *free = new,
                    None => self.hooks.push(new),
                }
            }
        }
    }

    /// Some files are gone, and others are there. If a hook still owes a run to a file that is gone, the hook of the
    /// file's successor runs: a mended command does not wait for the next change.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) {
        let mut unheard = BTreeSet::new();
        for entry in &mut self.hooks {
            let is_done = entry.state == State::Idle && entry.backoff.failures() == 0;
            let gone = entry.files.iter().copied();
            let gone = gone.filter(|file| exchange.gone.contains(file));
            unheard.extend(gone.filter(|_| !is_done));
            entry.files.retain(|file| !exchange.gone.contains(file));
        }
        for new in &exchange.new {
            if let Some(hook) = &new.settings.hook {
                self.follow(new.number, hook.clone());
            }
            if new.instead_of.is_some_and(|old| unheard.contains(&old)) {
                self.file_changed(new.number);
            }
        }
        for entry in self.hooks.iter_mut().filter(|it| it.files.is_empty()) {
            entry.backoff.succeed();
            entry.state = match entry.state {
                State::Running | State::RunningDue => State::Running,
                State::Idle | State::Due | State::Waiting { .. } => State::Idle,
            };
        }
    }

    /// A file has changed.
    pub(crate) fn file_changed(&mut self, file: usize) {
        let followers = self.hooks.iter_mut();
        for entry in followers.filter(|entry| entry.files.contains(&file)) {
            entry.state = match entry.state {
                State::Running | State::RunningDue => State::RunningDue,
                State::Idle | State::Due | State::Waiting { .. } => State::Due,
            };
        }
    }

    /// The next run, one at a time. `is_making` says whether any file is being made.
    pub(crate) fn advance(&mut self, is_making: impl Fn() -> bool, now: Moment) -> Option<Command> {
        if self.is_running {
            return None;
        }
        let mut hooks = self.hooks.iter_mut().enumerate();
        let due = hooks.find(|(_, entry)| match entry.state {
            State::Due => true,
            State::Waiting { until } => until <= now,
            State::Idle | State::Running | State::RunningDue => false,
        });
        let (index, entry) = due.filter(|_| !is_making())?;
        entry.state = State::Running;
        self.is_running = true;
        Some(Command::RunHook {
            hook: index,
            file: entry.files[0],
            follow_up: entry.hook.clone(),
        })
    }

    /// Takes the end of a run; says what follows where it failed.
    pub(crate) fn ended(
        &mut self,
        hook: usize,
        succeeded: bool,
        dice: &mut Dice,
        now: Moment,
    ) -> Option<FailedRun> {
        self.is_running = false;
        let entry = self.hooks.get_mut(hook)?;
        let has_changed = entry.state == State::RunningDue;
        entry.state = if has_changed { State::Due } else { State::Idle };
        let file = *entry.files.first()?;
        if succeeded {
            entry.backoff.succeed();
            return None;
        }
        let wait = entry.backoff.fail(dice);
        let is_repeated = entry.backoff.failures() <= self.retries;
        if is_repeated && !has_changed {
            entry.state = State::Waiting { until: now + wait };
        }
        Some(FailedRun {
            file,
            key: entry.hook.key(),
            again: is_repeated.then_some(wait),
        })
    }

    /// Whether a program is running, or is to run at once.
    pub(crate) fn is_busy(&self) -> bool {
        let mut hooks = self.hooks.iter();
        hooks.any(|entry| match entry.state {
            State::Due | State::Running | State::RunningDue => true,
            State::Idle | State::Waiting { .. } => false,
        })
    }

    /// When `advance` has something to do although nothing happened.
    pub(crate) fn timeout(&self, is_making: impl Fn() -> bool) -> Option<Moment> {
        let waiting = self.hooks.iter().filter_map(|entry| match entry.state {
            State::Waiting { until } => Some(until),
            State::Idle | State::Due | State::Running | State::RunningDue => None,
        });
        waiting.min().filter(|_| !self.is_running && !is_making())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use planescape_agent_contract::{Program, Signal};

    use super::*;

    #[test]
    fn files_that_share_a_program_share_its_run() {
        let mut hooks = hooks(&["reload", "other", "reload"]);
        hooks.file_changed(0);
        hooks.file_changed(2);

        assert!(
            hooks.advance(|| true, at(0)).is_none(),
            "a file is being made"
        );
        assert_eq!(run(&mut hooks), Some(0));
        assert_eq!(run(&mut hooks), None);
        hooks.ended(0, true, &mut Dice::new(1), at(0));
        assert!(!hooks.is_busy());
    }

    #[test]
    fn files_that_share_a_signal_share_its_sending() {
        let told = |process: &str| {
            Some(Hook::Signal {
                signal: Signal::TERMINATE,
                process: process.to_owned(),
            })
        };
        let of_templates = vec![told("nginx"), told("other"), told("nginx")];
        let mut hooks = Hooks::new(of_templates, 2, Backoff::request());
        hooks.file_changed(2);
        hooks.file_changed(0);

        assert_eq!(run(&mut hooks), Some(0));
        let failed = hooks.ended(0, false, &mut Dice::new(1), at(0));

        assert_eq!(failed.unwrap().key, "signal");
        assert_eq!(run(&mut hooks), None);
    }

    #[test]
    fn a_change_during_a_run_leads_to_another_at_once_however_the_run_ends() {
        for succeeds in [true, false] {
            let mut hooks = hooks(&["reload"]);
            hooks.file_changed(0);
            assert_eq!(run(&mut hooks), Some(0));
            hooks.file_changed(0);

            hooks.ended(0, succeeds, &mut Dice::new(1), at(0));

            assert_eq!(run(&mut hooks), Some(0), "{succeeds}");
        }
    }

    #[test]
    fn nobody_is_woken_for_a_program_that_has_to_wait_for_others() {
        let mut hooks = hooks(&["one", "two"]);
        hooks.file_changed(0);
        run(&mut hooks);
        hooks.ended(0, false, &mut Dice::new(1), at(0));
        assert!(hooks.timeout(|| false).is_some());

        assert_eq!(hooks.timeout(|| true), None, "a file is being made");
        hooks.file_changed(1);
        assert_eq!(run(&mut hooks), Some(1));
        assert_eq!(hooks.timeout(|| false), None, "another one runs");
    }

    #[test]
    fn programs_run_one_after_another() {
        let mut hooks = hooks(&["one", "two"]);
        hooks.file_changed(0);
        hooks.file_changed(1);

        assert_eq!(run(&mut hooks), Some(0));
        assert_eq!(run(&mut hooks), None);
        hooks.ended(0, true, &mut Dice::new(1), at(0));
        assert_eq!(run(&mut hooks), Some(1));
    }

    #[test]
    fn a_failed_run_is_repeated_after_a_while_and_not_for_ever() {
        let mut hooks = hooks(&["reload"]);
        let mut dice = Dice::new(1);
        hooks.file_changed(0);
        for _ in 0..2 {
            let until = hooks.timeout(|| false).unwrap_or(at(0));
            let command = hooks.advance(|| false, until);
            assert!(command.is_some());
            let failed = hooks.ended(0, false, &mut dice, until).unwrap();
            assert!(failed.again.is_some());
            assert!(hooks.advance(|| false, until).is_none());
        }
        let until = hooks.timeout(|| false).unwrap();
        assert!(hooks.advance(|| false, until).is_some());

        let failed = hooks.ended(0, false, &mut dice, until).unwrap();

        assert!(failed.again.is_none());
        assert_eq!(hooks.timeout(|| false), None);
        assert!(!hooks.is_busy());
    }

    fn hooks(programs: &[&str]) -> Hooks {
        let hooks = programs.iter().map(|program| {
            Some(Hook::Run {
                program: Program::Direct(vec![(*program).to_owned()]),
                timeout: Duration::from_secs(30),
            })
        });
        Hooks::new(hooks.collect(), 2, Backoff::request())
    }

    /// The file of the run that starts, if one does.
    fn run(hooks: &mut Hooks) -> Option<usize> {
        let command = hooks.advance(|| false, at(0))?;
        let Command::RunHook { file, .. } = command else {
            panic!("{command:?}");
        };
        Some(file)
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(seconds))
    }
}
