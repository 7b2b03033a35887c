//! The settings of metrics, and their receivers.

/// `telemetry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// The prefix of the names of `vault agent`.
    pub prefix: String,
    /// Whether there is the text form at `/agent/v1/metrics` of a listener.
    pub has_prometheus: bool,
    /// The receivers that get metrics without asking.
    pub receivers: Vec<Receiver>,
    /// Whether the gauges that these get carry the machine's name.
    pub names_host: bool,
}

/// A receiver that gets metrics without asking. An address is a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// By UDP.
    Statsd(String),
    /// By TCP.
    Statsite(String),
    /// By UDP, with tags.
    Dogstatsd {
        /// Or `unix://` and the path of a socket.
        address: String,
        /// The tags that every metric carries.
        tags: Vec<String>,
    },
}

impl Receiver {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Statsd(address) | Self::Statsite(address) | Self::Dogstatsd { address, .. } => {
                address
            }
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            prefix: "vault".to_owned(),
            has_prometheus: true,
            receivers: Vec::new(),
            names_host: false,
        }
    }
}
