//! Binary frames of the billing link: canonical bytes of what is signed.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Hash, ProfileAck, Signed, SignedGrant, SignedProfile, SignedReceipt};

use crate::block::{Ballot, Block, GroupBlock, Header};
use crate::resume::Resume;

/// The longest frame a peer may send: a block of ten thousand charges, each of another group.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// The longest detail of one charge.
pub const MAX_DETAIL_BYTES: usize = 64 << 10;

/// One binary frame. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Frame {
    /// Node to provider: a charge.
    Profile(Submission),
    /// Provider to node: the charge is taken in.
    Receipt(SignedReceipt),
    /// Provider to node: the charge breaks a rule.
    Refused {
        /// The profile's number.
        seq: u32,
        /// The rule, for the operator.
        reason: String,
    },
    /// Provider to the payer's parent and to witnesses: a charge of an open round.
    Witness(Witnessed),
    /// Parent to provider: it knows the charge.
    ProfileAck(Signed<ProfileAck>),
    /// Parent to provider: its group's round.
    GroupBlock(SealedGroup),
    /// Provider to node.
    Block(Box<Block>),
    /// Voter to provider.
    Ballot(Signed<Ballot>),
    /// Provider to a node that keeps headers only.
    Header(Box<Signed<Header>>),
    /// Provider to a node that keeps headers only: the bytes of a receipt file of one of its
    /// charges.
    Proof(Vec<u8>),
    /// Node to provider: the voters picked one of its two stories.
    Picked(Vec<Signed<Resume>>),
    /// Node to provider: a promise of the provider's that a restored provider may have lost.
    Promised(Promised),
    /// Node to provider: it has shown all it was promised.
    Reported {
        /// How many promises it has shown on this link.
        promises: u32,
    },
    /// Provider to node: it has heard enough; what it left unanswered until now is to be sent once
    /// more.
    Resume {
        /// As in [`JoinAck`](protocol::message::JoinAck).
        last_seq: u32,
        /// The same.
        last_profile: Hash,
        /// The same.
        tip: u64,
    },
}

/// A charge as its node submits it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Submission {
    /// The charge.
    pub profile: SignedProfile,
    /// The grant it rests on.
    pub grant: SignedGrant,
    /// What the profile's detail hash covers.
    pub detail: Vec<u8>,
}

/// A charge, the provider's promise about it, and what it takes to keep that: whoever witnesses it
/// can bring it back to a provider that has lost it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Witnessed {
    /// The charge.
    pub profile: SignedProfile,
    /// The promise.
    pub receipt: SignedReceipt,
    /// The grant it rests on.
    pub grant: SignedGrant,
}

/// A promise that is shown to the provider.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Promised {
    /// The promise.
    pub witnessed: Witnessed,
    /// What the profile's detail hash covers; empty from a witness, who does not know it.
    pub detail: Vec<u8>,
}

/// A group block with what it is over.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedGroup {
    /// The group block.
    pub block: Signed<GroupBlock>,
    /// Its profiles, in the order of its tree.
    pub profiles: Vec<SealedProfile>,
}

/// A profile under a group block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SealedProfile {
    /// One that the provider gave a receipt for: its hash is enough.
    Known(Hash),
    /// Any other.
    Full(Box<SignedProfile>),
}
