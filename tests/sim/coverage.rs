//! Events by phase of the agent's life: what happened to it, and what it did.

use std::collections::BTreeMap;
use std::fmt;

use planescape_agent_core::{Command, Failure, Input};
use planescape_templates::Answer;
use planescape_vault::Error;

use crate::vault::is_of_us;

const PHASES: [&str; 3] = ["starting", "ready", "stopping"];

/// One mark for each phase: `+` where it has to be met, `-` where it must not be, `.` where it may be.
type Cells = &'static str;

/// An agent whose token is wrapped for somebody else revokes nothing, and ends at once.
const INPUTS: [(&str, Cells); 29] = [
    ("Timeout", "+++"),
    ("LoggedIn", "+++"),
    ("LoggedInWrapped", "++-"),
    ("LoginFailed", "+++"),
    ("Remembered", "+++"),
    ("NotRemembered", "+++"),
    ("TokenRenewed", "+++"),
    ("TokenLookedUp", "+++"),
    ("TokenRefused", "+++"),
    ("Granted", "+++"),
    ("MountFound", "+++"),
    ("Answered", "+++"),
    ("AnsweredByOrphan", "+++"),
    ("AnswerFailed", "+++"),
    ("FileRead", "+++"),
    ("FileChecked", "+++"),
    ("LeaseRenewed", "+++"),
    ("MadeRenewed", "+++"),
    ("Rendered", "+++"),
    ("Written", "+++"),
    ("HookEnded", "+++"),
    ("ChildEnded", "+++"),
    ("NewCredentials", "+++"),
    ("Reloaded", "+++"),
    ("Terminate", "+++"),
    ("Quit", "+++"),
    ("Revoked", "--+"),
    ("LeaseRevoked", "+++"),
    // It comes with any input that fails.
    ("Unresolved", "+++"),
];

/// Commands, by the phase in which they were decided.
const COMMANDS: [(&str, Cells); 25] = [
    ("LogIn", "++-"),
    ("Remember", "+++"),
    ("Forget", "+++"),
    ("Offer", "++-"),
    ("RenewToken", "++-"),
    ("LookUpToken", "++-"),
    ("FindMount", "++-"),
    ("Read", "++-"),
    ("ReadFile", "++-"),
    ("CheckFile", "++-"),
    ("RenewLease", "++-"),
    ("RenewMade", "++-"),
    ("Render", "++-"),
    ("Write", "++-"),
    ("Exchange", "++-"),
    ("RunHook", "++-"),
    ("StartChild", "++-"),
    ("SignalChild", "+++"),
    ("AnnounceReady", "+--"),
    ("Report", "++-"),
    ("Revoke", "--+"),
    ("RevokeLease", "+++"),
    ("ForgetAll", "--+"),
    ("Log", "+++"),
    ("Exit", "--+"),
];

/// Its name in the table.
pub(crate) fn name(input: &Input) -> &'static str {
    match input {
        Input::Timeout => "Timeout",
        Input::LoggedIn { result: Ok(_), .. } => "LoggedIn",
        Input::LoggedInWrapped { result: Ok(_), .. } => "LoggedInWrapped",
        Input::LoggedIn { .. } | Input::LoggedInWrapped { .. } => "LoginFailed",
        Input::Remembered { result: Ok(()), .. } => "Remembered",
        Input::Remembered { .. } => "NotRemembered",
        Input::TokenRenewed { .. } => "TokenRenewed",
        Input::TokenLookedUp { .. } => "TokenLookedUp",
        Input::TokenRefused { .. } => "TokenRefused",
        Input::Granted => "Granted",
        Input::MountFound { .. } => "MountFound",
        Input::Answered { result: Ok(it), .. } if carries_orphan(it) => "AnsweredByOrphan",
        Input::Answered { result: Ok(_), .. } => "Answered",
        Input::Answered { .. } => "AnswerFailed",
        Input::FileRead { .. } => "FileRead",
        Input::FileChecked { .. } => "FileChecked",
        Input::LeaseRenewed { request, .. } if request.path().starts_with("auth/") => "MadeRenewed",
        Input::LeaseRenewed { .. } => "LeaseRenewed",
        Input::Rendered { .. } => "Rendered",
        Input::Written { .. } => "Written",
        Input::HookEnded { .. } => "HookEnded",
        Input::ChildEnded(_) => "ChildEnded",
        Input::NewCredentials => "NewCredentials",
        Input::Reloaded(_) => "Reloaded",
        Input::Terminate => "Terminate",
        Input::Quit => "Quit",
        Input::Revoked { .. } => "Revoked",
        Input::LeaseRevoked { .. } => "LeaseRevoked",
    }
}

