//! The bits that the process's umask takes off the mode of a new file.

use std::sync::OnceLock;

use planescape_agent_contract::FileMode;
use rustix::fs::Mode;
use rustix::process::umask;

static TAKEN_OFF: OnceLock<Mode> = OnceLock::new();

/// To be called once, before any file is made: the umask can be read only by setting it.
pub(crate) fn note_umask() {
    let taken_off = umask(Mode::RWXG | Mode::RWXO);
    umask(taken_off);
    // Nothing else sets it, so this does not fail.
    let _ = TAKEN_OFF.set(taken_off);
}

/// The mode of a file that is made with this mode.
pub(crate) fn within_umask(mode: FileMode) -> FileMode {
    let taken_off = TAKEN_OFF.get().map_or(0, |mask| mask.as_raw_mode());
    mode.without(taken_off)
}
