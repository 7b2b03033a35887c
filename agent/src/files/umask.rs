//! What the process's umask takes off the mode of a file that is opened.

use std::sync::OnceLock;

use planescape_agent_contract::FileMode;
use rustix::fs::Mode;
use rustix::process::umask;

static TAKEN_OFF: OnceLock<Mode> = OnceLock::new();

/// To be called once, before anybody makes a file: who wants to know the umask has to set it.
pub(crate) fn note_umask() {
    let taken_off = umask(Mode::RWXG | Mode::RWXO);
    umask(taken_off);
    // Nobody else calls this.
    let _ = TAKEN_OFF.set(taken_off);
}

/// The mode that a file has which somebody opens with this one.
pub(crate) fn within_umask(mode: FileMode) -> FileMode {
    let taken_off = TAKEN_OFF.get().map_or(0, |mask| mask.as_raw_mode());
    mode.without(taken_off)
}
