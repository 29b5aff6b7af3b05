//! A parent altered or invented a profile in its group block.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{NodeId, Signed, SignedProfile};

use super::sealed::Sealed;
use super::{Offence, is_signed, sealed_by};
use crate::block::GroupBlock;
use crate::state::State;

/// A group block and one of its profiles, which its node did not sign.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForgedProfile {
    /// Signed by the group's parent.
    pub group_block: Signed<GroupBlock>,
    /// In the group block, and not signed by its node.
    pub forged: Sealed,
}

impl ForgedProfile {
    pub(super) fn find(
        state: &State,
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
    ) -> Option<Self> {
        let index = profiles.iter().position(|p| !is_signed(state, p))?;
        let [forged] = Sealed::show(profiles, [index])?;
        Some(Self {
            group_block: group_block.clone(),
            forged,
        })
    }

    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let parent = sealed_by(state, &self.group_block)?;
        let sealed = &self.group_block.body;
        let is_forged = self.forged.is_under(sealed) && !is_signed(state, &self.forged.profile);
        is_forged.then_some((Offence::of_parent(sealed.group, sealed.round), parent))
    }
}
