//! Tells systemd how far the agent is, if a unit of `Type=notify` started it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// How far the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Reloading,
    Stopping,
}

/// Tells systemd the state. If nobody listens, or not any more, nothing happens.
pub(crate) fn notify(state: State) {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else {
        return;
    };
    let word = match state {
        State::Ready => "READY=1",
        State::Reloading => "RELOADING=1",
        State::Stopping => "STOPPING=1",
    };
    if let Err(error) = send(&path, word) {
        tracing::debug!(%path, %error, "cannot notify systemd");
    }
}

/// A path, or a name without a place in the file system, which starts with `@`.
fn send(path: &str, word: &str) -> std::io::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(word.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_arrives_at_a_path_and_at_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("planescape-{}", std::process::id());
        let named = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.display().to_string(),
            ),
            (UnixDatagram::bind_addr(&named).unwrap(), format!("@{name}")),
        ] {
            send(&address, "READY=1").unwrap();

            let mut word = [0; 16];
            let length = socket.recv(&mut word).unwrap();
            assert_eq!(&word[..length], b"READY=1");
        }
        assert!(send("/no/such/socket", "READY=1").is_err());
    }
}
