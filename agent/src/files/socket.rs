//! The file of a unix socket.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use planescape_agent_contract::{FileMode, Owner};

use super::write::give;

/// The file of a socket that we listen at; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    /// Removes the socket that an earlier life left at this place.
    pub(crate) fn make_room(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(Self(path.to_owned())),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Lets only these use the socket.
    pub(crate) fn restrict(&self, mode: FileMode, owner: &Owner) -> io::Result<()> {
        give(&self.0, owner)?;
        fs::set_permissions(&self.0, PermissionsExt::from_mode(mode.bits()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next life removes it too.
        let _ = fs::remove_file(&self.0);
    }
}
