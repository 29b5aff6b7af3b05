//! A parent left a profile out of its group block that it had acknowledged.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{NodeId, ProfileAck, Signed, SignedProfile};

use super::sealed::Sealed;
use super::{Offence, sealed_by};
use crate::apply::parent_key;
use crate::block::GroupBlock;
use crate::state::State;

/// An acknowledgement, the profile it names, and a group block of the same round without it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Omission {
    /// Signed by the group's parent.
    pub ack: Signed<ProfileAck>,
    /// What the parent acknowledged.
    pub profile: SignedProfile,
    /// Signed by the group's parent.
    pub group_block: Signed<GroupBlock>,
    /// The last profile that comes before it, unless none does.
    pub before: Option<Sealed>,
    /// The first one that comes after it, unless none does.
    pub after: Option<Sealed>,
}

impl Omission {
    /// The group block is over `profiles`, which are sorted.
    pub(super) fn find(
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
        ack: &Signed<ProfileAck>,
        profile: &SignedProfile,
    ) -> Option<Self> {
        let key = profile.body.sort_key();
        let place = profiles.partition_point(|p| p.body.sort_key() < key);
        if profiles
            .get(place)
            .is_some_and(|p| p.body.sort_key() == key)
        {
            return None;
        }
        let show = |index: usize| Sealed::show(profiles, [index]).map(|[sealed]| sealed);
        Some(Self {
            ack: ack.clone(),
            profile: profile.clone(),
            group_block: group_block.clone(),
            before: place.checked_sub(1).and_then(show),
            after: show(place),
        })
    }

    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let parent = sealed_by(state, &self.group_block)?;
        let sealed = &self.group_block.body;
        let ack = &self.ack.body;
        let key = parent_key(state, ack.group)?;
        self.ack.verify(&key, &state.chain_id()).ok()?;
        let is_named = ack.group == sealed.group
            && ack.round == sealed.round
            && ack.profile == self.profile.hash();
        let is_omitted = is_named && self.is_absent(sealed);
        is_omitted.then_some((Offence::of_parent(sealed.group, sealed.round), parent))
    }

    /// In a sorted tree nothing stands between neighbours, before the first or after the last.
    fn is_absent(&self, sealed: &GroupBlock) -> bool {
        let key = self.profile.body.sort_key();
        let is_below = |s: &Sealed| s.is_under(sealed) && s.key() < key;
        let is_above = |s: &Sealed| s.is_under(sealed) && s.key() > key;
        match (&self.before, &self.after) {
            (None, None) => sealed.count == 0,
            (None, Some(after)) => is_above(after) && after.index == 0,
            (Some(before), None) => is_below(before) && before.is_last(sealed),
            (Some(before), Some(after)) => {
                is_below(before) && is_above(after) && before.is_before(after)
            }
        }
    }
}
