//! A headers-only node's copy of the chain (SPV): every header, and of bodies only what proves its
//! own charges.
//!
//! # Source
//! The paper: "the other members verify with block headers only (SPV)".

use std::collections::BTreeMap;

use protocol::message::{GetProof, Request};
use protocol::{EnergyWh, Genesis, Hash, Signed, SupplyPointId, UnixMillis};

use super::kept::Progress;
use super::outbox::{Stage, later};
use super::{Node, Pending, disk};
use crate::apply::{Edge, Invalid};
use crate::block::Header;
use crate::merkle::{self, Frontier};
use crate::receipt_file::ReceiptFile;
use crate::state::State;

/// Verified headers.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) genesis: Genesis,
    newest: Option<Signed<Header>>,
    log: Frontier,
    // Leaf hashes of all headers.
    leaves: Vec<Hash>,
    // What the provider said last about the height of its newest block.
    tip: u64,
    // The highest block that a charge of ours was proven to be final in.
    proven: u64,
    // Registers at the ends of this node's charges that have left the outbox.
    registers: BTreeMap<SupplyPointId, EnergyWh>,
}

impl Headers {
    pub(super) fn new(genesis: Genesis) -> Self {
        Self {
            genesis,
            newest: None,
            log: Frontier::default(),
            leaves: Vec::new(),
            tip: 0,
            proven: 0,
            registers: BTreeMap::new(),
        }
    }

    /// Takes what was stored in again. A header that does not follow is a damaged disk; the chain
    /// then ends before it and is fetched again.
    pub(super) fn replay(&mut self, header: &Signed<Header>) {
        if self.check_next(header).is_ok() {
            self.append(header.clone());
        }
    }

    pub(super) fn restore_register(&mut self, supply_point: SupplyPointId, register: EnergyWh) {
        self.registers.insert(supply_point, register);
    }

    pub(super) fn register(&self, supply_point: SupplyPointId) -> Option<EnergyWh> {
        self.registers.get(&supply_point).copied()
    }

    pub(super) fn height(&self) -> u64 {
        self.newest.as_ref().map_or(0, |header| header.body.height)
    }

    pub(super) fn round(&self) -> u64 {
        self.newest.as_ref().map_or(0, |header| header.body.round)
    }

    pub(super) fn newest(&self) -> Option<&Signed<Header>> {
        self.newest.as_ref()
    }

    /// The header at `height`, where it is the newest.
    pub(super) fn header(&self, height: u64) -> Option<&Signed<Header>> {
        self.newest
            .as_ref()
            .filter(|header| header.body.height == height)
    }

    pub(super) fn tip(&self) -> u64 {
        self.tip.max(self.height())
    }

    pub(super) fn learn_tip(&mut self, tip: u64) {
        self.tip = self.height().max(tip);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.height() < self.tip
    }

    /// Whether the header `hash` is at `height`.
    pub(super) fn holds(&self, height: u64, hash: &Hash) -> bool {
        let index = height.checked_sub(1).map(usize::try_from);
        let leaf = index.and_then(|index| self.leaves.get(index.ok()?));
        leaf == Some(&merkle::leaf_hash(&hash.0))
    }

    pub(super) fn progress(&self) -> Progress {
        let chain_id = self.genesis.chain_id();
        Progress {
            chain_id,
            is_headers_only: true,
            height: self.height(),
            tip: self.newest.as_ref().map_or(chain_id, Signed::hash),
            state_root: self.newest.as_ref().map_or_else(
                || State::new(self.genesis.clone()).root(),
                |header| header.body.state_root,
            ),
            final_height: self.proven,
        }
    }

    fn check_next(&self, header: &Signed<Header>) -> Result<(), Invalid> {
        let newest = self.newest.as_ref();
        let edge = Edge {
            genesis: &self.genesis,
            height: self.height(),
            tip: newest.map_or_else(|| self.genesis.chain_id(), Signed::hash),
            round: self.round(),
            time: newest.map_or(self.genesis.time, |header| header.body.time),
            log: &self.log,
        };
        edge.check_next(header)
    }

    fn append(&mut self, header: Signed<Header>) {
        let leaf = merkle::leaf_hash(&header.hash().0);
        self.leaves.push(leaf);
        self.log.push(leaf);
        self.tip = self.tip.max(header.body.height);
        self.newest = Some(header);
    }
}

