//! The two forms of a line, as `vault agent` has them, so that readers of its log can read ours.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// `2026-01-02T15:04:05.000Z [INFO]  agent.sink.file: token written: path=/token`.
pub(super) struct Standard;

/// `{"@level":"info","@message":"token written","@module":"agent.sink.file",…}`.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Standard
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let parts = Parts::of(event);
        let level = match *event.metadata().level() {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let time = now(3);
        write!(out, "{time} {level} {}: {}", module(event), parts.message)?;
        let mut separator = ": ";
        for (name, value) in &parts.fields {
            write!(out, "{separator}{name}={}", quoted(value))?;
            separator = " ";
        }
        writeln!(out)
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let parts = Parts::of(event);
        let level = event.metadata().level().as_str().to_lowercase();
        let own = [
            ("@level", level),
            ("@message", parts.message),
            ("@module", module(event).to_owned()),
            ("@timestamp", now(6)),
        ];
        let own = own.map(|(name, value)| (name, serde_json::Value::String(value)));
        let fields = parts.fields.into_iter();
        let fields = fields.map(|(name, value)| (name, serde_json::Value::String(value)));
        let line: serde_json::Map<_, _> = own
            .into_iter()
            .chain(fields)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        writeln!(out, "{}", serde_json::Value::Object(line))
    }
}

/// The module of a line. Lines of other crates, and our lines without a module of their own, belong to `agent`.
fn module(event: &Event<'_>) -> &'static str {
    let target = event.metadata().target();
    if target.starts_with("agent.") {
        target
    } else {
        "agent"
    }
}

/// The time in the form of Go, in UTC.
pub(crate) fn timestamp() -> String {
    let now = now(0);
    let (date, time) = now.split_once('T').unwrap_or((&now, ""));
    format!("{date} {} +0000 UTC", time.trim_end_matches(['Z', '.']))
}

/// The time in UTC, with so many digits of a second.
fn now(digits: usize) -> String {
    let mut time = String::new();
    // Writing into memory cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match time.split_once('.') {
        Some((seconds, fraction)) => {
            format!("{seconds}.{}Z", fraction.get(..digits).unwrap_or("0"))
        }
        None => time,
    }
}

/// A value that would break a list of pairs stands in quotes.
fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty()
        && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=');
    if is_plain {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Parts {
    fn of(event: &Event<'_>) -> Self {
        let mut parts = Self::default();
        event.record(&mut parts);
        parts
    }

    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.add(field, text);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[test]
    fn a_line_has_a_time_a_level_a_module_and_pairs() {
        let line = logged(|lines| {
            let lines = tracing_subscriber::fmt()
                .with_writer(lines)
                .event_format(Standard);
            tracing::subscriber::with_default(lines.finish(), || {
                let error = "it is \"gone\"";
                tracing::warn!(target: "agent.sink.file", path = %"/a", error, "not written");
            });
        });

        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-01-02T15:04:05.000Z".len());
        assert_eq!(
            rest,
            "[WARN]  agent.sink.file: not written: path=/a error=\"it is \\\"gone\\\"\"\n"
        );
    }

    #[test]
    fn in_json_the_agents_own_keys_have_a_mark() {
        let line = logged(|lines| {
            let lines = tracing_subscriber::fmt()
                .with_writer(lines)
                .event_format(Json);
            tracing::subscriber::with_default(lines.finish(), || {
                tracing::info!(backoff = ?std::time::Duration::from_secs(1), "waiting");
            });
        });

        let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let time = line["@timestamp"].take();
        assert_eq!(
            time.as_str().unwrap().len(),
            "2026-01-02T15:04:05.000000Z".len()
        );
        assert_eq!(
            line,
            serde_json::json!({"@level": "info", "@message": "waiting", "@module": "agent",
                "@timestamp": null, "backoff": "1s"})
        );
    }

    fn logged(work: impl FnOnce(Lines)) -> String {
        let lines = Lines::default();
        work(lines.clone());
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}
