//! The file with the process id.

use std::fs;
use std::path::PathBuf;

use super::write::{Target, write};

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile(Option<PathBuf>);

impl PidFile {
    pub(crate) fn write(path: Option<&str>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let target = Target::private(path.into());
        write(&target, &[], std::process::id().to_string().as_bytes())
            .map_err(|error| anyhow::anyhow!("error storing PID: {path}: {error}"))?;
        Ok(Self(Some(target.path)))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove the pid file");
        }
    }
}
