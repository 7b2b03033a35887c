//! What is told of metrics, and to whom.

/// `telemetry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// What the names of `vault agent` start with.
    pub prefix: String,
    /// Whether there is the text form at `/agent/v1/metrics` of a listener.
    pub has_prometheus: bool,
    /// Who gets them without asking.
    pub receivers: Vec<Receiver>,
    /// Whether the gauges that these get carry the machine's name.
    pub names_host: bool,
}

/// Who gets metrics without asking. An address is a host and a port.
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
        /// What every metric carries.
        tags: Vec<String>,
    },
}

impl Receiver {
    /// Where it is.
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
