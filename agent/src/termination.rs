//! The file in which the pod shows who the agent is, and why it ended.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use planescape_agent_contract::Report;
use rustix::fs::{CWD, Mode, OFlags, openat};

/// The kubelet shows no more than this many bytes.
const LONGEST: usize = 4096;
const LONGEST_TEXT: usize = 1024;
const MOST_ITEMS: usize = 8;
const LONGEST_ITEM: usize = 160;

/// The termination log, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Termination(Option<String>);

impl Termination {
    pub(crate) fn new(path: Option<String>) -> Self {
        Self(path)
    }

    /// The configuration, which names the file, could not be read: a pod has it in a known place.
    pub(crate) fn in_a_pod() -> Self {
        let path = "/dev/termination-log";
        Self(Some(path.to_owned()).filter(|path| Path::new(path).exists()))
    }

    /// Writes the report; that it could not be written is only logged.
    pub(crate) fn write(&self, report: &Report) {
        let Some(path) = &self.0 else { return };
        let text = fitting(report.clone());
        if let Err(error) = text.and_then(|text| replace(path, text.as_bytes())) {
            tracing::warn!(%path, %error, "cannot write the termination message");
        }
    }
}

/// The report's JSON, shortened until the kubelet shows all of it.
fn fitting(mut report: Report) -> io::Result<String> {
    let texts = [&mut report.message, &mut report.role, &mut report.path];
    for text in texts.into_iter().flatten() {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    for items in [&mut report.unrevoked, &mut report.warnings] {
        items.truncate(MOST_ITEMS);
        for item in items {
            item.truncate(item.floor_char_boundary(LONGEST_ITEM));
        }
    }
    let text = serde_json::to_string(&report)?;
    if text.len() <= LONGEST {
        return Ok(text);
    }
    // Texts full of characters that JSON writes in six.
    report = Report {
        role: report.role.map(|role| role.chars().take(100).collect()),
        accessor: report.accessor,
        unrevoked: report.unrevoked,
        status: report.status,
        ..Report::new(report.phase, report.reason)
    };
    Ok(serde_json::to_string(&report)?)
}

/// The file is a mount of its own in a pod, so that it cannot be renamed over.
fn replace(path: &str, text: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::from_raw_mode(0o644))?;
    let mut file = File::from(file);
    // The report of a killed agent must be whole: the longer one is cut after it is written over.
    file.write_all(text)?;
    match file.metadata()?.is_file() {
        true => file.set_len(text.len() as u64),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_contract::{Phase, Reason};

    use super::*;

    #[test]
    fn a_shorter_report_replaces_a_longer_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let termination = Termination::new(path.to_str().map(str::to_owned));
        let long = Report {
            message: Some("x".repeat(500)),
            ..Report::new(Phase::Running, Reason::LoggedIn)
        };

        termination.write(&long);
        termination.write(&Report::new(Phase::Done, Reason::Revoked));

        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, r#"{"phase":"done","reason":"Revoked"}"#);
    }

    #[test]
    fn a_report_fits_however_long_its_texts_are() {
        for letter in ["é", "\u{1}"] {
            let texts = vec![letter.repeat(5000); 100];
            let report = Report {
                message: Some(letter.repeat(9000)),
                path: Some(letter.repeat(9000)),
                role: Some("reader".to_owned()),
                accessor: Some("accessor".to_owned()),
                warnings: texts.clone(),
                ..Report::new(Phase::Read, Reason::PermissionDenied)
            };

            let text = fitting(report).unwrap();

            assert!(text.len() <= LONGEST, "{}", text.len());
            assert!(serde_json::from_str::<Report>(&text).is_ok());
        }
    }
}
