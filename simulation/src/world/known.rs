//! What of the provider's signatures is out in the world, and what of it the provider was told
//! since it started: the measure of a provider restored from a backup.
//!
//! It must not contradict what it was told. It may contradict what it signed in a life that its
//! disk has forgotten, where nobody who knew has come back: no rule can prevent that, and the run
//! then goes on as one in which the provider lies.

use std::collections::{BTreeMap, BTreeSet};

use ledger::block::Header;
use ledger::frame::{Frame, Promised};
use ledger::provider as rules;
use ledger::{Block, node};
use protocol::{Hash, Signed, SignedReceipt, decode};

use super::{Who, World};

/// Headers by height, and promises: round and profile.
#[derive(Debug, Default)]
struct SignedThings {
    headers: BTreeMap<u64, BTreeSet<Hash>>,
    promises: BTreeSet<(u64, Hash)>,
}

impl SignedThings {
    fn header(&mut self, header: &Signed<Header>) {
        let of_height = self.headers.entry(header.body.height).or_default();
        of_height.insert(header.hash());
    }

    fn promise(&mut self, receipt: &SignedReceipt) {
        let promise = &receipt.body;
        self.promises.insert((promise.round, promise.profile));
    }

    /// What `block`, after one of the round `before`, contradicts.
    fn contradicted_by(&self, before: u64, block: &Block) -> Option<&'static str> {
        let header = &block.header.body;
        let others = self.headers.get(&header.height);
        if others.is_some_and(|others| others.iter().any(|h| *h != block.header.hash())) {
            return Some("a header");
        }
        let from = (before + 1, Hash::ZERO);
        let until = (header.round, Hash([0xff; 32]));
        let holds = |profile: &Hash| {
            let mut lines = block.body.charges.iter();
            lines.any(|line| line.profile.hash() == *profile)
        };
        let mut due = self.promises.range(from..=until);
        let is_broken = |(round, profile): &(u64, Hash)| *round < header.round || !holds(profile);
        due.any(is_broken).then_some("a receipt")
    }
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Known {
    out: SignedThings,
    told: SignedThings,
    // Gateways that have told all they know in this life of the provider.
    tellers: BTreeSet<usize>,
    has_sealed: bool,
    /// The provider was restored from a backup once.
    pub(crate) was_restored: bool,
    /// In this life of the provider its operator has it go on unheard.
    pub(crate) is_overridden: bool,
}

impl World {
    /// Something arrives at a gateway.
    pub(super) fn note_out(&mut self, input: &node::Input) {
        let node::Input::Frame(frame) = input else {
            return;
        };
        if self.scenario.has_stranger && !self.is_the_providers(frame) {
            return;
        }
        let out = &mut self.known.out;
        match &**frame {
            Frame::Block(block) => out.header(&block.header),
            Frame::Header(header) => out.header(header),
            Frame::Receipt(receipt) => out.promise(receipt),
            Frame::Witness(witnessed) => out.promise(&witnessed.receipt),
            _ => {}
        }
    }

    fn is_the_providers(&self, frame: &Frame) -> bool {
        let genesis = &self.scenario.genesis;
        let (key, chain_id) = (&genesis.provider_key, genesis.chain_id());
        let signed = match frame {
            Frame::Block(block) => block.header.verify(key, &chain_id),
            Frame::Header(header) => header.verify(key, &chain_id),
            Frame::Receipt(receipt) => receipt.verify(key, &chain_id),
            Frame::Witness(witnessed) => witnessed.receipt.verify(key, &chain_id),
            _ => Ok(()),
        };
        signed.is_ok()
    }

    /// A new life of the provider begins: it was told nothing yet.
    pub(super) fn forget_told(&mut self) {
        self.known.told = SignedThings::default();
        self.known.tellers.clear();
        self.known.has_sealed = false;
        self.known.is_overridden = false;
    }

