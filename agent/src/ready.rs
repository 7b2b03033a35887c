//! The unix socket on which others wait for the agent.
//!
//! A client that says `wait` gets one line once every file is rendered; one that says `status` gets
//! the status. A file in place of the socket could be left by an earlier life; a socket without its
//! process refuses the connection.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::listener::Accepts;
use crate::status::{self, Asker};

const READY: &str = "ready\n";
/// The question of a client that waits until every file is rendered.
const WAIT: &str = "wait\n";
/// The question of a client that asks for the status.
const STATUS: &str = "status\n";
/// No question is longer, in bytes.
const LONGEST_QUESTION: u64 = 16;
/// How long a client may take to ask: a silent client keeps a place from others.
const ASKING: Duration = Duration::from_secs(2);
/// How long the agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(10);
/// How many may wait at once.
const WAITING: usize = 64;

/// Answers every client, as soon as `announce` is called.
#[derive(Debug)]
pub(crate) struct ReadySocket {
    is_ready: watch::Sender<bool>,
    path: Option<String>,
    /// Ends when this is dropped, and its clients with it.
    _serving: JoinSet<()>,
}

impl ReadySocket {
    /// Opens the socket, if one is configured; needs a runtime.
    pub(crate) fn open(path: Option<String>, asker: Asker) -> io::Result<Self> {
        let is_ready = watch::Sender::new(false);
        let mut serving = JoinSet::new();
        if let Some(path) = &path {
            let listener = bind(path).map_err(|error| {
                let text = format!("planescape.ready_socket: cannot listen at {path}: {error}");
                io::Error::new(error.kind(), text)
            })?;
            serving.spawn(serve(listener, is_ready.subscribe(), asker));
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

fn bind(path: &str) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => UnixListener::bind(path),
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

async fn serve(listener: UnixListener, is_ready: watch::Receiver<bool>, asker: Asker) {
    let mut waiting = JoinSet::new();
    let mut accepts = Accepts::default();
    loop {
        tokio::select! {
            accepted = listener.accept(), if waiting.len() < WAITING => match accepted {
                Ok((stream, _)) => {
                    accepts.succeeded();
                    waiting.spawn(answer(stream, is_ready.clone(), asker.clone()));
                }
                Err(error) => {
                    let (is_told, pause) = accepts.failed(Instant::now());
                    if is_told {
                        tracing::warn!(%error, "cannot accept on the ready socket");
                    }
                    tokio::time::sleep(pause).await;
                }
            },
            Some(_) = waiting.join_next() => {}
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, mut is_ready: watch::Receiver<bool>, asker: Asker) {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from.take(LONGEST_QUESTION));
    let mut question = String::new();
    let asked = tokio::time::timeout(ASKING, from.read_line(&mut question)).await;
    let answer = match asked {
        Ok(Ok(_)) if question == WAIT => {
            let is_ready = tokio::select! {
                // A client has no more to say: if there is something to read, it went away.
                _ = from.read_u8() => false,
                ready = is_ready.wait_for(|ready| *ready) => ready.is_ok(),
            };
            is_ready.then(|| READY.to_owned())
        }
        Ok(Ok(_)) if question == STATUS => {
            let status = asker.ask().await;
            status.map(|status| format!("{:#}\n", status::json(&status)))
        }
        Ok(_) | Err(_) => None,
    };
    if let Some(answer) = answer {
        // A client that went away does not wait any more.
        let _ = to.write_all(answer.as_bytes()).await;
    }
}

/// The status of the agent, as JSON.
///
/// # Errors
/// No agent listens there.
pub(crate) fn status_at(path: &str) -> io::Result<String> {
    ask(path, STATUS, Some(PATIENCE))
}

fn ask(path: &str, question: &str, patience: Option<Duration>) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(patience)?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Returns once the agent says that every file is rendered; waits for an agent that is not there
/// yet, too.
pub(crate) fn wait_for(path: &str) {
    loop {
        if ask(path, WAIT, None).is_ok_and(|answer| answer == READY) {
            return;
        }
        std::thread::sleep(RETRY);
    }
}

#[cfg(test)]
mod tests {
    use planescape_agent_core::{Phase, Status};

    use super::*;
    use crate::status::questions;

    #[tokio::test]
    async fn those_who_went_away_leave_room_for_others() {
        another_is_let_in(|path| {
            let mut gone = UnixStream::connect(path).unwrap();
            gone.write_all(WAIT.as_bytes()).unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn those_who_say_nothing_leave_room_for_others() {
        another_is_let_in(|path| UnixStream::connect(path).unwrap()).await;
    }

    /// Behind more clients than may wait. A client lasts as long as the value that `client` returns.
    async fn another_is_let_in<T>(client: impl Fn(&str) -> T) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket").display().to_string();
        let (asker, mut questions) = questions();
        let _socket = ReadySocket::open(Some(path.clone()), asker).unwrap();
        let _clients: Vec<T> = (0..=WAITING).map(|_| client(&path)).collect();

        let asking = tokio::task::spawn_blocking(move || status_at(&path));
        let question = tokio::time::timeout(PATIENCE, questions.next()).await;
        let question = question.expect("somebody is let in").unwrap();
        question.answer(Status {
            phase: Phase::Starting,
            token: None,
            texts: Vec::new(),
            trouble: None,
        });

        assert!(asking.await.unwrap().unwrap().contains("starting"));
    }
}
