//! `[neighbours]`: whether other gateways reach this one, and which ones it compares with in any case.

use std::net::SocketAddr;

use protocol::{Neighbour, NodeAddress, NodeId};

use super::{Check, ConfigError, raw};

/// Other gateways.
#[derive(Clone, Debug, Default)]
pub struct NeighboursConfig {
    /// Where this gateway listens for them; it only calls out without.
    pub listen: Option<SocketAddr>,
    /// Where they reach it, as the provider tells them; nobody is told without.
    pub address: Option<NodeAddress>,
    /// Those it compares with whomever the provider names.
    pub known: Vec<Neighbour>,
}

impl Check<'_> {
    pub(super) fn neighbours(
        &self,
        raw: Option<raw::Neighbours>,
    ) -> Result<NeighboursConfig, ConfigError> {
        let Some(raw) = raw else {
            return Ok(NeighboursConfig::default());
        };
        let listen = raw.listen.as_deref();
        let listen = listen.map(|text| self.socket("neighbours.listen", text));
        let address = raw.address.as_deref();
        let address = address.map(|text| self.node_address("neighbours.address", text));
        let known = raw.known.iter().map(|known| self.known(known));
        let config = NeighboursConfig {
            listen: listen.transpose()?,
            address: address.transpose()?,
            known: known.collect::<Result<_, _>>()?,
        };
        match (&config.listen, &config.address) {
            (None, Some(address)) => {
                let accepted = "without neighbours.listen nobody would answer there; set both";
                Err(self.refuse("neighbours.address", address.as_str(), accepted))
            }
            _ => Ok(config),
        }
    }

    fn known(&self, raw: &raw::Neighbour) -> Result<Neighbour, ConfigError> {
        let accepted = "write the 64 hexadecimal digits that its local API shows as nodeKey";
        Ok(Neighbour {
            // Its number is the provider's to tell; its key is what counts.
            node: NodeId(0),
            key: self.key("neighbours.known.key", &raw.key, accepted)?,
            address: self.node_address("neighbours.known.address", &raw.address)?,
        })
    }

    fn node_address(&self, key: &str, text: &str) -> Result<NodeAddress, ConfigError> {
        NodeAddress::parse(text).map_err(|error| {
            let accepted = format!("{error}; write ws://HOST:PORT, as others reach this machine");
            self.refuse(key, text, &accepted)
        })
    }
}
