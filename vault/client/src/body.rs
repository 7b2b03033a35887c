//! Reads the body of an answer into memory that is wiped, without copies left behind.

use planescape_vault::wire::Body;
use reqwest::Response;
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

/// Longer than any secret, and too short to hurt the pod.
const LONGEST: usize = 8 * 1024 * 1024;
/// Bodies up to this length are read at once; longer ones are read one after another.
const SMALL: usize = 256 * 1024;
/// The first room where the length is not known.
const FIRST: usize = 4 * 1024;

/// Why there is no body.
pub(crate) enum Failed {
    TooLong,
    Broken(reqwest::Error),
}

/// Keeps long bodies one after another, so that ten of them do not fill the pod's memory.
#[derive(Debug)]
pub(crate) struct Bodies {
    long: Semaphore,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            long: Semaphore::new(1),
        }
    }

    pub(crate) async fn read(&self, mut response: Response) -> Result<Body, Failed> {
        let announced = response
            .content_length()
            .and_then(|it| usize::try_from(it).ok());
        if announced.is_some_and(|length| length > LONGEST) {
            return Err(Failed::TooLong);
        }
        let mut turn = self.turn(announced.unwrap_or(0)).await;
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(FIRST)));
        while let Some(chunk) = response.chunk().await.map_err(Failed::Broken)? {
            let length = body.len() + chunk.len();
            if length > LONGEST {
                return Err(Failed::TooLong);
            }
            if turn.is_none() {
                turn = self.turn(length).await;
            }
            if length > body.capacity() {
                grow(&mut body, length);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn turn(&self, length: usize) -> Option<SemaphorePermit<'_>> {
        if length <= SMALL {
            return None;
        }
        // The semaphore is never closed.
        self.long.acquire().await.ok()
    }
}

/// A vector that grows by itself leaves its old memory as it is.
fn grow(body: &mut Body, length: usize) {
    let mut larger = Zeroizing::new(Vec::with_capacity(length.max(body.capacity() * 2)));
    larger.extend_from_slice(body);
    *body = larger;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_whole_or_refused() {
        let bodies = Bodies::new();
        for (length, is_read) in [
            (0, true),
            (SMALL, true),
            (LONGEST, true),
            (LONGEST + 1, false),
        ] {
            let body = bodies.read(response(length)).await;

            assert_eq!(
                body.is_ok_and(|body| body.len() == length),
                is_read,
                "{length}"
            );
        }
        assert_eq!(bodies.long.available_permits(), 1);
    }

    #[tokio::test]
    async fn long_bodies_wait_for_one_another_and_short_ones_for_nobody() {
        let bodies = Bodies::new();
        let taken = bodies.long.acquire().await.unwrap();

        assert!(bodies.read(response(SMALL)).await.is_ok());
        let late = std::time::Duration::from_millis(20);
        let long = tokio::time::timeout(late, bodies.read(response(SMALL + 1))).await;
        assert!(long.is_err());

        drop(taken);
        assert!(bodies.read(response(SMALL + 1)).await.is_ok());
    }

    fn response(length: usize) -> Response {
        http::Response::new(vec![b'x'; length]).into()
    }
}
