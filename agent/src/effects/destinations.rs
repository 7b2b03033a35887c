//! The files that the configuration names.

use std::path::PathBuf;

use anyhow::Context;
use planescape_agent_contract::Config;

use super::sinks::Sink;
use super::text_file::TextFile;
use crate::files;

/// Removes unfinished files that a killed life left beside the files that this life writes.
pub(crate) fn remove_unfinished(config: &Config) {
    let templates: Vec<TextFile> = TextFile::all(config).collect();
    let sinks = sinks(config);
    let templates = templates.iter().map(TextFile::path);
    let sinks = sinks.iter().map(|sink| sink.target.path.as_path());
    files::remove_unfinished(templates.chain(sinks), &shared_folders(config));
}

/// Checks that every sink can be written: without a place for the token the login would be in vain.
pub(crate) fn check_sinks(config: &Config) -> anyhow::Result<()> {
    let shared = shared_folders(config);
    for sink in sinks(config) {
        files::check(&sink.target, &shared)
            .with_context(|| format!("error creating file sink: {}", sink.target.path.display()))?;
    }
    Ok(())
}

pub(super) fn sinks(config: &Config) -> Vec<Sink> {
    config.auth.sinks.iter().map(Sink::new).collect()
}

pub(super) fn shared_folders(config: &Config) -> Vec<PathBuf> {
    let folders = config.planescape.shared_folders.iter();
    folders.map(PathBuf::from).collect()
}
