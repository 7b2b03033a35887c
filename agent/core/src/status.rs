//! The agent's state, for anybody who asks.

use std::time::Duration;

use planescape_agent_contract::Target;

/// The state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How far it has come.
    pub phase: Phase,
    /// The token in use.
    pub token: Option<TokenStatus>,
    /// The rendered texts, in the order of the configuration.
    pub texts: Vec<TextStatus>,
    /// Why the agent would have to end, were it to end now, without values.
    pub trouble: Option<String>,
}

/// How far the agent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not every text is rendered yet, or not every sink written.
    Starting,
    /// All of them were.
    Ready,
    /// It ends.
    Stopping,
}

/// The token in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// Names it in Vault's audit log.
    pub accessor: Option<String>,
    /// How long it lives unless it is renewed; `None` for ever.
    pub expires_in: Option<Duration>,
}

/// A rendered text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextStatus {
    /// The file or the variable.
    pub target: Target,
    /// How long ago it was rendered last; `None` never.
    pub age: Option<Duration>,
    /// How long its secrets work unless they are renewed: until the first of its leases ends. `None`
    /// where nothing in it is leased.
    pub expires_in: Option<Duration>,
    /// Whether it still holds a secret whose lease has ended.
    pub has_expired: bool,
}