/// The name of a command in the table.
pub(crate) fn command_name(command: &Command) -> &'static str {
    match command {
        Command::LogIn { .. } => "LogIn",
        Command::Remember { .. } => "Remember",
        Command::Forget { .. } => "Forget",
        Command::Offer { .. } => "Offer",
        Command::RenewToken { .. } => "RenewToken",
        Command::LookUpToken { .. } => "LookUpToken",
        Command::FindMount { .. } => "FindMount",
        Command::Read { .. } => "Read",
        Command::ReadFile { .. } => "ReadFile",
        Command::CheckFile { .. } => "CheckFile",
        Command::RenewLease { .. } => "RenewLease",
        Command::RenewMade(_) => "RenewMade",
        Command::Render { .. } => "Render",
        Command::Write { .. } => "Write",
        Command::Exchange { .. } => "Exchange",
        Command::RunHook { .. } => "RunHook",
        Command::StartChild { .. } => "StartChild",
        Command::SignalChild { .. } => "SignalChild",
        Command::AnnounceReady => "AnnounceReady",
        Command::Report(_) => "Report",
        Command::Revoke { .. } => "Revoke",
        Command::RevokeLease { .. } => "RevokeLease",
        Command::ForgetAll { .. } => "ForgetAll",
        Command::Log(_) => "Log",
        Command::Exit { .. } => "Exit",
    }
}

fn carries_orphan(answer: &Answer) -> bool {
    matches!(answer, Answer::Secret(Some(secret)) if secret.auth().is_some_and(is_of_us))
}

/// Whether no name server said where Vault is.
pub(crate) fn is_unresolved(input: &Input) -> bool {
    let failure = match input {
        Input::LoggedIn { result, .. } => result.as_ref().err(),
        Input::LoggedInWrapped { result, .. } => result.as_ref().err(),
        Input::TokenRenewed { result, .. } | Input::LeaseRenewed { result, .. } => {
            result.as_ref().err()
        }
        Input::MountFound { result, .. } => result.as_ref().err(),
        Input::Answered { result, .. } => result.as_ref().err(),
        Input::TokenLookedUp { result, .. }
        | Input::Revoked { result, .. }
        | Input::LeaseRevoked { result, .. } => result.as_ref().err(),
        _ => None,
    };
    matches!(failure, Some(Failure::Vault(Error::Unresolved { .. })))
}

/// Counts by name and phase.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<(&'static str, &'static str), u64>);

impl Coverage {
    pub(crate) fn count(&mut self, name: &'static str, phase: &'static str) {
        *self.0.entry((name, phase)).or_default() += 1;
    }

    /// Events that were never met and have to be, that were met and must not be, or that stand in no table.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut expected = BTreeMap::new();
        for (name, cells) in rows() {
            let cells = PHASES.into_iter().zip(cells.chars());
            expected.extend(cells.map(|(phase, cell)| ((name, phase), cell)));
        }
        let missing = expected.iter();
        let missing =
            missing.filter(|(cell, wanted)| **wanted == '+' && !self.0.contains_key(*cell));
        let missing = missing.map(|((name, phase), _)| format!("never {phase}: {name}"));
        let surplus = self.0.keys();
        let surplus =
            surplus.filter(|cell| expected.get(*cell).is_none_or(|wanted| *wanted == '-'));
        let surplus = surplus.map(|(name, phase)| format!("while {phase}: {name}"));
        missing.chain(surplus).collect()
    }
}

fn rows() -> impl Iterator<Item = (&'static str, Cells)> {
    INPUTS.into_iter().chain(COMMANDS)
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([starting, ready, stopping], name) = (PHASES, "");
        writeln!(f, "{name:<16}{starting:>12}{ready:>12}{stopping:>12}")?;
        for (name, _) in rows() {
            let [starting, ready, stopping] =
                PHASES.map(|phase| self.0.get(&(name, phase)).copied().unwrap_or(0));
            writeln!(f, "{name:<16}{starting:>12}{ready:>12}{stopping:>12}")?;
        }
        Ok(())
    }
}

#[test]
fn what_is_not_met_is_missed_and_what_must_not_be_is_seen() {
    let mut coverage = Coverage::default();
    for (name, cells) in rows() {
        let met = PHASES.into_iter().zip(cells.chars());
        met.filter(|(_, cell)| *cell == '+')
            .for_each(|(phase, _)| coverage.count(name, phase));
    }
    assert_eq!(coverage.wrong(), [""; 0]);

    coverage.0.remove(&("RenewMade", "ready"));
    coverage.count("Revoke", "ready");
    coverage.count("Sleep", "ready");

    let wrong = [
        "never ready: RenewMade",
        "while ready: Revoke",
        "while ready: Sleep",
    ];
    assert_eq!(coverage.wrong(), wrong);
}
