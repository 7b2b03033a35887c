//! A request or its answer that does not arrive, and a Vault that refuses.

use planescape_agent_core::Failure;
use planescape_tests::chance::Chance;

use crate::vault::{down, nameless, refused};

/// A fault on the way.
pub(crate) enum Fault {
    None,
    /// Vault does it, and its answer is lost.
    Lost,
    /// Vault does nothing and says this.
    Refused(Failure),
}

impl Fault {
    pub(crate) fn drawn(chance: &mut Chance) -> Self {
        match chance.below(26) {
            0 => Self::Lost,
            1 => Self::Refused(down()),
            2 => Self::Refused(refused(403, "permission denied", None)),
            3 => Self::Refused(refused(503, "Vault is sealed", None)),
            4 => Self::Refused(refused(429, "", Some(chance.pick(&[1, 7])))),
            5 => Self::Refused(refused(403, "invalid token", None)),
            6 => Self::Refused(refused(473, "", None)),
            7 => Self::Refused(nameless()),
            _ => Self::None,
        }
    }

    /// For what is done whether or not the answer arrives.
    pub(crate) fn around<T>(self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        match self {
            Self::None => work(),
            Self::Lost => work().and(Err(down())),
            Self::Refused(failure) => Err(failure),
        }
    }

    /// For what is undone where the answer does not arrive. Vault never says of a token that lives
    /// that it does not exist.
    pub(crate) fn before<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        match self {
            Self::Refused(failure) if failure != refused(403, "invalid token", None) => {
                Err(failure)
            }
            Self::None | Self::Refused(_) => result,
            Self::Lost => Err(down()),
        }
    }
}
