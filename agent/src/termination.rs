//! The file in which the pod shows the agent's identity, and why it ended.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use planescape_agent_contract::Report;
use rustix::fs::{CWD, Mode, OFlags, openat};

/// The kubelet shows no more than this many bytes.
const LONGEST: usize = 4096;
const LONGEST_TEXT: usize = 1024;
/// An agent that is killed again and again leaves a token each time; all accessors of Vault's length fit.
const MOST_TOKENS: usize = 120;
const MOST_WARNINGS: usize = 8;
const MOST_READS: usize = 32;
const LONGEST_ITEM: usize = 160;

/// The termination log, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Termination(Option<String>);

impl Termination {
    pub(crate) fn new(path: Option<String>) -> Self {
        Self(path)
    }

    /// The file of a pod, if the configuration that names the file could not be read.
    pub(crate) fn in_a_pod() -> Self {
        let path = "/dev/termination-log";
        Self(Some(path.to_owned()).filter(|path| Path::new(path).exists()))
    }

    /// Writes the report. A failure is only logged.
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
    cut(&mut report);
    let mut text = serde_json::to_string(&report)?;
    while text.len() > LONGEST && leave_out(&mut report) {
        text = serde_json::to_string(&report)?;
    }
    Ok(text)
}

fn cut(report: &mut Report) {
    let texts = [&mut report.message, &mut report.role, &mut report.path];
    for text in texts.into_iter().flatten() {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    for (items, most) in [
        (&mut report.unrevoked, MOST_TOKENS),
        (&mut report.warnings, MOST_WARNINGS),
    ] {
        items.truncate(most);
        for item in items {
            item.truncate(item.floor_char_boundary(LONGEST_ITEM));
        }
    }
    let leases = report.leases.len();
    // Half an id would be another id.
    report.leases.retain(|id| id.len() <= LONGEST_ITEM);
    report.leases.truncate(MOST_READS);
    report.more_leases += leases - report.leases.len();
    report.more_reads += report.reads.len().saturating_sub(MOST_READS);
    report.reads.truncate(MOST_READS);
    for read in &mut report.reads {
        let texts = [
            Some(&mut read.path),
            read.user.as_mut(),
            read.request.as_mut(),
        ];
        for text in texts.into_iter().flatten() {
            text.truncate(text.floor_char_boundary(LONGEST_ITEM));
        }
    }
}

/// Leaves out the part that is missed least, and says whether there was one. First go parts that Vault's audit log has,
/// too, then names of users, reads, and texts for a person. The tokens that may live go last.
fn leave_out(report: &mut Report) -> bool {
    let reads = &mut report.reads;
    if let Some(read) = reads.iter_mut().rfind(|read| read.request.is_some()) {
        read.request = None;
    } else if let Some(read) = reads.iter_mut().rfind(|read| read.user.is_some()) {
        read.user = None;
    } else if reads.pop().is_some() {
        report.more_reads += 1;
    } else if report.leases.pop().is_some() {
        report.more_leases += 1;
    } else {
        return report.warnings.pop().is_some()
            || report.path.take().is_some()
            || report.message.take().is_some()
            || report.role.take().is_some()
            || report.login_request.take().is_some()
            || report.unrevoked.pop().is_some();
    }
    true
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
    use planescape_agent_contract::{Access, Phase, Reason};

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
            let read = Access {
                path: letter.repeat(5000),
                request: Some(letter.repeat(5000)),
                ..Access::default()
            };
            let report = Report {
                message: Some(letter.repeat(9000)),
                path: Some(letter.repeat(9000)),
                role: Some(letter.repeat(9000)),
                accessor: Some("accessor".to_owned()),
                unrevoked: texts.clone(),
                warnings: texts.clone(),
                reads: vec![read; 600],
                ..Report::new(Phase::Read, Reason::PermissionDenied)
            };

            let text = fitting(report).unwrap();

            assert!(text.len() <= LONGEST, "{}", text.len());
            assert!(serde_json::from_str::<Report>(&text).is_ok());
        }
    }

    #[test]
    fn no_token_of_a_hundred_lives_is_left_out() {
        let accessors: Vec<String> = (0..100).map(|life| format!("{life:024}")).collect();
        let read = Access {
            path: "database/creds/readonly".to_owned(),
            ..Access::default()
        };
        let report = Report {
            unrevoked: accessors.clone(),
            reads: vec![read; 20],
            ..Report::new(Phase::Running, Reason::LoggedIn)
        };

        let text = fitting(report).unwrap();

        assert!(text.len() <= LONGEST, "{}", text.len());
        let told: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(told.unrevoked, accessors);
    }

    #[test]
    fn an_id_of_a_lease_is_whole_or_counted() {
        let with_leases = |ids: Vec<String>| {
            let report = Report {
                leases: ids,
                reads: vec![Access::default(); 20],
                ..Report::new(Phase::Done, Reason::Revoked)
            };
            let text = fitting(report).unwrap();
            serde_json::from_str::<Report>(&text).unwrap()
        };
        let id = |number: usize| format!("database/creds/reader-{number}/{}", "x".repeat(100));

        let few = with_leases(vec![id(1), "y".repeat(200)]);
        assert_eq!((few.leases, few.more_leases), (vec![id(1)], 1));
        let many = with_leases((0..100).map(id).collect());
        assert_eq!(many.leases.len() + many.more_leases, 100);
        assert_eq!(many.leases[..5], [id(0), id(1), id(2), id(3), id(4)]);
    }

    #[test]
    fn what_is_missed_least_is_left_out_first() {
        let read = |number: usize| Access {
            path: format!("database/creds/{number}{}", "x".repeat(60)),
            lease: Some("0123456789abcdef".to_owned()),
            ttl_seconds: Some(3600),
            user: Some(format!("v-kubernetes-reader-{number}")),
            request: Some("8b9a3c0e-1111-2222-3333-444455556666".to_owned()),
            ..Access::default()
        };
        let with_reads = |count: usize| {
            let report = Report {
                unrevoked: vec!["accessor".to_owned()],
                warnings: vec!["a place".to_owned()],
                reads: (0..count).map(read).collect(),
                ..Report::new(Phase::Running, Reason::LoggedIn)
            };
            let text = fitting(report).unwrap();
            assert!(text.len() <= LONGEST);
            serde_json::from_str::<Report>(&text).unwrap()
        };

        let whole = with_reads(8);
        assert!(whole.reads.iter().all(|read| read.request.is_some()));
        let shorter = with_reads(20);
        assert!(shorter.reads[0].request.is_some() && shorter.reads[19].request.is_none());
        assert!(shorter.reads.iter().all(|read| read.user.is_some()));
        let shortest = with_reads(100);
        assert_eq!(shortest.reads.len() + shortest.more_reads, 100);
        assert!(shortest.reads.iter().all(|read| read.user.is_none()));
        assert_eq!(shortest.unrevoked, ["accessor"]);
        assert_eq!(shortest.warnings, ["a place"]);
    }
}
