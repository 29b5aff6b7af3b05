//! Evidence: signed bytes that convict whoever signed them, by arithmetic that anyone can repeat.
//!
//! What convicts a party other than the provider is recorded in a block and checked by `apply`
//! ([`Evidence`]). What convicts the provider cannot be left to its own blocks: it is a file that
//! is checked offline ([`EvidenceFile`]).
//!
//! A conviction changes no vote and no charge.

mod file;
mod forged_charge;
mod forged_profile;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{GroupId, Hash, NodeId, SignedProfile};

use crate::state::State;
pub use file::{EvidenceFile, Exhibit, MAX_BYTES, NotProven};
pub use forged_charge::ForgedCharge;
pub use forged_profile::ForgedProfile;

/// Evidence as a block records it. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Evidence {
    /// Against a group's parent.
    ForgedProfile(Box<ForgedProfile>),
}

/// What somebody is convicted of. Each offence is recorded once, however often it is proven.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Offence {
    /// A parent's group block holds a profile that its node did not sign.
    ForgedProfile {
        /// The parent's group.
        group: GroupId,
        /// The group block's round.
        round: u64,
    },
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForgedProfile { group, round } => write!(
                f,
                "the parent of group {group} sealed a charge for round {round} that its node did \
                 not sign"
            ),
        }
    }
}

/// A conviction in the state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Conviction {
    /// The node that signed.
    pub node: NodeId,
    /// Height of the block that records the evidence.
    pub height: u64,
    /// Hash of the evidence.
    pub evidence: Hash,
}

impl Evidence {
    /// What it proves, and of which node, by the keys of `state`; `None` where it proves nothing.
    #[must_use]
    pub fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        match self {
            Self::ForgedProfile(forged) => forged.check(state),
        }
    }
}

/// Whether `profile` is signed by the node it names.
fn is_signed(state: &State, profile: &SignedProfile) -> bool {
    let node = state.nodes.get(&profile.body.node);
    node.is_some_and(|node| profile.verify(&node.key, &state.chain_id()).is_ok())
}
