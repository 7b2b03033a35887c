//! Bodies, read as far as they are short.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

/// A longer body streams, and is neither kept nor sent twice.
pub(super) const LONGEST: usize = 1 << 20;

/// A body.
#[derive(Debug)]
pub(super) enum Content<B> {
    /// All of it.
    Whole(Bytes),
    /// A long one, still on its way.
    Long(Begun<B>),
}

/// The part of a body that was read, and the rest of it.
#[derive(Debug)]
pub(super) struct Begun<B> {
    read: IntoIter<Bytes>,
    rest: B,
}

/// A piece of this length stays as it came. Shorter pieces are put together, since each keeps a whole buffer.
const LONG_PIECE: usize = 16 << 10;

/// The pieces that were read, without copies that would double them.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    short: BytesMut,
    length: usize,
}

impl Pieces {
    fn add(&mut self, data: Bytes) {
        self.length += data.len();
        if data.len() >= LONG_PIECE {
            self.close();
            self.done.push(data);
            return;
        }
        self.short.extend_from_slice(&data);
        if self.short.len() >= LONG_PIECE {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.short.is_empty() {
            self.done.push(std::mem::take(&mut self.short).freeze());
        }
    }

    /// The whole body, in one buffer of its length.
    fn whole(mut self) -> Bytes {
        if self.done.is_empty() {
            return self.short.freeze();
        }
        self.close();
        let mut whole = BytesMut::with_capacity(self.length);
        for piece in &self.done {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }
}

/// Reads a body until it is over, or proves too long. Few senders give the length beforehand: servers in Go do so up to
/// 2 KiB.
pub(super) async fn read<B>(mut body: B) -> Result<Content<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut pieces = Pieces::default();
    while body.size_hint().lower() <= LONGEST as u64 {
        let Some(frame) = body.frame().await else {
            return Ok(Content::Whole(pieces.whole()));
        };
        if let Ok(data) = frame?.into_data() {
            pieces.add(data);
        }
        if pieces.length > LONGEST {
            break;
        }
    }
    pieces.close();
    Ok(Content::Long(Begun {
        read: pieces.done.into_iter(),
        rest: body,
    }))
}

impl<B> Body for Begun<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(read) = self.read.next() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        Pin::new(&mut self.rest).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.read.as_slice().is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self.read.as_slice().iter().map(Bytes::len).sum();
        let (read, rest) = (read as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use super::*;

    /// Frames of a body that does not say how long it is.
    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_the_limit_whatever_it_says_of_its_length() {
        for (length, part, is_whole) in [
            (0, 1_000, true),
            (3_000, 1_000, true),
            (LONGEST, 1_000, true),
            (LONGEST, 100_000, true),
            (LONGEST + 1, 1_000, false),
            (LONGEST + 1, 100_000, false),
        ] {
            let sent: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let frames = sent.chunks(part).map(Bytes::copy_from_slice).collect();

            let content = read(Frames(frames)).await.unwrap();

            let got = match content {
                Content::Whole(bytes) => {
                    assert!(is_whole, "{length} by {part}");
                    bytes
                }
                Content::Long(begun) => {
                    assert!(!is_whole, "{length} by {part}");
                    begun.collect().await.unwrap().to_bytes()
                }
            };
            assert!(got == sent, "{length} by {part}");
        }
    }

    #[tokio::test]
    async fn nothing_is_read_of_a_body_that_says_how_long_it_is() {
        let body = http_body_util::Full::new(Bytes::from(vec![0; LONGEST + 1]));

        let Ok(Content::Long(begun)) = read(body).await else {
            panic!("it is too long");
        };

        assert!(begun.read.as_slice().is_empty());
        assert_eq!(begun.size_hint().exact(), Some(LONGEST as u64 + 1));
    }

    #[tokio::test]
    async fn what_proves_too_long_is_handed_on_without_a_copy() {
        let sent: Vec<Bytes> = (0..3).map(|_| Bytes::from(vec![0; LONGEST / 2])).collect();
        let frames = Frames(sent.iter().cloned().collect());

        let Ok(Content::Long(mut begun)) = read(frames).await else {
            panic!("it is too long");
        };

        for sent in sent {
            let got = begun.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(got.as_ptr(), sent.as_ptr());
        }
    }
}
