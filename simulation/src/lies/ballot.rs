//! Lies of voters, and crowds of Sybils.

use ledger::{Ballot, Node};
use protocol::{GroupId, Hash, KeyPair, Signed};

/// How a ballot is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BallotLie {
    MadeUp,
    ForAnother,
    Repeated,
}

/// All of them, with the names they are counted under.
pub(crate) const BALLOT_LIES: [(BallotLie, &str); 3] = [
    (BallotLie::MadeUp, "lie: a vote for a header nobody sealed"),
    (BallotLie::ForAnother, "lie: a vote for another voter"),
    (BallotLie::Repeated, "lie: an old vote once more"),
];

/// How a crowd of Sybils votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrowdLie {
    /// Never.
    Silent,
    /// Only for what is final already: it stays awake and confirms nothing.
    Grudging,
    /// For everything, at once, unseen.
    Approving,
}

/// What goes out in place of an honest ballot; `first` is the first that this voter ever cast.
pub(super) fn lie(
    lie: BallotLie,
    honest: &Signed<Ballot>,
    first: Option<&Signed<Ballot>>,
    key: &KeyPair,
    chain_id: &Hash,
) -> Vec<Signed<Ballot>> {
    let mut body = honest.body.clone();
    match lie {
        BallotLie::MadeUp => body.header.0[0] ^= 1,
        BallotLie::ForAnother => body.voter = GroupId(body.voter.0 % 3 + 1),
        BallotLie::Repeated => {
            return first.cloned().into_iter().chain([honest.clone()]).collect();
        }
    }
    vec![Signed::new(body, key, chain_id)]
}

/// The ballots of all groups of `node` for a header.
pub(super) fn approve(
    node: &Node,
    height: u64,
    header: Hash,
    key: &KeyPair,
    chain_id: &Hash,
) -> Vec<Signed<Ballot>> {
    let (Some(state), Some(id)) = (node.state(), node.id()) else {
        return Vec::new();
    };
    let sign = |voter| {
        let ballot = Ballot {
            voter,
            height,
            header,
        };
        Signed::new(ballot, key, chain_id)
    };
    state.votes_of(id).map(sign).collect()
}
