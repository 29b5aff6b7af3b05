//! Promises that nodes have shown: charges which this provider gave receipts for, and whose receipts
//! its store has lost.

use protocol::{NodeId, Receipt, Signed, SignedProfile, SignedReceipt, UnixMillis};

use super::{Event, Provider};
use crate::frame::{Promised, Submission};

impl Provider {
    /// Keeps a promise until its charge is taken in.
    pub(super) fn note_promise(&mut self, key: (NodeId, u32), promised: Promised) {
        let is_known = self.rounds.received(key).is_some();
        if is_known || self.is_sealed(key) {
            return;
        }
        let promises = &mut self.reports.promises;
        let is_news = promises.get(&key).is_none_or(|known| {
            let rounds = known.receipt.body.round.cmp(&promised.receipt.body.round);
            rounds.is_gt() || (rounds.is_eq() && known.grant.is_none())
        });
        if is_news {
            promises.insert(key, promised);
        }
    }

    pub(super) fn is_sealed(&self, (node, seq): (NodeId, u32)) -> bool {
        let account = self.state.nodes.get(&node);
        account.is_some_and(|account| seq <= account.last_seq)
    }

    /// Takes in what was promised, as far as all that it takes is known by now.
    pub(super) fn redeem(&mut self, now: UnixMillis) {
        if !self.reports.go_on() {
            return;
        }
        let keys: Vec<_> = self.reports.promises.keys().copied().collect();
        for key in keys {
            if self.rounds.received(key).is_some() || self.is_sealed(key) {
                self.reports.promises.remove(&key);
                continue;
            }
            let promised = &self.reports.promises[&key];
            let Some(grant) = promised.grant.clone() else {
                continue;
            };
            let submission = Submission {
                profile: promised.profile.clone(),
                grant,
                detail: promised.detail.clone(),
            };
            if self.check_charge(&submission).is_ok() {
                self.take_in(now, submission);
            }
        }
    }

    /// The receipt that a charge was promised by, where its round is not over and it can be sealed
    /// in that; a new one otherwise.
    pub(super) fn receipt_for(
        &mut self,
        now: UnixMillis,
        profile: &SignedProfile,
    ) -> SignedReceipt {
        let key = (profile.body.node, profile.body.seq);
        let promised = self.reports.promises.remove(&key);
        let earlier = self.rounds.of_node(key.0).last();
        let earliest = earlier.map_or(0, |received| received.receipt.body.round);
        let earliest = earliest.max(self.state.round + 1);
        if let Some(promised) = promised
            && promised.profile == *profile
            && promised.receipt.body.round >= earliest
        {
            return promised.receipt;
        }
        let receipt = Receipt {
            profile: profile.hash(),
            node: key.0,
            seq: key.1,
            round: self.open_round(now),
        };
        Signed::new(receipt, &self.key, &self.chain_id)
    }

    /// Promises of rounds that are open and whose charges are not here yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Promised> {
        let promises = self.reports.promises.values();
        promises.filter(|promised| promised.receipt.body.round > self.state.round)
    }

    /// Whether a block of `round` breaks no promise that is known.
    pub(super) fn keeps_promises(&mut self, round: u64) -> bool {
        if self.reports.is_overridden() {
            return true;
        }
        let due = self
            .missing()
            .map(|promised| &promised.receipt.body)
            .find(|promise| promise.round <= round)
            .cloned();
        let Some(promise) = due else {
            return true;
        };
        let (node, seq) = (promise.node, promise.seq);
        if self.reports.missed.insert((node, seq)) {
            let round = promise.round;
            self.notify(Event::MissingCharge { node, seq, round });
        }
        false
    }
}
