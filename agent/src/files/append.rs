//! A file that a program's output goes to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// Opened to add to its end; made with mode 0644 where there is none.
pub(crate) fn append(path: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path);
    file.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}
