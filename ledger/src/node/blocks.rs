//! A full node's copy of the chain: verifying blocks, voting, telling when a charge is final.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Genesis, GroupId, Hash, Signed, UnixMillis};

use super::{Event, Node, disk};
use crate::apply::{ChargeFault, Invalid, apply};
use crate::block::{Ballot, Block, Header};
use crate::evidence::{BrokenReceipt, Exhibit, ForgedCharge};
use crate::frame::{Frame, Witnessed};
use crate::history::History;
use crate::receipt_file;
use crate::state::State;

/// How far ahead of this node's clock a header may be and still get its vote.
const CLOCK_TOLERANCE_S: u64 = 300;

/// The newest header this node voted for. It never votes for one that does not extend it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Vote {
    pub(super) height: u64,
    pub(super) header: Hash,
}

/// The verified chain of a full node.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) state: State,
    // From the block before the oldest that holds a charge of the outbox.
    history: History,
    // What the provider said last about the height of its newest block.
    pub(super) tip: u64,
    pub(super) vote: Option<Vote>,
    // The newest header from before this node kept blocks, until its block is here: the chain that
    // comes now is that one, or the provider has told two.
    followed: Option<Signed<Header>>,
}

impl Blocks {
    pub(super) fn new(genesis: Genesis) -> Self {
        Self {
            state: State::new(genesis),
            history: History::default(),
            tip: 0,
            vote: None,
            followed: None,
        }
    }

    /// The blocks come from a chain whose headers were here up to this one.
    pub(super) fn follow(&mut self, header: Option<Signed<Header>>) {
        self.followed = header.filter(|header| header.body.height > self.state.height);
        self.learn_tip(self.tip);
    }

    pub(super) fn learn_tip(&mut self, tip: u64) {
        let followed = self
            .followed
            .as_ref()
            .map_or(0, |header| header.body.height);
        self.tip = self.state.height.max(tip).max(followed);
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
        self.tip = self.tip.max(block.header.body.height);
        if self
            .followed
            .as_ref()
            .is_some_and(|header| header.body.height <= next.height)
        {
            self.followed = None;
        }
        let before = std::mem::replace(&mut self.state, next);
        self.history.push(block, is_ours.then_some(before));
    }

    /// Forgets what no charge of the outbox needs for its receipt.
    fn forget(&mut self, needed: Option<u64>) {
        let oldest = needed.map_or(self.state.height, |height| height.saturating_sub(1));
        self.history.forget(oldest);
    }

    /// Whether a vote for the newest header extends `self.vote`.
    fn extends_vote(&self) -> bool {
        let Some(vote) = &self.vote else { return true };
        vote.height < self.state.height && self.holds(vote.height, &vote.header)
    }

    /// Whether the header `hash` is at `height` of this chain.
    pub(super) fn holds(&self, height: u64, hash: &Hash) -> bool {
        self.history.holds(height, hash)
    }

    /// The receipt file of the charge number `seq` of `node` in the block at `height`.
    fn receipt(&self, node: protocol::NodeId, seq: u32, height: u64) -> Option<Vec<u8>> {
        let block = self.history.block(height)?;
        let is_it = |line: &crate::block::ChargeLine| {
            line.profile.body.node == node && line.profile.body.seq == seq
        };
        let index = block.body.charges.iter().position(is_it)?;
        let finality = self.history.finality(height, &self.state)?;
        let file = receipt_file::issue(&self.state.genesis, block, index, finality)?;
        Some(file.to_bytes())
    }

    /// What proves in few bytes that `block`, the next one, is `invalid`; `None` where only the
    /// whole block does.
    fn exhibit(&self, block: &Block, invalid: &Invalid) -> Option<Exhibit> {
        let Invalid::Charge {
            node,
            fault: ChargeFault::Signature,
            ..
        } = invalid
        else {
            return None;
        };
        let before = (&self.history.newest()?.header, &self.state);
        let forged = ForgedCharge::find(block, before, *node)?;
        Some(Exhibit::ForgedCharge(Box::new(forged)))
    }

    /// The header at `height`, where it is one of the newest.
    pub(super) fn header(&self, height: u64) -> Option<&Signed<Header>> {
        let followed = self.followed.as_ref();
        let followed = followed.filter(|header| header.body.height == height);
        followed.or_else(|| Some(&self.history.block(height)?.header))
    }
}

impl Node {
    pub(super) fn block(&mut self, now: UnixMillis, block: Block) {
        let height = block.header.body.height;
        let Some(chain) = self.kept.blocks() else {
            self.block_came_unasked(now, block);
            return;
        };
        if self.stopped.is_some() {
            return;
        }
        if height <= chain.state.height {
            self.compare(&block.header, None);
            return;
        }
        if height > chain.state.height + 1 {
            self.catch_up(height);
            return;
        }
        if self.is_given_up(&block.header.body) {
            self.stop_again(&block.header);
            return;
        }
        self.compare(&block.header, None);
        if self.stopped.is_some() {
            return;
        }
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        match apply(&chain.state, &block) {
            Ok(next) => self.accept(now, next, block),
            Err(invalid) => self.reject(&block, &invalid),
        }
    }

    /// The provider sends blocks to parents: a node with headers only that gets one is a parent and
    /// does not know it, as its disk was lost and its own chargers are in other groups by now.
    fn block_came_unasked(&mut self, now: UnixMillis, block: Block) {
        let is_signed = self.kept.genesis().is_some_and(|genesis| {
            let signed = block
                .header
                .verify(&genesis.provider_key, &genesis.chain_id());
            signed.is_ok()
        });
        let height = block.header.body.height;
        self.header(now, block.header);
        if is_signed && self.stopped.is_none() {
            self.become_full();
            self.catch_up(height);
        }
    }

