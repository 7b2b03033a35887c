//! The unix socket on which others wait for the agent.
//!
//! Whoever connects gets one line once every file is rendered. A file that says so could be left
//! by an earlier life; a socket without its process refuses the connection.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::watch;

const READY: &str = "ready\n";
const RETRY: Duration = Duration::from_millis(10);

/// Answers everybody who connects, as soon as `announce` is called.
#[derive(Debug)]
pub(crate) struct Door {
    is_ready: watch::Sender<bool>,
    path: Option<String>,
}

impl Door {
    /// Opens the socket, if one is configured; needs a runtime.
    pub(crate) fn open(path: Option<String>) -> io::Result<Self> {
        let is_ready = watch::Sender::new(false);
        if let Some(path) = &path {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(path)?;
            tokio::spawn(serve(listener, is_ready.subscribe()));
        }
        Ok(Self { is_ready, path })
    }

    pub(crate) fn announce(&self) {
        self.is_ready.send_replace(true);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The next life removes it too.
            let _ = fs::remove_file(path);
        }
    }
}

async fn serve(listener: UnixListener, is_ready: watch::Receiver<bool>) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let mut is_ready = is_ready.clone();
                tokio::spawn(async move {
                    if is_ready.wait_for(|ready| *ready).await.is_ok() {
                        // Who went away does not wait any more.
                        let _ = stream.write_all(READY.as_bytes()).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the ready socket");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Returns once the agent says that every file is rendered; waits for an agent that is not there
/// yet, too.
pub(crate) fn wait_for(path: &str) {
    loop {
        let mut answer = String::new();
        let read =
            UnixStream::connect(path).and_then(|mut stream| stream.read_to_string(&mut answer));
        if read.is_ok() && answer == READY {
            return;
        }
        std::thread::sleep(RETRY);
    }
}
