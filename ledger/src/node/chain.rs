//! The node's copy of the chain: verifying blocks, voting, telling when a charge is final.

use std::collections::{BTreeMap, VecDeque};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::message::{GetBlocks, Request};
use protocol::{Genesis, GroupId, Hash, Signed, UnixMillis};

use super::{Event, Node, Pending, disk};
use crate::apply::apply;
use crate::block::{Ballot, Block, Header};
use crate::frame::Frame;
use crate::merkle;
use crate::receipt_file::{self, Evidence};
use crate::state::State;

/// How far ahead of this node's clock a header may be and still get its vote.
const CLOCK_TOLERANCE_S: u64 = 300;

/// The newest header this node voted for. It never votes for one that does not extend it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Vote {
    pub(super) height: u64,
    pub(super) header: Hash,
}

/// The verified chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) state: State,
    // Leaf hashes of all headers.
    log: Vec<Hash>,
    // The newest block; all from the one before the oldest that holds a charge of the outbox.
    recent: VecDeque<Block>,
    // States before the blocks that hold charges of the outbox, for their receipts.
    before: BTreeMap<u64, State>,
    // What the provider said last about the height of its newest block.
    tip: u64,
    pub(super) vote: Option<Vote>,
    is_stopped: bool,
}

impl Chain {
    pub(super) fn new(genesis: Genesis) -> Self {
        Self {
            state: State::new(genesis),
            log: Vec::new(),
            recent: VecDeque::new(),
            before: BTreeMap::new(),
            tip: 0,
            vote: None,
            is_stopped: false,
        }
    }

    /// Takes a stored block in again; blocks from `needed` on hold charges of the outbox, and so
    /// does this one if `is_ours`. Only verified blocks are stored, so one that does not apply is a
    /// damaged disk; the chain then ends before it and is fetched again.
    pub(super) fn replay(&mut self, block: Block, is_ours: bool, needed: Option<u64>) {
        if let Ok(next) = apply(&self.state, &block) {
            self.keep(next, block, is_ours);
            self.forget(needed);
        }
    }

    fn keep(&mut self, next: State, block: Block, is_ours: bool) {
        let height = block.header.body.height;
        self.log.push(merkle::leaf_hash(&next.tip.0));
        let before = std::mem::replace(&mut self.state, next);
        if is_ours {
            self.before.insert(height, before);
        }
        self.recent.push_back(block);
        self.tip = self.tip.max(height);
    }

    /// Forgets what no charge of the outbox needs for its receipt.
    fn forget(&mut self, needed: Option<u64>) {
        let oldest = needed.map_or(self.state.height, |height| height.saturating_sub(1));
        self.recent
            .retain(|block| block.header.body.height >= oldest);
        self.before = self.before.split_off(&oldest);
    }

    /// Whether a vote for the newest header extends `self.vote`.
    fn extends_vote(&self) -> bool {
        let Some(vote) = &self.vote else { return true };
        let index = vote.height.checked_sub(1);
        let voted = index.and_then(|index| self.log.get(usize::try_from(index).ok()?));
        vote.height < self.state.height && voted == Some(&merkle::leaf_hash(&vote.header.0))
    }

    /// Whether the header `hash` is at `height` of this chain.
    pub(super) fn holds(&self, height: u64, hash: &Hash) -> bool {
        let index = height
            .checked_sub(1)
            .and_then(|index| usize::try_from(index).ok());
        let leaf = index.and_then(|index| self.log.get(index));
        leaf == Some(&merkle::leaf_hash(&hash.0))
    }

    fn recent_block(&self, height: u64) -> Option<&Block> {
        self.recent.iter().find(|b| b.header.body.height == height)
    }

    /// The receipt file of the charge number `seq` of `node` in the block at `height`.
    fn receipt(&self, node: protocol::NodeId, seq: u32, height: u64) -> Option<Vec<u8>> {
        let block = self.recent_block(height)?;
        let is_it = |line: &crate::block::ChargeLine| {
            line.profile.body.node == node && line.profile.body.seq == seq
        };
        let index = block.body.charges.iter().position(is_it)?;
        let ballots = self.ballots_for(height);
        let is_named =
            |header: &&Signed<Header>| ballots.iter().any(|b| b.body.height == header.body.height);
        let headers = self.recent.iter().map(|block| &block.header);
        let named: Vec<_> = headers.filter(is_named).cloned().collect();
        let before = self.before.get(&height)?;
        let anchor = self.recent_block(height.checked_sub(1)?)?;
        let evidence = Evidence {
            block,
            anchor: (&anchor.header, before),
            newest: (&self.recent.back()?.header, &self.state),
            ballots: &ballots,
            named: &named,
            log: &self.log,
        };
        let file = receipt_file::issue(&self.state.genesis, &evidence, index)?;
        Some(file.to_bytes())
    }

    /// For each voter its first ballot in the chain for `height` or above, sorted by voter.
    fn ballots_for(&self, height: u64) -> Vec<Signed<Ballot>> {
        let mut first: BTreeMap<GroupId, Signed<Ballot>> = BTreeMap::new();
        for ballot in self.recent.iter().flat_map(|block| &block.body.ballots) {
            if ballot.body.height >= height {
                first
                    .entry(ballot.body.voter)
                    .or_insert_with(|| ballot.clone());
            }
        }
        first.into_values().collect()
    }
}

