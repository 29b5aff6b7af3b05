//! The newest blocks, with what it takes to prove that one of them is final.

use std::collections::{BTreeMap, VecDeque};

use protocol::{GroupId, Hash, Signed};

use crate::block::{Ballot, Block, Header};
use crate::evidence::{Fork, TwoBallots};
use crate::merkle;
use crate::receipt_file::{FinalityProof, Sources};
use crate::state::State;

/// All header hashes, and the newest blocks.
#[derive(Debug, Default)]
pub(crate) struct History {
    // Leaf hashes of all headers.
    log: Vec<Hash>,
    // Invariant: without gaps, the newest always.
    blocks: VecDeque<Block>,
    // The states before those blocks whose charges are to be proven.
    before: BTreeMap<u64, State>,
}

impl History {
    /// Appends a block. `before` is the state before it, where its charges are to be proven.
    pub(crate) fn push(&mut self, block: Block, before: Option<State>) {
        let height = block.header.body.height;
        self.log.push(merkle::leaf_hash(&block.header.hash().0));
        if let Some(state) = before {
            self.before.insert(height, state);
        }
        self.blocks.push_back(block);
    }

    /// Forgets the blocks below `oldest`, but not the newest of all.
    pub(crate) fn forget(&mut self, oldest: u64) {
        while self.blocks.len() > 1 && self.blocks[0].header.body.height < oldest {
            self.blocks.pop_front();
        }
        self.before = self.before.split_off(&oldest);
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    pub(crate) fn newest(&self) -> Option<&Block> {
        self.blocks.back()
    }

    pub(crate) fn block(&self, height: u64) -> Option<&Block> {
        self.blocks.iter().find(|b| b.header.body.height == height)
    }

    /// Whether the header `hash` is at `height`.
    pub(crate) fn holds(&self, height: u64, hash: &Hash) -> bool {
        let index = height.checked_sub(1).map(usize::try_from);
        let leaf = index.and_then(|index| self.log.get(index.ok()?));
        leaf == Some(&merkle::leaf_hash(&hash.0))
    }

    /// What proves that the block at `height` is final, where `state` is the one after the newest
    /// block; `None` where something is not here (any more).
    pub(crate) fn finality(&self, height: u64, state: &State) -> Option<FinalityProof> {
        let ballots = self.ballots_for(height);
        let is_named =
            |header: &&Signed<Header>| ballots.iter().any(|b| b.body.height == header.body.height);
        let headers = self.blocks.iter().map(|block| &block.header);
        let named: Vec<_> = headers.filter(is_named).cloned().collect();
        let before = self.before.get(&height)?;
        FinalityProof::prove(&Sources {
            header: &self.block(height)?.header.body,
            anchor: (&self.block(height.checked_sub(1)?)?.header, before),
            newest: (&self.newest()?.header, state),
            ballots: &ballots,
            named: &named,
            log: &self.log,
        })
    }

    /// The newest ballot of a voter in the newest blocks.
    pub(crate) fn newest_ballot(&self, voter: GroupId) -> Option<&Signed<Ballot>> {
        let mut ballots = self.blocks.iter().rev().flat_map(|b| b.body.ballots.iter());
        ballots.find(|ballot| ballot.body.voter == voter)
    }

    /// That `other` is for a header beside this chain, and `own` for one of it, where that shows;
    /// a header beside it that is higher than `own` is known to nobody here.
    pub(crate) fn two_ballots(
        &self,
        own: &Signed<Ballot>,
        other: &Signed<Ballot>,
    ) -> Option<TwoBallots> {
        let (height, header) = (other.body.height, &other.body.header);
        if height > own.body.height || self.holds(height, header) {
            return None;
        }
        let fork = match height < own.body.height {
            true => Some(self.fork(own.body.height, height)?),
            false => None,
        };
        Some(TwoBallots {
            lower: other.clone(),
            higher: own.clone(),
            fork,
        })
    }

    /// What the log of the header at `newer` holds at `older`.
    fn fork(&self, newer: u64, older: u64) -> Option<Fork> {
        let header = self.block(newer)?.header.clone();
        let size = usize::try_from(newer.checked_sub(1)?).ok()?;
        let index = usize::try_from(older.checked_sub(1)?).ok()?;
        Some(Fork {
            header,
            leaf: *self.log.get(index)?,
            path: merkle::path(self.log.get(..size)?, index)?,
        })
    }

    /// For each voter its first ballot in the chain for `height` or above, sorted by voter.
    fn ballots_for(&self, height: u64) -> Vec<Signed<Ballot>> {
        let mut first: BTreeMap<GroupId, Signed<Ballot>> = BTreeMap::new();
        for ballot in self.blocks.iter().flat_map(|block| &block.body.ballots) {
            if ballot.body.height >= height {
                first
                    .entry(ballot.body.voter)
                    .or_insert_with(|| ballot.clone());
            }
        }
        first.into_values().collect()
    }
}
