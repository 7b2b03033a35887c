//! Which Vaults the program may talk to: those that the administrator lists, and no address that a
//! machine's own services have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The Vaults that the administrator lists, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

/// Why a Vault is not talked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The administrator has not listed it.
    #[error(
        "the address is not one of those that the administrator lists in PLANESCAPE_VAULT_ADDRESSES"
    )]
    NotListed,
    /// It leads to the machine, or to the cloud's metadata.
    #[error("the address leads to {0}, where a machine's own services are")]
    Local(IpAddr),
}

impl Addresses {
    /// Reads a list with commas.
    ///
    /// # Errors
    /// The text names an item that is no address, and says how to write one.
    pub fn parse(list: &str) -> Result<Self, String> {
        let items = list.split(',').map(str::trim);
        let items = items.filter(|item| !item.is_empty());
        let addresses = items.map(crate::annotations::vault_address);
        addresses.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// An address as the administrator has written it, however somebody else does.
    ///
    /// # Errors
    /// The administrator has not listed it.
    pub fn check(&self, address: &str) -> Result<&str, Refused> {
        let mut listed = self.0.iter();
        let listed = listed.find(|it| normal(it) == normal(address));
        listed.map(String::as_str).ok_or(Refused::NotListed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Host and port, as a resolver takes them.
#[must_use]
pub fn authority(address: &str) -> (String, u16) {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let usual = if scheme.eq_ignore_ascii_case("https") {
        443
    } else {
        80
    };
    let port = |text: &str| text.parse().ok();
    match rest.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((host, port_text)) => {
            let given = port_text.strip_prefix(':').and_then(port);
            (host.to_owned(), given.unwrap_or(usual))
        }
        None => match rest.rsplit_once(':').map(|(host, text)| (host, port(text))) {
            Some((host, Some(port))) => (host.to_owned(), port),
            Some((host, None)) => (host.to_owned(), usual),
            None => (rest.to_owned(), usual),
        },
    }
}

/// Whether an address may be Vault's. Loopback is where somebody wrote it on the list by number; a name that
/// leads there was not meant so.
///
/// # Errors
/// It may not.
pub fn check_ip(address: &str, ip: IpAddr) -> Result<(), Refused> {
    let ip = ip.to_canonical();
    let is_written = authority(address)
        .0
        .parse::<IpAddr>()
        .is_ok_and(|it| it.to_canonical() == ip);
    let is_local = match ip {
        IpAddr::V4(ip) => is_local_v4(ip),
        IpAddr::V6(ip) => {
            let is_of_metadata = METADATA_V6.contains(&ip) || embedded(ip).is_some_and(is_local_v4);
            ip.is_unicast_link_local() || ip.is_unspecified() || is_of_metadata
        }
    };
    let is_loopback = ip.is_loopback() || as_v4(ip).is_some_and(|it| it.is_loopback());
    if is_local || (is_loopback && !is_written) {
        return Err(Refused::Local(ip));
    }
    Ok(())
}

/// Amazon's, which is no link-local one.
const METADATA_V6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// Alibaba's, Oracle's and Azure's.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

fn is_local_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast() || METADATA_V4.contains(&ip)
}

/// The last four bytes, where a gateway (NAT64) or an old stack takes them for the address that is meant.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [front @ .., high, low] = ip.segments();
    let is_gateway = front == [0x64, 0xff9b, 0, 0, 0, 0];
    // Without the unspecified address and loopback.
    let is_old = front == [0; 6] && (high != 0 || low > 1);
    let last = (u32::from(high) << 16) | u32::from(low);
    (is_gateway || is_old).then(|| Ipv4Addr::from_bits(last))
}

fn as_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(ip) => embedded(ip),
    }
}

/// As the list has it: names of hosts have no case, and a slash at the end means nothing.
#[must_use]
pub fn normal(address: &str) -> String {
    address.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_taken() {
        let listed = Addresses::parse("https://Vault:8200/, http://10.0.0.1:8200").unwrap();

        for taken in [
            "https://vault:8200",
            "HTTPS://vault:8200/",
            "http://10.0.0.1:8200",
        ] {
            assert!(listed.check(taken).is_ok(), "{taken}");
        }
        for refused in [
            "http://vault:8200",
            "https://vault:8201",
            "https://vault:8200/v1",
            "https://vault:8200@evil",
            "https://vault:8200.evil",
            "https://evil/?https://vault:8200",
            "",
        ] {
            assert_eq!(listed.check(refused), Err(Refused::NotListed), "{refused}");
        }
        let of_a_tenant = listed.check("HTTPS://VAULT:8200");
        assert_eq!(of_a_tenant, listed.check("https://vault:8200"));
        assert!(Addresses::parse("vault").is_err());
        assert!(Addresses::parse("").unwrap().is_empty());
    }

    #[test]
    fn no_name_leads_to_the_machine_itself_or_to_metadata() {
        let check = |address: &str, ip: &str| check_ip(address, ip.parse().unwrap());
        for ip in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "64:ff9b::169.254.169.254",
            "64:ff9b::127.0.0.1",
            "::169.254.169.254",
            "::127.0.0.1",
        ] {
            assert!(check("https://vault:8200", ip).is_err(), "{ip}");
        }
        for ip in ["10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1"] {
            assert!(check("https://vault:8200", ip).is_ok(), "{ip}");
        }
        assert!(check("http://127.0.0.1:8200", "127.0.0.1").is_ok());
        assert!(check("http://169.254.169.254", "169.254.169.254").is_err());
    }

    #[test]
    fn finds_host_and_port() {
        for (address, host, port) in [
            ("https://vault", "vault", 443),
            ("http://vault/base", "vault", 80),
            ("http://user@vault:8200", "vault", 8200),
            ("https://[fd00::1]:8200", "fd00::1", 8200),
            ("https://[fd00::1]", "fd00::1", 443),
        ] {
            assert_eq!(authority(address), (host.to_owned(), port), "{address}");
        }
    }
}
