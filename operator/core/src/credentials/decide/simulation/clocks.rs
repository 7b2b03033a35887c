//! Clocks that differ from Vault's, and are set.

use super::*;

/// No clock is off by more, in seconds.
const MOST: u64 = 60;

/// How far others are ahead of Vault's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// Whether they differ at all.
    pub(super) differ: bool,
    /// How often the program's was set, or another program came with one of its own.
    pub(super) set: u64,
    program: SignedDuration,
    api_server: SignedDuration,
}

impl World {
    /// Of half of the histories.
    pub(super) fn draw_clocks(&mut self) {
        self.clocks.differ = self.below(2) == 0;
        if self.clocks.differ {
            self.clocks.program = self.offset();
            self.clocks.api_server = self.offset();
        }
    }

    pub(super) fn set_clock(&mut self) {
        if self.clocks.differ {
            self.clocks.program = self.offset();
            self.clocks.set += 1;
        }
    }

    /// The time by the program's clock.
    pub(super) fn here(&self) -> Timestamp {
        self.now + self.clocks.program
    }

    /// The time by the API server's clock.
    pub(super) fn at_api_server(&self) -> Timestamp {
        self.now + self.clocks.api_server
    }

    fn offset(&mut self) -> SignedDuration {
        let drawn = self.below(2 * MOST + 1);
        SignedDuration::from_secs(drawn.cast_signed() - MOST.cast_signed())
    }
}
