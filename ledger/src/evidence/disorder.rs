//! A parent's group block holds a profile twice, or its profiles out of order.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{NodeId, Signed, SignedProfile};

use super::sealed::Sealed;
use super::{Offence, sealed_by};
use crate::block::GroupBlock;
use crate::state::State;

/// A group block and two neighbours in it of which the second does not come after the first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Disorder {
    /// Signed by the group's parent.
    pub group_block: Signed<GroupBlock>,
    /// The two, as they stand in its tree.
    pub neighbours: [Sealed; 2],
}

impl Disorder {
    pub(super) fn find(
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
    ) -> Option<Self> {
        let is_wrong = |pair: &[SignedProfile]| pair[0].body.sort_key() >= pair[1].body.sort_key();
        let index = profiles.windows(2).position(is_wrong)?;
        Some(Self {
            group_block: group_block.clone(),
            neighbours: Sealed::show(profiles, [index, index + 1])?,
        })
    }

    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let parent = sealed_by(state, &self.group_block)?;
        let sealed = &self.group_block.body;
        let [first, second] = &self.neighbours;
        let is_wrong = first.is_under(sealed)
            && second.is_under(sealed)
            && first.is_before(second)
            && first.key() >= second.key();
        is_wrong.then_some((Offence::of_parent(sealed.group, sealed.round), parent))
    }
}
