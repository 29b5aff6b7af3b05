//! A node signed two profiles with one number.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{NodeId, SignedProfile};

use super::{Offence, is_signed};
use crate::state::State;

/// Two different profiles of one node with one number.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TwoProfiles {
    /// Signed by the node.
    pub first: SignedProfile,
    /// Signed by the node.
    pub second: SignedProfile,
}

impl TwoProfiles {
    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let (first, second) = (&self.first.body, &self.second.body);
        let is_proof = first.node == second.node
            && first.seq == second.seq
            && first != second
            && is_signed(state, &self.first)
            && is_signed(state, &self.second);
        let offence = Offence::Node {
            node: first.node,
            seq: first.seq,
        };
        is_proof.then_some((offence, first.node))
    }
}
