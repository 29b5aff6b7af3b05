//! A parent sealed two group blocks for one round.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{NodeId, Signed};

use super::{Offence, sealed_by};
use crate::block::GroupBlock;
use crate::state::State;

/// Two different group blocks of one group for one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TwoGroupBlocks {
    /// Signed by the group's parent.
    pub first: Signed<GroupBlock>,
    /// Signed by the group's parent.
    pub second: Signed<GroupBlock>,
}

impl TwoGroupBlocks {
    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let parent = sealed_by(state, &self.first)?;
        sealed_by(state, &self.second)?;
        let (first, second) = (&self.first.body, &self.second.body);
        let is_proof =
            first.group == second.group && first.round == second.round && first != second;
        is_proof.then_some((Offence::of_parent(first.group, first.round), parent))
    }
}
