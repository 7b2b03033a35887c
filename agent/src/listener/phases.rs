//! The phase of a connection, and how long it may keep the agent waiting, as with `vault agent`.
//!
//! hyper's own limit would count the rest between two requests with the headers of the second, and costs each request a timer.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use crate::proxy::STREAM_PATIENCE;

/// How long the headers of a request may take; those of the first one from when the connection is there.
const HEADERS: Duration = Duration::from_secs(10);
/// How long a connection may rest between two requests: clients keep connections for some 90 s.
const REST: Duration = Duration::from_secs(300);
/// How long an answer may take to be sent: a client that leaves it unread would keep its place for ever.
const SENDING: Duration = STREAM_PATIENCE;

/// The phase of a connection, and since when it was seen to wait for its client there.
#[derive(Debug)]
enum Phase {
    /// Headers are on their way.
    Headers(Option<Instant>),
    /// A request is being answered.
    Answering,
    /// The answer is on its way to the client.
    Answered(Option<Instant>),
    /// The next request may come.
    Rest(Option<Instant>),
}

/// The shared phase, set by all parts of a connection.
#[derive(Clone, Debug)]
pub(super) struct Phases(Arc<Mutex<Phase>>);

impl Phases {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Headers(None))))
    }

    /// The stream of the connection.
    pub(super) fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched {
            stream,
            phases: self.clone(),
        }
    }

    /// The headers of a request are there.
    pub(super) fn asked(&self) {
        *self.lock() = Phase::Answering;
    }

    /// Its answer has begun; the client may take its time to read it.
    pub(super) fn answered(&self) {
        *self.lock() = Phase::Answered(None);
    }

    /// Bytes have come. While a request is answered they are its body.
    fn came(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Answered(_) | Phase::Rest(_)) {
            *phase = Phase::Headers(None);
        }
    }

    /// No bytes have come. hyper looks for more once an answer is sent, and not before.
    fn waits(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Answered(_)) {
            *phase = Phase::Rest(None);
        }
    }

    /// When the client has kept the agent waiting for too long.
    fn due(&self) -> Option<Instant> {
        let mut phase = self.lock();
        let (since, limit) = match &mut *phase {
            Phase::Headers(since) => (since, HEADERS),
            Phase::Answered(since) => (since, SENDING),
            Phase::Rest(since) => (since, REST),
            Phase::Answering => return None,
        };
        Some(*since.get_or_insert_with(Instant::now) + limit)
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives a connection to its end, or until its client is too late.
    pub(super) async fn follow<F: Future + Unpin>(&self, mut connection: F) -> Option<F::Output> {
        let mut alarm = pin!(sleep(HEADERS));
        poll_fn(|context| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(Some(ended));
            }
            let due = self.due();
            // An alarm that goes off too early is set anew then, instead of with each request.
            if let Some(due) = due.filter(|due| *due < alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            while alarm.as_mut().poll(context).is_ready() {
                let now = Instant::now();
                if due.is_some_and(|due| due <= now) {
                    return Poll::Ready(None);
                }
                alarm.as_mut().reset(due.unwrap_or(now + REST));
            }
            Poll::Pending
        })
        .await
    }
}

/// A stream that tells whether bytes come.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    phases: Phases,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            self.phases.waits();
        } else if buffer.filled().len() > before {
            self.phases.came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {

    use bytes::Bytes;
    use futures::stream;
    use http::Response;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use hyper::body::Frame;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinSet;

    use super::*;
    use crate::listener::serve;

    /// The client of a server that pauses before each answer, and before its body.
    fn client(pause: Duration) -> (DuplexStream, JoinSet<()>) {
        let (client, stream) = duplex(4096);
        let mut server = JoinSet::new();
        server.spawn(serve(stream, move |_| async move {
            sleep(pause).await;
            let body = stream::once(async move {
                sleep(pause).await;
                Ok(Frame::data(Bytes::from_static(b"text")))
            });
            Response::new(UnsyncBoxBody::new(StreamBody::new(body)))
        }));
        (client, server)
    }

    async fn ask(client: &mut DuplexStream) {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"text\r\n0\r\n\r\n") {
            let read = client.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "cut off: {}", String::from_utf8_lossy(&answer));
        }
    }

    /// After how many seconds the connection is cut off.
    async fn cut_off_after(client: &mut DuplexStream) -> u64 {
        let since = Instant::now();
        let read = client.read(&mut [0]).await.unwrap();
        assert_eq!(read, 0);
        let half_a_second = Duration::from_millis(500);
        (since.elapsed() + half_a_second).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn headers_come_within_ten_seconds() {
        for begun in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let (mut client, _server) = client(Duration::ZERO);
            client.write_all(begun.as_bytes()).await.unwrap();
            assert_eq!(cut_off_after(&mut client).await, 10, "{begun:?}");
        }
        let (mut slow, _server) = client(Duration::ZERO);
        ask(&mut slow).await;
        sleep(Duration::from_secs(200)).await;
        slow.write_all(b"GET / ").await.unwrap();
        sleep(Duration::from_secs(7)).await;
        slow.write_all(b"HTTP/1.1\r\n").await.unwrap();
        assert_eq!(cut_off_after(&mut slow).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_for_five_minutes() {
        let (mut client, _server) = client(Duration::ZERO);
        for _ in 0..3 {
            ask(&mut client).await;
            sleep(REST - Duration::from_secs(1)).await;
        }
        ask(&mut client).await;

        assert_eq!(cut_off_after(&mut client).await, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up_after_an_hour() {
        let (mut client, stream) = duplex(4096);
        let body = Bytes::from(vec![0; 1 << 20]);
        let answer = move |_| {
            let body = Full::new(body.clone()).map_err(Into::into);
            std::future::ready(Response::new(UnsyncBoxBody::new(body)))
        };
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        let since = Instant::now();

        serve(stream, answer).await;

        assert_eq!(since.elapsed().as_secs(), 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_as_long_as_it_takes() {
        let (mut client, _server) = client(REST * 2);
        ask(&mut client).await;

        assert_eq!(cut_off_after(&mut client).await, 300);
    }
}
