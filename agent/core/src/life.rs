//! The agent's place between its start and its end.

use crate::shutdown::Shutdown;

/// The agent's life.
#[derive(Debug)]
pub(crate) enum Life {
    /// Not everything was written yet.
    Starting,
    /// Every file and sink was written at least once.
    Ready,
    /// It ends, and leaves nothing behind.
    Stopping(Box<Shutdown>),
    /// It said `Exit`; nothing follows.
    Ended,
}

impl Life {
    /// Whether it still works, and does not end.
    pub(crate) fn is_working(&self) -> bool {
        match self {
            Self::Starting | Self::Ready => true,
            Self::Stopping(_) | Self::Ended => false,
        }
    }

    pub(crate) fn shutdown(&mut self) -> Option<&mut Shutdown> {
        match self {
            Self::Stopping(shutdown) => Some(shutdown),
            Self::Starting | Self::Ready | Self::Ended => None,
        }
    }
}
