//! A parent's group block states a total that its profiles do not come to.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{EnergyWh, NodeId, Signed, SignedProfile};

use super::sealed::Sealed;
use super::{Offence, sealed_by};
use crate::block::GroupBlock;
use crate::state::State;

/// A group block and its last profile, with whose running sum the stated total does not agree.
///
/// The sums on the way are the parent's own: one that starts or goes on wrongly is no honest
/// parent's either, and is proof, too.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WrongTotal {
    /// Signed by the group's parent.
    pub group_block: Signed<GroupBlock>,
    /// The profile at which the sum is wrong.
    pub sealed: Sealed,
    /// The one after it; absent where `sealed` is the last, or the first and wrong by itself.
    pub next: Option<Sealed>,
}

impl WrongTotal {
    /// The group block is over `profiles`, with sums that are right on the way.
    pub(super) fn find(
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
    ) -> Option<Self> {
        let [last] = Sealed::show(profiles, [profiles.len().checked_sub(1)?])?;
        let is_wrong = last.after() != group_block.body.energy;
        is_wrong.then(|| Self {
            group_block: group_block.clone(),
            sealed: last,
            next: None,
        })
    }

    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let parent = sealed_by(state, &self.group_block)?;
        let total = &self.group_block.body;
        let is_wrong = self.sealed.is_under(total)
            && match &self.next {
                None => self.is_wrong_alone(total),
                Some(next) => self.is_wrong_before(next, total),
            };
        is_wrong.then_some((Offence::of_parent(total.group, total.round), parent))
    }

    fn is_wrong_alone(&self, total: &GroupBlock) -> bool {
        let begins_wrong = self.sealed.index == 0 && self.sealed.before != EnergyWh(0);
        let ends_wrong = self.sealed.is_last(total) && self.sealed.after() != total.energy;
        begins_wrong || ends_wrong
    }

    fn is_wrong_before(&self, next: &Sealed, total: &GroupBlock) -> bool {
        next.is_under(total) && self.sealed.is_before(next) && self.sealed.after() != next.before
    }
}
