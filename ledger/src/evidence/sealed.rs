//! A profile shown under a group block: the piece that every accusation of a parent is made of.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{ChargerId, EnergyWh, Hash, NodeId, SignedProfile};

use crate::block::{GroupBlock, group_block_leaf};
use crate::merkle;

/// A leaf of a group block's tree with its path.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sealed {
    /// The profile.
    pub profile: SignedProfile,
    /// What the parent says that the profiles before it come to.
    pub before: EnergyWh,
    /// Its position.
    pub index: u32,
    /// Its path to the group block's root.
    pub path: Vec<Hash>,
}

impl Sealed {
    /// Shows the leaves at `indices` of the tree over `profiles`.
    pub(super) fn show<const N: usize>(
        profiles: &[SignedProfile],
        indices: [usize; N],
    ) -> Option<[Self; N]> {
        let leaves = GroupBlock::leaves(profiles.iter());
        let hashes: Vec<Hash> = leaves
            .iter()
            .map(|(profile, before)| group_block_leaf(profile, *before))
            .collect();
        let shown = indices.map(|index| {
            let (profile, before) = leaves.get(index)?;
            Some(Self {
                profile: (*profile).clone(),
                before: *before,
                index: u32::try_from(index).ok()?,
                path: merkle::path(&hashes, index)?,
            })
        });
        let all: Option<Vec<Self>> = shown.into_iter().collect();
        all?.try_into().ok()
    }

    /// Whether it is under `group_block`.
    pub(super) fn is_under(&self, group_block: &GroupBlock) -> bool {
        merkle::includes(
            &group_block.root,
            group_block.count.into(),
            self.index.into(),
            &group_block_leaf(&self.profile, self.before),
            &self.path,
        )
    }

    /// Whether it is the last one under `group_block`.
    pub(super) fn is_last(&self, group_block: &GroupBlock) -> bool {
        self.index.checked_add(1) == Some(group_block.count)
    }

    /// Whether `next` follows it directly.
    pub(super) fn is_before(&self, next: &Self) -> bool {
        self.index.checked_add(1) == Some(next.index)
    }

    /// The sum that the profile after it has to state.
    pub(super) fn after(&self) -> EnergyWh {
        let energy = u64::from(self.profile.body.energy_wh);
        EnergyWh(self.before.0.saturating_add(energy))
    }

    pub(super) fn key(&self) -> (ChargerId, NodeId, u32) {
        self.profile.body.sort_key()
    }
}