    fn accept(&mut self, now: UnixMillis, next: State, block: Block) {
        self.persist(disk::block(&block));
        let is_ours = self.outbox.is_in(&block);
        let header = block.header.body.clone();
        self.neighbours.remember_header(&block.header);
        let chain = self.kept.blocks_mut().expect("a block was applied to it");
        chain.keep(next, block, is_ours);
        self.note_charges(header.height);
        self.note_convictions(header.height);
        let broken = self.rounds.settle(
            header.round,
            self.kept.blocks().and_then(|c| c.history.newest()),
        );
        for promised in broken {
            self.broken(header.height, &promised);
        }
        self.release_final();
        self.judge_early_bills();
        self.report_resume();
        self.vote(now);
        self.submit(now);
    }

    /// Keeps what breaks the rules and builds on nothing after it.
    fn reject(&mut self, block: &Block, invalid: &Invalid) {
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        let genesis = &chain.state.genesis;
        let signed = block
            .header
            .verify(&genesis.provider_key, &genesis.chain_id());
        if signed.is_err() {
            // Not the provider's: it proves nothing and stops nothing.
            return;
        }
        let height = block.header.body.height;
        let reason = invalid.to_string();
        let exhibit = chain.exhibit(block, invalid);
        self.persist(disk::proof(block));
        self.neighbours.remember_header(&block.header);
        let evidence = self.stop(
            height,
            format!("block {height} is invalid: {reason}"),
            exhibit,
        );
        self.notify(Event::InvalidBlock {
            height,
            reason,
            evidence,
        });
    }

    /// A promise about a charge that is in no block: where its round's block is here, it was broken
    /// when it was given.
    pub(super) fn compare_with_sealed(&mut self, promised: &Witnessed) {
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        let round = promised.receipt.body.round;
        if round > chain.state.round {
            return;
        }
        let headers = chain.history.blocks().map(|block| &block.header.body);
        let due = headers
            .filter(|header| header.round >= round)
            .min_by_key(|h| h.height);
        let height = due.map_or(chain.state.height, |header| header.height);
        self.broken(height, promised);
    }

    /// The block at `height` breaks a promise.
    fn broken(&mut self, height: u64, promised: &Witnessed) {
        let exhibit = self.kept.blocks().and_then(|chain| {
            let previous = &chain.history.block(height.checked_sub(1)?)?.header;
            let broken = BrokenReceipt::find(previous, chain.history.block(height)?, promised)?;
            Some(Exhibit::BrokenReceipt(Box::new(broken)))
        });
        let reason = format!("block {height} lacks a charge that the provider gave a receipt for");
        let evidence = self.stop(height, reason, exhibit);
        self.notify(Event::BrokenReceipt {
            height,
            profile: promised.profile.hash(),
            evidence,
        });
    }

    fn note_charges(&mut self, height: u64) {
        let Some(id) = self.id else { return };
        let chain = self.kept.blocks();
        let block = chain.and_then(|chain| chain.history.block(height));
        let lines = block
            .map(|block| block.body.charges.clone())
            .unwrap_or_default();
        for line in lines.iter().filter(|line| line.profile.body.node == id) {
            self.charge_in_block(&line.profile, height);
        }
    }

    fn note_convictions(&mut self, height: u64) {
        let state = self.kept.blocks().map(|chain| &chain.state);
        let convictions = state.map(|state| state.convictions_at(height));
        for (offence, conviction) in convictions.unwrap_or_default() {
            let node = conviction.node;
            self.notify(Event::Convicted { node, offence });
        }
    }

    /// After a restart: finds the charges of the outbox in the chain.
    pub(super) fn find_charges_in_chain(&mut self) {
        let Some(chain) = self.kept.blocks() else {
            return;
        };
        let heights: Vec<u64> = chain
            .history
            .blocks()
            .map(|b| b.header.body.height)
            .collect();
        for height in heights {
            self.note_charges(height);
        }
        self.release_final();
    }

    fn release_final(&mut self) {
        let (Some(chain), Some(id)) = (self.kept.blocks(), self.id) else {
            return;
        };
        let ready = self.charges_up_to(chain.state.final_height);
        let receipts: Vec<_> = ready
            .iter()
            .filter_map(|(seq, height)| Some((*seq, *height, chain.receipt(id, *seq, *height)?)))
            .collect();
        for (seq, height, receipt) in receipts {
            self.charge_final(seq, height, receipt);
        }
        let needed = self.awaits_finality();
        if let Some(chain) = self.kept.blocks_mut() {
            chain.forget(needed);
        }
    }

    /// Votes for the newest header, once, as soon as everything allows it.
    pub(super) fn vote(&mut self, now: UnixMillis) {
        let (Some(chain), Some(id)) = (self.kept.blocks_mut(), self.id) else {
            return;
        };
        let state = &chain.state;
        let is_newest = state.height > 0 && state.height == chain.tip;
        let is_ahead = state.time.0 > now.seconds().0.saturating_add(CLOCK_TOLERANCE_S);
        let is_voter = state.votes_of(id).next().is_some();
        if self.stopped.is_some() || !is_newest || is_ahead || !is_voter || !chain.extends_vote() {
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
        let (Some(chain), Some(id)) = (self.kept.blocks(), self.id) else {
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
