//! The status of the agent: over the ready socket as JSON, and as metrics.

use std::fmt::Write as _;
use std::time::Duration;

use planescape_agent_contract::Target;
use planescape_agent_core::{Phase, Status};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// How many questions may wait.
const WAITING: usize = 16;

/// Asks the agent.
#[derive(Clone, Debug)]
pub(crate) struct Asker(mpsc::Sender<Question>);

/// Questions come in here.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Question>);

/// One question.
#[derive(Debug)]
pub(crate) struct Question(oneshot::Sender<Status>);

pub(crate) fn questions() -> (Asker, Questions) {
    let (asker, questions) = mpsc::channel(WAITING);
    (Asker(asker), Questions(questions))
}

impl Asker {
    /// `None` if the agent is about to end.
    pub(crate) async fn ask(&self) -> Option<Status> {
        let (question, answer) = oneshot::channel();
        self.0.send(Question(question)).await.ok()?;
        answer.await.ok()
    }
}

impl Questions {
    pub(crate) async fn next(&mut self) -> Option<Question> {
        self.0.recv().await
    }
}

impl Question {
    pub(crate) fn answer(self, status: Status) {
        // A client that went away needs no answer.
        let _ = self.0.send(status);
    }
}

/// The status for people and programs, with times in whole seconds.
pub(crate) fn json(status: &Status) -> Value {
    let texts = status.texts.iter().map(|text| {
        let (kind, name) = named(&text.target);
        json!({
            kind: name,
            "age_seconds": text.age.map(|age| age.as_secs()),
            "expires_in_seconds": text.expires_in.map(|left| left.as_secs()),
            "has_expired": text.has_expired,
        })
    });
    json!({
        "phase": phase(status.phase),
        "token": status.token.as_ref().map(|token| json!({
            "accessor": token.accessor,
            "expires_in_seconds": token.expires_in.map(|left| left.as_secs()),
        })),
        "templates": texts.collect::<Vec<_>>(),
        "trouble": status.trouble,
    })
}

/// Gauges in the text form of Prometheus.
pub(crate) fn metrics(status: &Status) -> String {
    let mut text = String::new();
    let token = status.token.as_ref().and_then(|token| token.expires_in);
    let token: Vec<_> = token
        .map(|left| (String::new(), left))
        .into_iter()
        .collect();
    gauge(
        &mut text,
        "planescape_agent_token_expires_seconds",
        "Seconds until the token ends unless it is renewed.",
        &token,
    );
    let of = |time: fn(&planescape_agent_core::TextStatus) -> Option<Duration>| {
        let texts = status.texts.iter();
        let timed = texts.filter_map(|text| {
            let (kind, name) = named(&text.target);
            Some((format!("{{{kind}={}}}", Value::from(name)), time(text)?))
        });
        timed.collect::<Vec<_>>()
    };
    gauge(
        &mut text,
        "planescape_agent_template_age_seconds",
        "Seconds since a template was rendered last.",
        &of(|text| text.age),
    );
    gauge(
        &mut text,
        "planescape_agent_template_expires_seconds",
        "Seconds until the first lease in a template ends unless it is renewed; 0 where it has ended.",
        &of(|text| text.expires_in),
    );
    text
}

fn gauge(text: &mut String, name: &str, help: &str, values: &[(String, Duration)]) {
    if values.is_empty() {
        return;
    }
    // Writing into memory cannot fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {}", value.as_secs());
    }
}

fn named(target: &Target) -> (&'static str, &str) {
    match target {
        Target::File(path) => ("path", path),
        Target::Variable(name) => ("variable", name),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_core::{TextStatus, TokenStatus};

    use super::*;

    fn status() -> Status {
        let text = |target, expires_in: Option<u64>| TextStatus {
            target,
            age: Some(Duration::from_millis(12_900)),
            expires_in: expires_in.map(Duration::from_secs),
            has_expired: expires_in == Some(0),
        };
        Status {
            phase: Phase::Ready,
            token: Some(TokenStatus {
                accessor: Some("a-1".to_owned()),
                expires_in: Some(Duration::from_secs(3599)),
            }),
            texts: vec![
                text(Target::File("/vault/secrets/\"db\"".to_owned()), Some(0)),
                text(Target::Variable("USER".to_owned()), None),
            ],
            trouble: None,
        }
    }

    #[test]
    fn programs_read_it_as_json() {
        assert_eq!(
            json(&status()),
            json!({
                "phase": "ready",
                "token": {"accessor": "a-1", "expires_in_seconds": 3599},
                "templates": [
                    {"path": "/vault/secrets/\"db\"", "age_seconds": 12, "expires_in_seconds": 0,
                     "has_expired": true},
                    {"variable": "USER", "age_seconds": 12, "expires_in_seconds": null,
                     "has_expired": false},
                ],
                "trouble": null,
            })
        );
    }

    #[test]
    fn prometheus_reads_it_as_gauges() {
        let text = metrics(&status());
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            values,
            [
                "planescape_agent_token_expires_seconds 3599",
                r#"planescape_agent_template_age_seconds{path="/vault/secrets/\"db\""} 12"#,
                r#"planescape_agent_template_age_seconds{variable="USER"} 12"#,
                r#"planescape_agent_template_expires_seconds{path="/vault/secrets/\"db\""} 0"#,
            ]
        );
    }
}