    /// The provider takes these inputs in.
    pub(super) fn note_told(&mut self, count: usize) {
        let Known { told, tellers, .. } = &mut self.known;
        let inbox = &self.branches[0].process.inbox;
        for input in inbox
            .iter()
            .take(count)
            .filter_map(|item| item.input.as_ref())
        {
            match input {
                rules::Input::Join { report, .. } => {
                    let newest = report.newest.as_ref();
                    let header = newest.and_then(|bytes| decode(&bytes.0).ok());
                    if let Some(header) = header {
                        told.header(&header);
                    }
                }
                rules::Input::Frame { link, frame } => match &**frame {
                    Frame::Reported { .. } => {
                        tellers.extend(self.links.get(link).map(|link| link.gateway));
                    }
                    Frame::Promised(Promised { witnessed, .. }) => told.promise(&witnessed.receipt),
                    Frame::Block(block) => told.header(&block.header),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// The first block of a life other than the first: more than half of the voters have told what
    /// they know.
    fn check_heard(&mut self, height: u64) {
        let is_first = !std::mem::replace(&mut self.known.has_sealed, true);
        let is_free = self.known.is_overridden || self.scenario.provider_lie.is_some();
        let process = &self.branches[0].process;
        let (true, false, Some(provider)) = (is_first, is_free, &process.machine) else {
            return;
        };
        // Who was silent too long by its clock when it began to go on, that may have been ahead.
        let now = process.clock(self.now).plus_ms(self.ahead_ms).seconds();
        let state = provider.state();
        let (mut voters, mut heard) = (0, 0);
        for group in state.groups.values().filter(|g| g.voter_since < height) {
            let key = state.nodes.get(&group.parent).map(|account| account.key);
            let mut gateways = self.gateways.iter();
            let parent = gateways.position(|gateway| Some(gateway.key.public()) == key);
            let is_heard = parent.is_some_and(|index| self.known.tellers.contains(&index));
            // One that was dormant may have woken up in this very block.
            let is_awake = group.last_ballot < state.time || is_heard;
            let is_dormant = !is_awake || state.genesis.is_dormant(group.last_ballot, now);
            voters += u64::from(is_heard || !is_dormant);
            heard += u64::from(is_heard);
        }
        if process.life > 1 && voters > 0 && heard * 2 <= voters {
            let words = format!("block {height} after reports of {heard} of {voters} voters");
            self.checks
                .violated("a provider that was started seals nothing unheard", &words);
        }
    }

    /// The provider has sealed a block.
    pub(super) fn note_sealed(&mut self, height: u64) {
        self.check_heard(height);
        if !self.known.was_restored || self.scenario.provider_lie.is_some() {
            return;
        }
        let blocks = self.read_blocks(height.saturating_sub(1), 2);
        let Some(block) = blocks.iter().find(|b| b.header.body.height == height) else {
            return;
        };
        let before = blocks.iter().find(|b| b.header.body.height + 1 == height);
        let before = before.map_or(0, |block| block.header.body.round);
        let told = self.known.told.contradicted_by(before, block);
        // One that has contradicted itself has two receipts out for a charge, and can keep one.
        let is_free = self.known.is_overridden || self.checks.is_excused();
        if let Some(what) = told.filter(|_| !is_free) {
            let words = format!("block {height} contradicts {what} that the provider was told of");
            self.checks.violated(
                "a restored provider contradicts nothing it was told",
                &words,
            );
        }
        let out = self.known.out.contradicted_by(before, block);
        if let Some(what) = out.filter(|_| !self.checks.is_excused()) {
            self.tally.count(match (self.known.is_overridden, what) {
                (true, _) => "restored provider contradicts itself: its operator let it",
                (_, "a header") => "restored provider contradicts a header it was not told of",
                _ => "restored provider contradicts a receipt it was not told of",
            });
            self.note(Who::Provider(0), || {
                format!("contradicts {what} that its disk has lost and nobody has told it of")
            });
            self.checks.excuse_provider();
        }
    }
}
