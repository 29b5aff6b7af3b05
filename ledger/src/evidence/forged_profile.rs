//! A parent altered or invented a profile in its group block.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Hash, NodeId, Signed, SignedProfile, canonical};

use super::{Offence, is_signed};
use crate::apply::parent_key;
use crate::block::GroupBlock;
use crate::merkle;
use crate::state::State;

/// A group block and one of its profiles, which its node did not sign: about 830 bytes with ten
/// thousand profiles.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForgedProfile {
    /// Signed by the group's parent.
    pub group_block: Signed<GroupBlock>,
    /// In the group block, and not signed by its node.
    pub profile: SignedProfile,
    /// Its position in the group block's tree.
    pub index: u32,
    /// Its path to the group block's root.
    pub path: Vec<Hash>,
}

impl ForgedProfile {
    /// Looks for a forged profile in a group block over `profiles`; `None` where there is none, or
    /// where the group block is over other profiles.
    #[must_use]
    pub fn find(
        state: &State,
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
    ) -> Option<Self> {
        let forged = profiles.iter().position(|p| !is_signed(state, p))?;
        let leaves: Vec<Hash> = profiles
            .iter()
            .map(|profile| merkle::leaf_hash(&canonical(profile)))
            .collect();
        let found = Self {
            group_block: group_block.clone(),
            profile: profiles[forged].clone(),
            index: u32::try_from(forged).ok()?,
            path: merkle::path(&leaves, forged)?,
        };
        found.check(state).map(|_| found)
    }

    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let sealed = &self.group_block.body;
        let key = parent_key(state, sealed.group)?;
        self.group_block.verify(&key, &state.chain_id()).ok()?;
        let is_sealed = merkle::includes(
            &sealed.root,
            sealed.count.into(),
            self.index.into(),
            &merkle::leaf_hash(&canonical(&self.profile)),
            &self.path,
        );
        if !is_sealed || is_signed(state, &self.profile) {
            return None;
        }
        let offence = Offence::ForgedProfile {
            group: sealed.group,
            round: sealed.round,
        };
        Some((offence, state.groups.get(&sealed.group)?.parent))
    }
}