impl Node {
    pub(super) fn chain_id(&self) -> Option<Hash> {
        self.chain.as_ref().map(|chain| chain.state.chain_id())
    }

    /// The provider said that its newest block is at `tip`; asks for what is missing.
    pub(super) fn catch_up(&mut self, tip: u64) {
        if let Some(chain) = &mut self.chain {
            chain.tip = chain.state.height.max(tip);
        }
        self.ask_for_blocks();
    }

    /// Asks for blocks up to the provider's newest, unless they are all here.
    pub(super) fn ask_for_blocks(&mut self) {
        let Some(chain) = &self.chain else { return };
        if chain.state.height < chain.tip && !chain.is_stopped {
            let from = chain.state.height + 1;
            self.call(Pending::Blocks, Request::GetBlocks(GetBlocks { from }));
        }
    }

    pub(super) fn block(&mut self, now: UnixMillis, block: Block) {
        let Some(chain) = &mut self.chain else { return };
        let height = block.header.body.height;
        if chain.is_stopped || height <= chain.state.height {
            return;
        }
        if height > chain.state.height + 1 {
            self.catch_up(height);
            return;
        }
        match apply(&chain.state, &block) {
            Ok(next) => self.accept(now, next, block),
            Err(invalid) => self.reject(&block, invalid.to_string()),
        }
    }

    fn accept(&mut self, now: UnixMillis, next: State, block: Block) {
        self.persist(disk::block(&block));
        let is_ours = self.outbox.is_in(&block);
        let header = block.header.body.clone();
        let chain = self.chain.as_mut().expect("a block was applied to it");
        chain.keep(next, block, is_ours);
        self.note_charges(header.height);
        let broken = self.rounds.settle(
            header.round,
            self.chain.as_ref().and_then(|c| c.recent.back()),
        );
        for profile in broken {
            let height = header.height;
            self.notify(Event::BrokenReceipt { height, profile });
            self.chain.as_mut().expect("it is there").is_stopped = true;
        }
        self.release_final();
        self.vote(now);
        self.submit(now);
    }

    /// Keeps what breaks the rules and builds on nothing after it.
    fn reject(&mut self, block: &Block, reason: String) {
        let chain = self.chain.as_mut().expect("a block was applied to it");
        let provider = chain.state.genesis.provider_key;
        if block
            .header
            .verify(&provider, &chain.state.chain_id())
            .is_err()
        {
            // Not the provider's: it proves nothing and stops nothing.
            return;
        }
        chain.is_stopped = true;
        self.persist(disk::proof(block));
        let height = block.header.body.height;
        self.notify(Event::InvalidBlock { height, reason });
    }

    fn note_charges(&mut self, height: u64) {
        let Some(id) = self.id else { return };
        let chain = self.chain.as_ref();
        let block = chain.and_then(|chain| chain.recent_block(height));
        let lines = block
            .map(|block| block.body.charges.clone())
            .unwrap_or_default();
        for line in lines.iter().filter(|line| line.profile.body.node == id) {
            self.charge_in_block(&line.profile, height);
        }
    }

    /// After a restart: finds the charges of the outbox in the chain.
    pub(super) fn find_charges_in_chain(&mut self) {
        let Some(chain) = &self.chain else { return };
        let heights: Vec<u64> = chain.recent.iter().map(|b| b.header.body.height).collect();
        for height in heights {
            self.note_charges(height);
        }
        self.release_final();
    }

    fn release_final(&mut self) {
        let (Some(chain), Some(id)) = (&self.chain, self.id) else {
            return;
        };
        let ready = self.charges_up_to(chain.state.final_height);
        let receipts: Vec<_> = ready
            .iter()
            .filter_map(|(seq, height)| Some((*seq, chain.receipt(id, *seq, *height)?)))
            .collect();
        for (seq, receipt) in receipts {
            self.charge_final(seq, receipt);
        }
        let needed = self.awaits_finality();
        if let Some(chain) = &mut self.chain {
            chain.forget(needed);
        }
    }

    /// Votes for the newest header, once, as soon as everything allows it.
    pub(super) fn vote(&mut self, now: UnixMillis) {
        let (Some(chain), Some(id)) = (&mut self.chain, self.id) else {
            return;
        };
        let state = &chain.state;
        let is_newest = state.height > 0 && state.height == chain.tip;
        let is_ahead = state.time.0 > now.seconds().0.saturating_add(CLOCK_TOLERANCE_S);
        let is_voter = state.votes_of(id).next().is_some();
        if chain.is_stopped || !is_newest || is_ahead || !is_voter || !chain.extends_vote() {
            return;
        }
        let vote = Vote {
            height: state.height,
            header: state.tip,
        };
        chain.vote = Some(vote.clone());
        self.persist(disk::vote(&vote));
        self.repeat_ballots();
    }

    /// Sends the ballots of the newest vote.
    pub(super) fn repeat_ballots(&mut self) {
        let (Some(chain), Some(id)) = (&self.chain, self.id) else {
            return;
        };
        let Some(vote) = chain.vote.clone() else {
            return;
        };
        let chain_id = chain.state.chain_id();
        let voters: Vec<GroupId> = chain.state.votes_of(id).collect();
        for voter in voters {
            let ballot = Ballot {
                voter,
                height: vote.height,
                header: vote.header,
            };
            let signed = Signed::new(ballot, &self.key, &chain_id);
            self.send(Frame::Ballot(signed));
        }
    }
}
