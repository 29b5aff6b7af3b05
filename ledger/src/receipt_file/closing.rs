//! What a receipt file adds where the block is final without the dormant: a later header, in whose
//! state they can be seen to be silent.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Genesis, GroupId, Hash, UnixSeconds};

use super::{Anchor, ReceiptError, ReceiptFile, Signer, Sources, StateLeaf};
use super::{in_log, log_path};
use crate::block::Header;
use crate::state::{GroupAccount, Leaf};

/// A header that came when the dispute period was over, and who was dormant then.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Closing {
    /// A descendant of the charge's header.
    pub anchor: Anchor,
    /// The path of the charge's header to its log root.
    pub log_path: Vec<Hash>,
    /// The voters that are dormant in its state and have not confirmed the charge's block, sorted.
    pub dormant: Vec<StateLeaf>,
}

impl Closing {
    /// Checks everything and tells how many voters do not count.
    pub(super) fn verify(&self, file: &ReceiptFile, signer: &Signer) -> Result<u32, ReceiptError> {
        let closing = &self.anchor.header;
        signer.check(closing, "header that ends the dispute period")?;
        let is_descendant = in_log(&closing.body, &file.header, &self.log_path);
        if !is_descendant || !self.anchor.holds_totals() {
            return Err(ReceiptError::Votes);
        }
        let (sealed, closed) = (file.header.body.time, closing.body.time);
        if !file.genesis.is_dispute_over(sealed, closed) {
            return Err(ReceiptError::Disputable { closed });
        }
        let mut last: Option<GroupId> = None;
        for leaf in &self.dormant {
            let voter = self.dormant_voter(file, leaf)?;
            if last.is_some_and(|before| before >= voter) {
                return Err(ReceiptError::Votes);
            }
            last = Some(voter);
        }
        u32::try_from(self.dormant.len()).map_err(|_| ReceiptError::Votes)
    }

    /// The voter of `leaf`, which could have confirmed the block, did not, and is dormant.
    fn dormant_voter(&self, file: &ReceiptFile, leaf: &StateLeaf) -> Result<GroupId, ReceiptError> {
        let Leaf::Group(voter, account) = &leaf.leaf else {
            return Err(ReceiptError::Votes);
        };
        // A ballot can be younger than this header: whoever cast it must not count twice.
        let votes = &file.finality.votes;
        let is_vote = votes.binary_search_by_key(voter, |vote| vote.ballot.body.voter);
        let closed = self.anchor.header.body.time;
        let is_silent = is_silent(&file.genesis, &file.header.body, account, closed);
        match is_silent && is_vote.is_err() && self.anchor.holds(leaf) {
            true => Ok(*voter),
            false => Err(ReceiptError::Votes),
        }
    }
}

/// Whether a voter could have confirmed the block of `header`, did not, and is dormant at `closed`.
fn is_silent(
    genesis: &Genesis,
    header: &Header,
    account: &GroupAccount,
    closed: UnixSeconds,
) -> bool {
    account.voter_since < header.height
        && account.voted_height < header.height
        && genesis.is_dormant(account.last_ballot, closed)
}

/// The newest header as the closing one; `None` where the block is not final with so many `votes`.
pub(super) fn issue(sources: &Sources<'_>, votes: usize) -> Option<Closing> {
    let (closing, state) = sources.newest;
    let (genesis, header) = (&state.genesis, sources.header);
    let closed = closing.body.time;
    let silent = |account: &GroupAccount| is_silent(genesis, header, account, closed);
    let count = state.groups.values().filter(|group| silent(group)).count();
    let counted = sources.anchor.1.groups.len().checked_sub(count)?;
    if votes * 2 <= counted || !genesis.is_dispute_over(header.time, closed) {
        return None;
    }
    let groups = state.groups.iter().filter(|(_, group)| silent(group));
    let dormant = groups
        .map(|(group, _)| StateLeaf::of_group(state, *group))
        .collect::<Option<Vec<StateLeaf>>>()?;
    Some(Closing {
        anchor: Anchor::of(closing, state)?,
        log_path: log_path(sources.log, &closing.body, header)?,
        dormant,
    })
}