impl Node {
    /// The provider sends a header.
    pub(super) fn header(&mut self, now: UnixMillis, header: Signed<Header>) {
        let height = header.body.height;
        let Some(headers) = self.kept.headers_mut() else {
            // Sent before the provider knew that this node keeps blocks.
            match self.kept.blocks().map(|blocks| blocks.state.height) {
                Some(own) if own < height => self.catch_up(height),
                Some(_) if self.stopped.is_none() => self.compare(&header, None),
                _ => {}
            }
            return;
        };
        if self.stopped.is_some() {
            return;
        }
        if height <= headers.height() {
            self.compare(&header, None);
            return;
        }
        if height > headers.height() + 1 {
            self.catch_up(height);
            return;
        }
        if self.is_given_up(&header.body) {
            self.stop_again(&header);
            return;
        }
        let Some(headers) = self.kept.headers_mut() else {
            return;
        };
        // What does not follow is not kept. It may be anybody's, and proves nothing in few bytes.
        if headers.check_next(&header).is_ok() {
            headers.append(header.clone());
            self.persist(disk::header(&header));
            self.neighbours.remember_header(&header);
            self.ask_for_proofs();
            self.submit(now);
        }
    }

    /// Asks for proof of the charges whose block must be sealed by now, or may be.
    pub(super) fn ask_for_proofs(&mut self) {
        let Some(headers) = self.kept.headers() else {
            return;
        };
        let taken_in = self.provider_last.0;
        if let Some(oldest) = self.outbox.oldest_unproven(headers.round(), taken_in) {
            let after = oldest.saturating_sub(1);
            self.call(Pending::Proof, Request::GetProof(GetProof { after }));
        }
    }

    /// All proofs for a question about the charges after number `after` are here. There may be more
    /// than come at once; asking again where none came would never end.
    pub(super) fn proofs_came(&mut self, after: u32) {
        let round = self.kept.headers().map(Headers::round);
        let taken_in = self.provider_last.0;
        let oldest = round.and_then(|round| self.outbox.oldest_unproven(round, taken_in));
        if oldest.is_some_and(|oldest| oldest > after.saturating_add(1)) {
            self.ask_for_proofs();
        }
    }

    /// The provider shows that a charge is in a final block.
    pub(super) fn proof(&mut self, bytes: Vec<u8>) {
        let (Some(headers), Some(id)) = (self.kept.headers(), self.id) else {
            return;
        };
        if self.stopped.is_some() {
            return;
        }
        let Ok(file) = ReceiptFile::from_bytes(&bytes) else {
            return;
        };
        let body = &file.line.profile.body;
        let (height, hash) = (file.header.body.height, file.header.hash());
        let is_proof = body.node == id
            && file.genesis == headers.genesis
            && headers.holds(height, &hash)
            && file.verify(Some(&headers.genesis.provider_key)).is_ok();
        if is_proof {
            self.proven(&file, height, bytes);
            // Where the answer to the question came first, it did not ask for the next.
            self.ask_for_proofs();
        }
    }

    fn proven(&mut self, file: &ReceiptFile, height: u64, bytes: Vec<u8>) {
        let profile = &file.line.profile;
        let seq = profile.body.seq;
        let Some(headers) = self.kept.headers_mut() else {
            return;
        };
        headers.proven = headers.proven.max(height);
        let ours = self.outbox.charges().find(|charge| {
            matches!(&charge.stage, Stage::Signed { profile: ours, .. } if **ours == *profile)
        });
        let Some(ours) = ours else {
            // Held, where the outbox has another charge of this number.
            self.charge_in_block(profile, height);
            return;
        };
        let is_by_old_meter = self.is_by_old_meter(&ours.measured.outlet, ours.number);
        if let Some(register) = profile.body.register_end().filter(|_| !is_by_old_meter)
            && let Some(headers) = self.kept.headers_mut()
        {
            headers.restore_register(profile.body.supply_point, register);
            self.persist(disk::register(profile.body.supply_point, register));
        }
        self.signed_last = later(self.signed_last, (seq, profile.hash()));
        self.persist(disk::last_profile(&self.signed_last));
        self.charge_final(seq, height, bytes);
    }
}
