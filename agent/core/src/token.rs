//! Which token is meant, so that no answer is taken for one about another token.

use planescape_vault::SecretText;

use crate::clock::Moment;

/// One login of this life of the agent; a later login has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(pub(crate) u64);

impl TokenId {
    /// Of no login: what is asked for is not asked for with the agent's own token.
    pub(crate) const NONE: Self = Self(0);
}

/// A token and its number.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// The token itself.
    pub secret: SecretText,
}

/// The token that asked Vault, and when; the shell hands it back with the answer. A grant
/// counts from the moment of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The token of the request; of a login, the one that it is to bring.
    pub token: TokenId,
    /// When it was sent.
    pub sent: Moment,
}
