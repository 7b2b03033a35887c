//! How the agent logs.

use std::time::Duration;

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    #[default]
    Info,
    /// A person should look at it today.
    Warn,
    /// Why the agent stops.
    Error,
}

impl LogLevel {
    /// The level of this name, in any case.
    ///
    /// # Errors
    /// The name is unknown; the error lists the known ones.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name.trim().to_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "" | "info" | "notice" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "err" | "error" => Ok(Self::Error),
            _ => Err(format!(
                "unknown log level: {name}: choose one of trace, debug, info, warn, error"
            )),
        }
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Standard,
    /// For machines.
    Json,
}

impl LogFormat {
    /// The format of this name, in any case.
    ///
    /// # Errors
    /// The name is unknown; the error lists the known ones.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name.trim().to_lowercase().as_str() {
            "" | "standard" => Ok(Self::Standard),
            "json" => Ok(Self::Json),
            _ => Err(format!(
                "unknown log format: {name}: choose one of standard, json"
            )),
        }
    }
}

/// The settings of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// A file that gets the lines, too.
    pub file: Option<LogFile>,
}

/// A file that gets the lines, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: String,
    /// After so many bytes the file gets a name with the time, and a new file is begun; 0: never.
    pub rotate_bytes: u64,
    /// The same after so long.
    pub rotate_duration: Duration,
    /// How many rotated files stay.
    pub keep: Keep,
}

impl LogFile {
    pub(crate) const DEFAULT_DURATION: Duration = Duration::from_secs(24 * 3600);
    /// For a path that names a folder: as with `vault agent`.
    pub(crate) const DEFAULT_NAME: &str = "vault.log";
}

/// How many rotated files stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of them.
    All,
    /// The newest.
    Newest(usize),
}

impl Keep {
    /// 0: all, below: none.
    #[must_use]
    pub fn of(count: i64) -> Self {
        match usize::try_from(count) {
            Ok(0) => Self::All,
            Ok(count) => Self::Newest(count),
            Err(_) => Self::Newest(0),
        }
    }
}

/// The settings of the log from flags and environment; each wins over the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOverrides {
    /// `-log-level`, `VAULT_LOG_LEVEL`.
    pub level: Option<LogLevel>,
    /// `-log-format`, `VAULT_LOG_FORMAT`.
    pub format: Option<LogFormat>,
    /// `-log-file`.
    pub file: Option<String>,
    /// `-log-rotate-bytes`.
    pub rotate_bytes: Option<u64>,
    /// `-log-rotate-duration`.
    pub rotate_duration: Option<Duration>,
    /// `-log-rotate-max-files`.
    pub rotate_max_files: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_formats_have_the_names_that_vault_agent_takes() {
        for (names, level) in [
            (&["trace", " Trace "][..], LogLevel::Trace),
            (&["debug", "DEBUG"], LogLevel::Debug),
            (&["", "info", "notice"], LogLevel::Info),
            (&["warn", "warning"], LogLevel::Warn),
            (&["err", "error"], LogLevel::Error),
        ] {
            for name in names {
                assert_eq!(LogLevel::parse(name), Ok(level), "{name}");
            }
        }
        for (names, format) in [
            (&["", "standard"][..], LogFormat::Standard),
            (&["json", " JSON"], LogFormat::Json),
        ] {
            for name in names {
                assert_eq!(LogFormat::parse(name), Ok(format), "{name}");
            }
        }
        assert!(LogLevel::parse("loud").is_err() && LogFormat::parse("xml").is_err());
    }

    #[test]
    fn all_files_are_kept_some_or_none() {
        let kept = [0, 3, -1].map(Keep::of);

        assert_eq!(kept, [Keep::All, Keep::Newest(3), Keep::Newest(0)]);
    }
}
