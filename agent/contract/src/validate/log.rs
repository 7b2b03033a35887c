//! The keys about the log, which stand at the top.

use crate::log::{Keep, Log, LogFile, LogFormat, LogLevel, LogOverrides};
use crate::reader::Reader;

pub(super) fn read(root: &Reader<'_>, overrides: &LogOverrides) -> Log {
    let level = named(root, "log_level", LogLevel::parse);
    let format = named(root, "log_format", LogFormat::parse);
    Log {
        level: overrides.level.or(level).unwrap_or_default(),
        format: overrides.format.or(format).unwrap_or_default(),
        file: file(root, overrides),
    }
}

fn named<T>(
    root: &Reader<'_>,
    key: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = parse(&root.string(key)?);
    parsed.map_err(|message| root.problem(key, message)).ok()
}

fn file(root: &Reader<'_>, overrides: &LogOverrides) -> Option<LogFile> {
    let bytes = root.integer("log_rotate_bytes");
    let duration = root.duration("log_rotate_duration");
    let count = root.integer("log_rotate_max_files");
    let written = root.string("log_file");
    let mut path = overrides.file.clone().or(written)?;
    if path.contains(['*', '?', '[']) {
        root.problem("log_file", "is a pattern: name one file");
    }
    if path.ends_with('/') {
        path.push_str(LogFile::DEFAULT_NAME);
    }
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let duration = overrides.rotate_duration.or(duration);
    Some(LogFile {
        path,
        rotate_bytes: overrides.rotate_bytes.or(bytes).unwrap_or(0),
        rotate_duration: duration
            .filter(|duration| !duration.is_zero())
            .unwrap_or(LogFile::DEFAULT_DURATION),
        keep: Keep::of(overrides.rotate_max_files.or(count).unwrap_or(0)),
    })
}
