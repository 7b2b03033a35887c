//! Bodies, read as far as they are short.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

/// What is longer streams, and is neither kept nor sent twice.
pub(super) const LONGEST: usize = 1 << 20;

/// A body.
#[derive(Debug)]
pub(super) enum Content<B> {
    /// All of it.
    Whole(Bytes),
    /// A long one, still on its way.
    Long(Begun<B>),
}

/// What was read of a body, and the rest of it.
#[derive(Debug)]
pub(super) struct Begun<B> {
    read: Bytes,
    rest: B,
}

/// Reads a body until it is over, or proves too long. Few senders say beforehand how long theirs is: servers in Go do so up
/// to 2 KiB.
pub(super) async fn read<B>(mut body: B) -> Result<Content<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = BytesMut::new();
    while body.size_hint().lower() <= LONGEST as u64 {
        let Some(frame) = body.frame().await else {
            return Ok(Content::Whole(read.freeze()));
        };
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > LONGEST {
            break;
        }
    }
    let read = read.freeze();
    Ok(Content::Long(Begun { read, rest: body }))
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
        let read = std::mem::take(&mut self.read);
        if !read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        Pin::new(&mut self.rest).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (read, rest) = (self.read.len() as u64, self.rest.size_hint());
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
        for (length, is_whole) in [
            (0, true),
            (3_000, true),
            (LONGEST, true),
            (LONGEST + 1, false),
        ] {
            let sent: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let frames = sent.chunks(1_000).map(Bytes::copy_from_slice).collect();

            let content = read(Frames(frames)).await.unwrap();

            let got = match content {
                Content::Whole(bytes) => {
                    assert!(is_whole, "{length}");
                    bytes
                }
                Content::Long(begun) => {
                    assert!(!is_whole, "{length}");
                    begun.collect().await.unwrap().to_bytes()
                }
            };
            assert!(got == sent, "{length}");
        }
    }

    #[tokio::test]
    async fn nothing_is_read_of_a_body_that_says_how_long_it_is() {
        let body = http_body_util::Full::new(Bytes::from(vec![0; LONGEST + 1]));

        let Ok(Content::Long(begun)) = read(body).await else {
            panic!("it is too long");
        };

        assert!(begun.read.is_empty());
        assert_eq!(begun.size_hint().exact(), Some(LONGEST as u64 + 1));
    }
}
