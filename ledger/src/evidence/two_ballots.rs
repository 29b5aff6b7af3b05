//! A voter said yes to two headers of which neither extends the other.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Hash, NodeId, Signed};

use super::Offence;
use crate::apply::parent_key;
use crate::block::{Ballot, Header};
use crate::merkle;
use crate::state::State;

/// Two ballots of one voter, the lower one first.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TwoBallots {
    /// Signed by the voter's parent.
    pub lower: Signed<Ballot>,
    /// Signed by the voter's parent, for the same height or a higher one.
    pub higher: Signed<Ballot>,
    /// For a higher one: that its header does not extend the other's.
    pub fork: Option<Fork>,
}

/// That a header's log holds another header at a height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fork {
    /// What the higher ballot names. Signed by the provider.
    pub header: Signed<Header>,
    /// The leaf that its log holds where the lower ballot's header should be.
    pub leaf: Hash,
    /// The path of that leaf.
    pub path: Vec<Hash>,
}

impl TwoBallots {
    pub(super) fn check(&self, state: &State) -> Option<(Offence, NodeId)> {
        let (lower, higher) = (&self.lower.body, &self.higher.body);
        let key = parent_key(state, lower.voter)?;
        for ballot in [&self.lower, &self.higher] {
            ballot.verify(&key, &state.chain_id()).ok()?;
        }
        let is_fork = match &self.fork {
            None => lower.height == higher.height && lower.header != higher.header,
            Some(fork) => fork.parts(state, lower, higher),
        };
        let offence = Offence::Voter {
            group: lower.voter,
            height: lower.height,
        };
        let is_proof = is_fork && lower.voter == higher.voter && !state.is_pardoned(lower.height);
        is_proof.then_some((offence, state.groups.get(&lower.voter)?.parent))
    }
}

impl Fork {
    /// Whether the `higher` ballot's header leaves the chain of the `lower` one's.
    fn parts(&self, state: &State, lower: &Ballot, higher: &Ballot) -> bool {
        let header = &self.header.body;
        let Some(index) = lower.height.checked_sub(1) else {
            return false;
        };
        let size = header.height.saturating_sub(1);
        self.header.hash() == higher.header
            && header.height == higher.height
            && self.leaf != merkle::leaf_hash(&lower.header.0)
            && merkle::includes(&header.log_root, size, index, &self.leaf, &self.path)
            && self
                .header
                .verify(&state.genesis.provider_key, &state.chain_id())
                .is_ok()
    }
}
