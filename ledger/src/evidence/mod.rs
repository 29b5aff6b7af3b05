//! Evidence: signed bytes that convict whoever signed them, by arithmetic that anyone can repeat.
//!
//! What convicts a parent, a node or a voter is recorded in a block and checked by `apply` ([`Evidence`]).
//! What convicts the provider cannot be left to its own blocks: it is a file that is checked
//! offline ([`EvidenceFile`]).
//!
//! A conviction changes no vote and no charge.

mod broken_receipt;
mod disorder;
mod file;
mod forged_charge;
mod forged_profile;
mod omission;
mod sealed;
mod two_ballots;
mod two_group_blocks;
mod two_headers;
mod two_profiles;
mod wrong_total;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{GroupId, Hash, NodeId, ProfileAck, Signed, SignedProfile};

use crate::apply::parent_key;
use crate::block::GroupBlock;
use crate::state::State;
pub use broken_receipt::{Absence, BrokenReceipt, Gap, Listed};
pub use disorder::Disorder;
pub use file::{EvidenceFile, Exhibit, MAX_BYTES, NotProven};
pub use forged_charge::ForgedCharge;
pub use forged_profile::ForgedProfile;
pub use omission::Omission;
pub use sealed::Sealed;
pub use two_ballots::{Fork, TwoBallots};
pub use two_group_blocks::TwoGroupBlocks;
pub use two_headers::TwoHeaders;
pub use two_profiles::TwoProfiles;
pub use wrong_total::WrongTotal;

/// Evidence as a block records it. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Evidence {
    /// A parent altered or invented a profile in its group block.
    ForgedProfile(Box<ForgedProfile>),
    /// A parent's group block holds a profile twice, or its profiles out of order.
    Disorder(Box<Disorder>),
    /// A parent's group block states a total that its profiles do not come to.
    WrongTotal(Box<WrongTotal>),
    /// A parent left a profile out of its group block that it had acknowledged.
    Omission(Box<Omission>),
    /// A parent sealed two group blocks for one round.
    TwoGroupBlocks(Box<TwoGroupBlocks>),
    /// A node signed two profiles with one number.
    TwoProfiles(Box<TwoProfiles>),
    /// A voter said yes to two headers of which neither extends the other.
    TwoBallots(Box<TwoBallots>),
}

/// What somebody is convicted of. Each is recorded once, however often and in however many ways it
/// is proven.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub enum Offence {
    /// As a group's parent, in one round.
    Parent {
        /// The parent's group.
        group: GroupId,
        /// The round.
        round: u64,
    },
    /// As a node, with one number.
    Node {
        /// The node.
        node: NodeId,
        /// The number.
        seq: u32,
    },
    /// As a voter, at one height.
    Voter {
        /// The voter.
        group: GroupId,
        /// The height of the lower header.
        height: u64,
    },
    /// As the provider, who told two stories. The voters picked one; what they voted for up to this
    /// height convicts none of them.
    Provider {
        /// The height.
        height: u64,
    },
}

impl Offence {
    fn of_parent(group: GroupId, round: u64) -> Self {
        Self::Parent { group, round }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parent { group, round } => {
                write!(f, "the parent of group {group} lied about round {round}")
            }
            Self::Node { node, seq } => {
                write!(f, "node {node} signed two charges with number {seq}")
            }
            Self::Provider { height } => {
                write!(
                    f,
                    "the provider told two stories; up to block {height} voters followed either"
                )
            }
            Self::Voter { group, height } => {
                write!(
                    f,
                    "group {group} voted for two stories about block {height}"
                )
            }
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
            Self::ForgedProfile(evidence) => evidence.check(state),
            Self::Disorder(evidence) => evidence.check(state),
            Self::WrongTotal(evidence) => evidence.check(state),
            Self::Omission(evidence) => evidence.check(state),
            Self::TwoGroupBlocks(evidence) => evidence.check(state),
            Self::TwoProfiles(evidence) => evidence.check(state),
            Self::TwoBallots(evidence) => evidence.check(state),
        }
    }

    /// Looks for what is wrong with a group block by itself. `profiles` are those that it should
    /// be over; nothing is found where its root is over others.
    #[must_use]
    pub fn against_group_block(
        state: &State,
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
    ) -> Option<Self> {
        let forged = || {
            let found = ForgedProfile::find(state, group_block, profiles)?;
            Some(Self::ForgedProfile(Box::new(found)))
        };
        let disorder = || {
            let found = Disorder::find(group_block, profiles)?;
            Some(Self::Disorder(Box::new(found)))
        };
        let total = || {
            let found = WrongTotal::find(group_block, profiles)?;
            Some(Self::WrongTotal(Box::new(found)))
        };
        let found = forged().or_else(disorder).or_else(total)?;
        found.check(state).map(|_| found)
    }

    /// Looks for an acknowledged profile that a group block over `profiles`, which are sorted,
    /// leaves out.
    #[must_use]
    pub fn of_omission(
        state: &State,
        group_block: &Signed<GroupBlock>,
        profiles: &[SignedProfile],
        ack: &Signed<ProfileAck>,
        profile: &SignedProfile,
    ) -> Option<Self> {
        let found = Omission::find(group_block, profiles, ack, profile)?;
        found.check(state)?;
        Some(Self::Omission(Box::new(found)))
    }

    /// A sentence about what it shows.
    #[must_use]
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::ForgedProfile(_) => "its group block holds a charge that its node did not sign",
            Self::Disorder(_) => "its group block holds a charge twice or out of order",
            Self::WrongTotal(_) => "its group block states another total than its charges come to",
            Self::Omission(_) => "its group block lacks a charge that it had acknowledged",
            Self::TwoGroupBlocks(_) => "it sealed two group blocks for one round",
            Self::TwoProfiles(_) => "it signed two charges with one number",
            Self::TwoBallots(_) => "it said yes to two headers of which neither extends the other",
        }
    }
}

/// Whether `profile` is signed by the node it names.
fn is_signed(state: &State, profile: &SignedProfile) -> bool {
    let node = state.nodes.get(&profile.body.node);
    node.is_some_and(|node| profile.verify(&node.key, &state.chain_id()).is_ok())
}

/// The parent whose signature the group block bears; `None` where it is another's or nobody's.
fn sealed_by(state: &State, group_block: &Signed<GroupBlock>) -> Option<NodeId> {
    let group = group_block.body.group;
    let key = parent_key(state, group)?;
    group_block.verify(&key, &state.chain_id()).ok()?;
    Some(state.groups.get(&group)?.parent)
}
