//! Which inputs were met in which phase of the agent's life.

use std::collections::BTreeMap;
use std::fmt;

use planescape_agent_core::Input;

const INPUTS: [&str; 20] = [
    "Timeout",
    "LoggedIn",
    "LoginFailed",
    "Remembered",
    "TokenRenewed",
    "TokenLookedUp",
    "MountFound",
    "Answered",
    "AnswerFailed",
    "FileRead",
    "FileChecked",
    "LeaseRenewed",
    "Rendered",
    "Written",
    "HookEnded",
    "ChildEnded",
    "NewCredentials",
    "Reloaded",
    "Terminate",
    "Quit",
];

const PHASES: [&str; 3] = ["starting", "ready", "stopping"];

/// Its name in the table.
pub(crate) fn name(input: &Input) -> &'static str {
    match input {
        Input::Timeout => "Timeout",
        Input::LoggedIn { result: Ok(_), .. } => "LoggedIn",
        Input::LoggedIn { .. } => "LoginFailed",
        Input::Remembered { .. } => "Remembered",
        Input::TokenRenewed { .. } => "TokenRenewed",
        Input::TokenLookedUp { .. } => "TokenLookedUp",
        Input::MountFound { .. } => "MountFound",
        Input::Answered { result: Ok(_), .. } => "Answered",
        Input::Answered { .. } => "AnswerFailed",
        Input::FileRead { .. } => "FileRead",
        Input::FileChecked { .. } => "FileChecked",
        Input::LeaseRenewed { .. } => "LeaseRenewed",
        Input::LoggedInWrapped { .. } => "LoggedInWrapped",
        Input::NewCredentials => "NewCredentials",
        Input::TokenRefused { .. } => "TokenRefused",
        Input::Granted => "Granted",
        Input::HookEnded { .. } => "HookEnded",
        Input::ChildEnded(_) => "ChildEnded",
        Input::Rendered { .. } => "Rendered",
        Input::Written { .. } => "Written",
        Input::Revoked { .. } => "Revoked",
        Input::LeaseRevoked { .. } => "LeaseRevoked",
        Input::Reloaded(_) => "Reloaded",
        Input::Terminate => "Terminate",
        Input::Quit => "Quit",
    }
}

/// Counts by input and phase.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<(&'static str, &'static str), u64>);

impl Coverage {
    pub(crate) fn count(&mut self, input: &'static str, phase: &'static str) {
        *self.0.entry((input, phase)).or_default() += 1;
    }

    /// What was never met; a revocation is only met on the way out, and a program seldom ends before
    /// the sinks are written.
    pub(crate) fn unreached(&self) -> Vec<(&'static str, &'static str)> {
        let all = INPUTS
            .iter()
            .flat_map(|input| PHASES.map(|phase| (*input, phase)));
        all.chain([("Revoked", "stopping"), ("LeaseRevoked", "stopping")])
            .filter(|cell| *cell != ("ChildEnded", "starting"))
            .filter(|cell| !self.0.contains_key(cell))
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, input: &str, cells: [String; 3]| {
            writeln!(
                f,
                "{input:<16}{:>12}{:>12}{:>12}",
                cells[0], cells[1], cells[2]
            )
        };
        line(f, "input", PHASES.map(str::to_owned))?;
        for input in INPUTS.iter().chain(&["Revoked", "LeaseRevoked"]) {
            let count = |phase| self.0.get(&(*input, phase)).copied().unwrap_or(0);
            line(f, input, PHASES.map(|phase| count(phase).to_string()))?;
        }
        Ok(())
    }
}
