//! The provider signed two headers for one height.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Genesis, Signed};

use super::NotProven;
use crate::block::Header;

/// Two different headers of one height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TwoHeaders {
    /// Signed by the provider.
    pub first: Signed<Header>,
    /// Signed by the provider.
    pub second: Signed<Header>,
}

impl TwoHeaders {
    pub(super) fn check(&self, genesis: &Genesis) -> Result<(), NotProven> {
        for header in [&self.first, &self.second] {
            header
                .verify(&genesis.provider_key, &genesis.chain_id())
                .map_err(|_| NotProven::Signature)?;
        }
        let (first, second) = (&self.first.body, &self.second.body);
        match first.height == second.height && first != second {
            true => Ok(()),
            false => Err(NotProven::OneHeader),
        }
    }
}
