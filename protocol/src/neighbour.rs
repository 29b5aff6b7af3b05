//! Nodes that answer each other directly: where they are, who they are, and that the provider let
//! them in.

use std::fmt;
use std::net::IpAddr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::crypto::{Domain, Hash, PublicKey, Signature, SignatureError};
use crate::ids::NodeId;
use crate::signed::{Signable, Signed};
use crate::time::UnixSeconds;

/// The path of the link between two nodes, below a [`NodeAddress`].
pub const NEIGHBOUR_PATH: &str = "/neighbour";

/// The longest address, in bytes: a name of the DNS with scheme and port.
pub const NODE_ADDRESS_MAX_BYTES: usize = 270;

/// Where other nodes reach a node: `ws://HOST:PORT`, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddress(String);

impl NodeAddress {
    /// Reads an address: `ws://`, a name, an IPv4 address or an IPv6 address in brackets, a port.
    ///
    /// # Errors
    /// `NodeAddressError` with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NodeAddressError> {
        if text.len() > NODE_ADDRESS_MAX_BYTES {
            let length = text.len();
            return Err(NodeAddressError::Length { length });
        }
        let place = text.strip_prefix("ws://").ok_or(NodeAddressError::Scheme)?;
        let (host, port) = place.rsplit_once(':').ok_or(NodeAddressError::Port)?;
        let is_port = !port.starts_with(['+', '0']) && port.parse::<u16>().is_ok();
        if !is_port {
            return Err(NodeAddressError::Port);
        }
        check_host(host)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of the link between two nodes.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{NEIGHBOUR_PATH}", self.0)
    }
}

fn check_host(host: &str) -> Result<(), NodeAddressError> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: Option<IpAddr> = match bracketed {
        Some(inner) => Some(IpAddr::V6(
            inner.parse().map_err(|_| NodeAddressError::Host)?,
        )),
        None => host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) if address.is_unspecified() || address.is_multicast() => {
            Err(NodeAddressError::Nowhere)
        }
        Some(_) => Ok(()),
        None => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let is_whole = !host.is_empty() && host.chars().all(is_name);
            is_whole.then_some(()).ok_or(NodeAddressError::Host)
        }
    }
}

/// Only what [`NodeAddress::parse`] takes is read.
impl BorshDeserialize for NodeAddress {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        Self::parse(&text).map_err(std::io::Error::other)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = NodeAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.0
    }
}

/// Why a text is no [`NodeAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeAddressError {
    /// Too long.
    #[error("a node's address has at most {NODE_ADDRESS_MAX_BYTES} bytes, this one has {length}")]
    Length {
        /// Bytes found.
        length: usize,
    },
    /// Not `ws://`.
    #[error("a node's address is ws://HOST:PORT")]
    Scheme,
    /// No port, or none that is one.
    #[error("a node's address ends with its port, 1 to 65535, and has no path")]
    Port,
    /// Neither a name nor an IP address.
    #[error("the host of a node's address is a name, an IPv4 address or [an IPv6 address]")]
    Host,
    /// An address that nobody can be reached at.
    #[error("nobody can be reached at this address; tell the one that others see")]
    Nowhere,
}

/// A node that another one may reach.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Neighbour {
    /// Its enrolment number.
    pub node: NodeId,
    /// Its key, which it proves on every link.
    pub key: PublicKey,
    /// Where it listens.
    pub address: NodeAddress,
}

/// The provider's word that it let a node in, for that node to show to others.
///
/// A node that keeps headers only has no state to look its callers up in, and a caller that was
/// enrolled a minute ago is in nobody's state yet.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Enrolment {
    /// Its enrolment number.
    pub node: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// From when on it has to show a newer one.
    pub until: UnixSeconds,
}

impl Signable for Enrolment {
    const DOMAIN: Domain = Domain::Enrolment;
}

/// An [`Enrolment`] signed by the provider.
pub type SignedEnrolment = Signed<Enrolment>;

