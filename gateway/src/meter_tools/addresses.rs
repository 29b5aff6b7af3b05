//! Where Modbus TCP may be: a host, or a network of IPv4 addresses.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// Modbus TCP's port.
///
/// # Source
/// MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 1.1.
const PORT: u16 = 502;
/// The smallest prefix, and so the largest network: 1,024 addresses.
const LEAST_PREFIX: u32 = 22;

/// Addresses to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// One host, with its port.
    Host(String),
    /// The hosts of a network, each with its port.
    Network(Vec<String>),
}

/// `host` with Modbus TCP's port where it names none.
pub(crate) fn with_port(host: &str) -> Result<String, String> {
    let accepted = || "write HOST or HOST:PORT, such as 192.0.2.50:502".to_owned();
    let is_bare_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    match host.rsplit_once(':') {
        _ if host.is_empty() || host.contains(['/', ' ']) => Err(accepted()),
        _ if is_bare_v6 => Ok(format!("[{host}]:{PORT}")),
        None => Ok(format!("{host}:{PORT}")),
        Some((name, _)) if host.ends_with(']') && name.starts_with('[') => {
            Ok(format!("{host}:{PORT}"))
        }
        Some((name, port)) => match port.parse::<u16>() {
            Ok(1..) if !name.is_empty() => Ok(host.to_owned()),
            _ => Err(accepted()),
        },
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((network, rest)) = text.split_once('/') else {
            return with_port(text).map(Self::Host);
        };
        let accepted = || {
            "write a network such as 192.0.2.0/24 or 192.0.2.0/24:502, of at most 1024 addresses"
                .to_owned()
        };
        let (prefix, port) = match rest.split_once(':') {
            Some((prefix, port)) => (prefix, port.parse().map_err(|_| accepted())?),
            None => (rest, PORT),
        };
        let network: Ipv4Addr = network.parse().map_err(|_| accepted())?;
        let Ok(prefix @ LEAST_PREFIX..=32) = prefix.parse() else {
            return Err(accepted());
        };
        Ok(Self::Network(hosts(network, prefix, port)))
    }
}

/// All addresses of a network but its own and its broadcast address.
fn hosts(network: Ipv4Addr, prefix: u32, port: u16) -> Vec<String> {
    let size = 1_u32 << (32 - prefix);
    let first = u32::from(network) & !(size - 1);
    // Networks of one and of two addresses have neither.
    let (first, last) = match size {
        1 | 2 => (first, first + (size - 1)),
        _ => (first + 1, first + (size - 2)),
    };
    let address = |bits| format!("{}:{port}", Ipv4Addr::from_bits(bits));
    (first..=last).map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn host(text: &str, expected: Option<&str>) {
        let found = text.parse().ok();
        assert_eq!(found, expected.map(|host| Addresses::Host(host.to_owned())));
    }

    #[test]
    fn a_host_has_a_port() {
        host("192.0.2.7", Some("192.0.2.7:502"));
        host("meter.example:1502", Some("meter.example:1502"));
        host("::1", Some("[::1]:502"));
        host("[::1]", Some("[::1]:502"));
        host("[::1]:1502", Some("[::1]:1502"));
        host("meter:0", None);
        host("meter:x", None);
        host(":502", None);
        host("", None);
    }

    #[track_caller]
    fn network(text: &str, expected: Option<(usize, &str, &str)>) {
        let found: Option<Addresses> = text.parse().ok();
        let found = found.map(|addresses| match addresses {
            Addresses::Network(hosts) => hosts,
            Addresses::Host(host) => panic!("{host}"),
        });
        let ends = found.as_ref().map(|hosts| {
            let (first, last) = (&hosts[0], &hosts[hosts.len() - 1]);
            (hosts.len(), first.as_str(), last.as_str())
        });
        assert_eq!(ends, expected);
    }

    #[test]
    fn a_network_is_its_hosts() {
        network(
            "192.0.2.0/24",
            Some((254, "192.0.2.1:502", "192.0.2.254:502")),
        );
        network(
            "192.0.2.9/30:1502",
            Some((2, "192.0.2.9:1502", "192.0.2.10:1502")),
        );
        network("192.0.2.9/32", Some((1, "192.0.2.9:502", "192.0.2.9:502")));
        network(
            "192.0.0.0/22",
            Some((1022, "192.0.0.1:502", "192.0.3.254:502")),
        );
        network("192.0.0.0/21", None);
        network("192.0.2.0/33", None);
        network("::1/24", None);
        network("192.0.2.0/24:x", None);
    }
}
