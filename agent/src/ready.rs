//! The unix socket on which others wait for the agent.
//!
//! A client that connects gets one line once every file is rendered. A file that says so could be left
//! by an earlier life; a socket without its process refuses the connection.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

const READY: &str = "ready\n";
const RETRY: Duration = Duration::from_millis(10);
/// How many may wait at once.
const WAITING: usize = 64;

/// Answers everybody who connects, as soon as `announce` is called.
#[derive(Debug)]
pub(crate) struct ReadySocket {
    is_ready: watch::Sender<bool>,
    path: Option<String>,
    /// Ends when this is dropped, and all who wait with it.
    _serving: JoinSet<()>,
}

impl ReadySocket {
    /// Opens the socket, if one is configured; needs a runtime.
    pub(crate) fn open(path: Option<String>) -> io::Result<Self> {
        let is_ready = watch::Sender::new(false);
        let mut serving = JoinSet::new();
        if let Some(path) = &path {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(path)?;
            serving.spawn(serve(listener, is_ready.subscribe()));
        }
        Ok(Self {
            is_ready,
            path,
            _serving: serving,
        })
    }

    pub(crate) fn announce(&self) {
        self.is_ready.send_replace(true);
    }
}

impl Drop for ReadySocket {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The next life removes it too.
            let _ = fs::remove_file(path);
        }
    }
}

async fn serve(listener: UnixListener, is_ready: watch::Receiver<bool>) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if waiting.len() < WAITING => match accepted {
                Ok((stream, _)) => {
                    waiting.spawn(answer(stream, is_ready.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the ready socket");
                    tokio::time::sleep(RETRY).await;
                }
            },
            Some(_) = waiting.join_next() => {}
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, mut is_ready: watch::Receiver<bool>) {
    let (mut from, mut to) = stream.into_split();
    let mut nothing = [0];
    let is_ready = tokio::select! {
        // A waiting process says nothing: when there is something to read, it went away.
        _ = from.read(&mut nothing) => false,
        ready = is_ready.wait_for(|ready| *ready) => ready.is_ok(),
    };
    if is_ready {
        // A client that went away does not wait any more.
        let _ = to.write_all(READY.as_bytes()).await;
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