/// Why a caller's enrolment was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// Another node's.
    #[error("the enrolment shown is another node's")]
    OtherNode,
    /// It has run out.
    #[error("the enrolment shown held until {0}; ask the provider for a newer one")]
    Old(UnixSeconds),
    /// Not the provider's signature.
    #[error("the enrolment shown is not signed by this chain's provider")]
    Signature(#[from] SignatureError),
}

impl SignedEnrolment {
    /// Checks that the provider let `key` in and that its word still holds.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(
        &self,
        provider: &PublicKey,
        chain_id: &Hash,
        key: &PublicKey,
        now: UnixSeconds,
    ) -> Result<(), EnrolmentError> {
        if self.body.key != *key {
            return Err(EnrolmentError::OtherNode);
        }
        if self.body.until < now {
            return Err(EnrolmentError::Old(self.body.until));
        }
        Ok(self.verify(provider, chain_id)?)
    }
}

/// Second call of a link between nodes, after [`Hello`](crate::message::Hello): proof of the
/// caller's key, and of its enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Meet {
    /// By the caller, over both nonces and the called node's key.
    pub signature: Signature,
    /// The provider's word about the caller.
    pub enrolment: SignedEnrolment,
}

/// Answer to [`Meet`]: the caller is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeetAck {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyPair;

    #[track_caller]
    fn check(text: &str, expected: Result<(), NodeAddressError>) {
        assert_eq!(NodeAddress::parse(text).map(|_| ()), expected, "{text}");
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        check("ws://depot.example:9700", Ok(()));
        check("ws://192.0.2.7:9700", Ok(()));
        check("ws://[2001:db8::7]:9700", Ok(()));
        let long = format!("ws://{}:1", "x".repeat(300));
        check(&long, Err(NodeAddressError::Length { length: long.len() }));
        check("wss://depot.example:9700", Err(NodeAddressError::Scheme));
        check("depot.example:9700", Err(NodeAddressError::Scheme));
        check("ws://depot.example", Err(NodeAddressError::Port));
        check("ws://depot.example:0", Err(NodeAddressError::Port));
        check("ws://depot.example:65536", Err(NodeAddressError::Port));
        check("ws://depot.example:9700/x", Err(NodeAddressError::Port));
        check("ws://:9700", Err(NodeAddressError::Host));
        check("ws://user@depot:9700", Err(NodeAddressError::Host));
        check("ws://a b:9700", Err(NodeAddressError::Host));
        check("ws://2001:db8::7:9700", Err(NodeAddressError::Host));
        check("ws://[depot]:9700", Err(NodeAddressError::Host));
        check("ws://0.0.0.0:9700", Err(NodeAddressError::Nowhere));
        check("ws://[::]:9700", Err(NodeAddressError::Nowhere));
    }

    #[test]
    fn an_enrolment_is_one_nodes_on_one_chain_for_a_while() {
        let (provider, node) = (KeyPair::from_seed(&[1; 32]), KeyPair::from_seed(&[2; 32]));
        let (chain, key) = (Hash([3; 32]), node.public());
        let enrolment = Enrolment {
            node: NodeId(7),
            key,
            until: UnixSeconds(100),
        };
        let shown = Signed::new(enrolment.clone(), &provider, &chain);
        let check = |chain: &Hash, key: &PublicKey, now| {
            shown.check(&provider.public(), chain, key, UnixSeconds(now))
        };
        assert_eq!(check(&chain, &key, 100), Ok(()));
        let old = Err(EnrolmentError::Old(UnixSeconds(100)));
        assert_eq!(check(&chain, &key, 101), old);
        let other = check(&chain, &provider.public(), 100);
        assert_eq!(other, Err(EnrolmentError::OtherNode));
        let mismatch = Err(EnrolmentError::Signature(SignatureError::Mismatch));
        assert_eq!(check(&Hash::ZERO, &key, 100), mismatch);
        let by_itself = Signed::new(enrolment, &node, &chain);
        let forged = by_itself.check(&provider.public(), &chain, &key, UnixSeconds(100));
        assert_eq!(forged, mismatch);
    }
}
