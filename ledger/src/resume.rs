//! After a provider told two stories: more than half of the voters say with which one they go on.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Domain, GroupId, Hash, Signable, Signed};

use crate::apply::parent_key;
use crate::state::State;

/// How far above the header that is picked a voter may say that it has followed a story.
const MAX_ASTRAY: u64 = 10_000;

/// A voter's word: it goes on with this header, whatever else it may have voted for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Resume {
    /// The group that votes.
    pub voter: GroupId,
    /// Height of the header.
    pub height: u64,
    /// Hash of the header.
    pub header: Hash,
    /// How far it has followed either story. Up to there two ballots convict nobody: it could not
    /// know that there were two.
    pub followed_height: u64,
}

impl Signable for Resume {
    const DOMAIN: Domain = Domain::Resume;
}

/// Why words of voters pick no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotResumed {
    /// None at all.
    #[error("there are no words of voters in it")]
    Empty,
    /// Different headers, or a voter twice.
    #[error("the words are not sorted by voter, or pick different headers")]
    Mixed,
    /// A voter that the chain does not know, or its word with another signature.
    #[error("a word is not one of a voter of this chain")]
    Voter,
    /// A height that no voter can have come to.
    #[error("a voter claims to have followed a story far above the header")]
    Astray,
    /// Half of the voters or fewer.
    #[error("{of} voters have to agree by more than half; these are {are}")]
    TooFew {
        /// Who has given a word.
        are: usize,
        /// All voters.
        of: usize,
    },
}

/// What words of voters pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Height of the header.
    pub height: u64,
    /// Hash of the header.
    pub header: Hash,
    /// Up to this height two ballots convict nobody.
    pub pardoned_height: u64,
}

/// What `words`, sorted by voter, pick, by the voters that `state` knew at its newest final header.
///
/// # Errors
/// `NotResumed`.
pub fn picked(state: &State, words: &[Signed<Resume>]) -> Result<Picked, NotResumed> {
    let first = &words.first().ok_or(NotResumed::Empty)?.body;
    let is_sorted = words.is_sorted_by(|a, b| a.body.voter < b.body.voter);
    let is_one = |word: &Signed<Resume>| {
        (word.body.height, word.body.header) == (first.height, first.header)
    };
    if !is_sorted || !words.iter().all(is_one) {
        return Err(NotResumed::Mixed);
    }
    let counts = |group: &crate::state::GroupAccount| group.voter_since <= state.final_height;
    let groups = state.groups.iter().filter(|(_, group)| counts(group));
    let voters: BTreeSet<GroupId> = groups.map(|(id, _)| *id).collect();
    let chain_id = state.chain_id();
    for word in words {
        let key = parent_key(state, word.body.voter).filter(|_| voters.contains(&word.body.voter));
        let is_signed = key.is_some_and(|key| word.verify(&key, &chain_id).is_ok());
        if !is_signed {
            return Err(NotResumed::Voter);
        }
    }
    let pardoned_height = words.iter().map(|word| word.body.followed_height).max();
    let pardoned_height = pardoned_height.unwrap_or(0);
    if pardoned_height > first.height.saturating_add(MAX_ASTRAY) {
        return Err(NotResumed::Astray);
    }
    if words.len() * 2 <= voters.len() {
        let (are, of) = (words.len(), voters.len());
        return Err(NotResumed::TooFew { are, of });
    }
    Ok(Picked {
        height: first.height,
        header: first.header,
        pardoned_height,
    })
}
