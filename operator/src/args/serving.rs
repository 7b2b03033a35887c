//! Settings that every program that serves has.

use std::net::SocketAddr;

use clap::Args;
use tracing::Level;

use super::LogFormat;

/// The address at which a program answers, and what it logs.
#[derive(Clone, Debug, Args)]
pub struct Serving {
    /// The address at which /livez, /readyz and /metrics are answered.
    #[arg(
        long,
        env = "PLANESCAPE_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080",
        value_parser = address
    )]
    pub listen: SocketAddr,

    /// How log lines look.
    #[arg(
        long,
        env = "PLANESCAPE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Which log lines to write: error, warn, info, debug or trace.
    #[arg(
        long,
        env = "PLANESCAPE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: Level,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    address.map_err(|_| "is not an address with a port: write for example 0.0.0.0:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert!(address("[::]:8080").is_ok());
        for wrong in ["8080", "localhost:8080", ":8080", ""] {
            assert!(
                address(wrong).unwrap_err().contains("0.0.0.0:8080"),
                "{wrong}"
            );
        }
    }
}
