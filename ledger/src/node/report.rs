//! What a node tells a provider that may have been restored from a backup: its newest header, the
//! promises it holds, and, where it is asked, its blocks.

use std::collections::BTreeMap;

use protocol::message::{GetBlocks, GetBlocksAck, JoinAck, Report, Response};
use protocol::{Hash, HexBytes, NodeId, UnixMillis, canonical};

use super::kept::Kept;
use super::outbox::Stage;
use super::{Effect, Node, disk};
use crate::frame::{Frame, Promised, Witnessed};

/// Blocks given for one GetBlocks; a provider that needs more asks again.
const BLOCKS_AT_ONCE: u64 = 16;

impl Node {
    /// What the shell says with Join.
    #[must_use]
    pub fn report(&self) -> Report {
        let newest = self.kept.newest().map(canonical);
        Report {
            node: self.id,
            keeps_blocks: matches!(self.kept, Kept::Blocks(_)),
            newest: newest.map(HexBytes),
        }
    }

    /// Shows a provider that has just started what this node was promised, and registers once more
    /// what is configured: an older copy of the provider's store knows neither.
    pub(super) fn report_to(&mut self, ack: &JoinAck) {
        if !ack.wants_report {
            return;
        }
        let promises = self.promises(ack.last_seq);
        let count = u32::try_from(promises.len()).unwrap_or(u32::MAX);
        for promised in promises.into_values() {
            self.send(Frame::Promised(promised));
        }
        self.send(Frame::Reported { promises: count });
        self.repeat_registrations();
        self.repeat_exchanges();
    }

    /// Promises that no block of this node's chain keeps yet, and those about its own charges above
    /// number `last_seq`.
    fn promises(&self, last_seq: u32) -> BTreeMap<Hash, Promised> {
        let mut promises: BTreeMap<Hash, Promised> = self
            .rounds
            .witnessed()
            .map(|witnessed| {
                let promised = Promised {
                    witnessed: witnessed.clone(),
                    detail: Vec::new(),
                };
                (witnessed.receipt.body.profile, promised)
            })
            .collect();
        for charge in self.outbox.charges() {
            if let Stage::Signed {
                profile,
                grant,
                receipt: Some(receipt),
            } = &charge.stage
                && profile.body.seq > last_seq
            {
                let witnessed = Witnessed {
                    profile: (**profile).clone(),
                    receipt: (**receipt).clone(),
                    grant: (**grant).clone(),
                };
                let promised = Promised {
                    witnessed,
                    detail: charge.measured.detail.clone(),
                };
                promises.insert(receipt.body.profile, promised);
            }
        }
        promises
    }

    /// The provider says which node this is. Where it gives another number than before, it has lost
    /// the first: what was signed under that is in no chain and never will be, and is held.
    pub(super) fn take_number(&mut self, id: NodeId) {
        if self.id == Some(id) {
            return;
        }
        let last = self.own_last_profile();
        let before = self.id.replace(id);
        self.persist(disk::node(id));
        let Some(before) = before else {
            return;
        };
        // Whoever gives the first number back later does not make this node use one twice.
        self.numbers.insert(before, last);
        self.persist(disk::number(before, last));
        self.signed_last = self.numbers.get(&id).copied().unwrap_or((0, Hash::ZERO));
        self.persist(disk::last_profile(&self.signed_last));
        for number in self.outbox.signed() {
            let reason = "the provider has lost this gateway's number and gave it another; compare \
                          with the bill before releasing";
            self.hold(number, reason.to_owned());
        }
    }

    /// The provider asks for blocks that it has lost.
    pub(super) fn give_blocks(&mut self, asked: &GetBlocks) -> Option<Response> {
        let tip = self.state()?.height;
        self.effect(Effect::SendBlocks {
            from: asked.from,
            count: BLOCKS_AT_ONCE,
        });
        Some(Response::GetBlocks(GetBlocksAck { tip }))
    }

    /// The provider has heard enough to go on.
    pub(super) fn resume(&mut self, now: UnixMillis, last: (u32, Hash), tip: u64) {
        if self.is_linked {
            // What failed has failed because the provider listened.
            self.deferred.clear();
            self.repeat_registrations();
            self.take_up(now, last, tip);
        }
    }
}
