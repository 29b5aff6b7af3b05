//! Promises that nodes have shown: charges which this provider gave receipts for, and whose receipts
//! its store has lost.

use protocol::{NodeId, Receipt, Signed, SignedProfile, SignedReceipt, UnixMillis};

use super::{Event, Provider};
use crate::frame::{Promised, Submission};

/// A promise, as nodes have shown it.
#[derive(Debug)]
pub(super) struct Shown {
    receipt: SignedReceipt,
    // The charge with its grant, in each version that was shown: the receipt covers the signatures
    // of neither, and whoever shows it may lie about them.
    versions: Vec<Promised>,
}

impl Shown {
    pub(super) fn profiles(&self) -> impl Iterator<Item = &SignedProfile> {
        let versions = self.versions.iter();
        versions.map(|promised| &promised.witnessed.profile)
    }

    /// Whether it is about this charge, whatever signature that bears.
    pub(super) fn is_of(&self, profile: &SignedProfile) -> bool {
        self.receipt.body.profile == profile.hash()
    }

    fn add(&mut self, promised: Promised) {
        let is_same = |known: &&mut Promised| known.witnessed == promised.witnessed;
        match self.versions.iter_mut().find(is_same) {
            Some(known) if known.detail.is_empty() => known.detail = promised.detail,
            Some(_) => {}
            None => self.versions.push(promised),
        }
    }
}

impl Provider {
    /// Keeps a promise until its charge is taken in.
    pub(super) fn note_promise(&mut self, key: (NodeId, u32), promised: Promised) {
        let is_known = self.rounds.received(key).is_some();
        if is_known || self.is_sealed(key) {
            return;
        }
        let receipt = promised.witnessed.receipt.clone();
        let shown = self.reports.promises.entry(key).or_insert_with(|| Shown {
            receipt: receipt.clone(),
            versions: Vec::new(),
        });
        if receipt.body.round < shown.receipt.body.round {
            shown.receipt = receipt;
        }
        shown.add(promised);
    }

    pub(super) fn is_sealed(&self, (node, seq): (NodeId, u32)) -> bool {
        let account = self.state.nodes.get(&node);
        account.is_some_and(|account| seq <= account.last_seq)
    }

    /// Whether a charge like this was promised and is not taken in yet, or may have been: this
    /// provider has not heard enough since it started.
    pub(super) fn is_promised(&self, is_it: impl Fn(&SignedProfile) -> bool) -> bool {
        let mut promises = self.reports.promises.values().flat_map(Shown::profiles);
        !self.reports.go_on() || promises.any(is_it)
    }

    /// Whether a charge with a lower number of this node was promised or put off, and is not taken in
    /// yet.
    pub(super) fn waits(&self, node: NodeId, seq: u32) -> bool {
        let mut earlier = self.reports.promises.range((node, 0)..(node, seq));
        earlier.next().is_some() || self.reports.put_off.contains_key(&node)
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
            for promised in self.reports.promises[&key].versions.clone() {
                let submission = Submission {
                    profile: promised.witnessed.profile,
                    grant: promised.witnessed.grant,
                    detail: promised.detail,
                };
                if self.check_charge(&submission).is_ok() {
                    self.take_in(now, submission);
                    break;
                }
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
        let shown = self.reports.promises.remove(&key);
        let earlier = self.rounds.of_node(key.0).next_back();
        let earliest = earlier.map_or(0, |received| received.receipt.body.round);
        let earliest = earliest.max(self.state.round + 1);
        if let Some(shown) = shown
            && shown.is_of(profile)
            && shown.receipt.body.round >= earliest
        {
            return shown.receipt;
        }
        let receipt = Receipt {
            profile: profile.hash(),
            node: key.0,
            seq: key.1,
            round: self.open_round(now),
        };
        Signed::new(receipt, &self.key, &self.chain_id)
    }

    /// Number of each charge that was promised for a round which is open, and is not here yet; and
    /// that round.
    pub fn missing(&self) -> impl Iterator<Item = (NodeId, u32, u64)> {
        let receipts = self.reports.promises.values().map(|shown| &shown.receipt);
        let numbers = receipts.map(|r| (r.body.node, r.body.seq, r.body.round));
        numbers.filter(|(_, _, round)| *round > self.state.round)
    }

    /// Whether a block of `round` breaks no promise that is known.
    pub(super) fn keeps_promises(&mut self, round: u64) -> bool {
        if self.reports.is_overridden() {
            return true;
        }
        // The round before the first charge is the last one for the enrolments it rests on.
        let is_first = self.state.groups.is_empty();
        let mut missing = self.missing();
        let due = missing.find(|(_, _, promised)| is_first || *promised <= round);
        drop(missing);
        let Some((node, seq, round)) = due else {
            return true;
        };
        if self.reports.told_of.insert((node, seq)) {
            self.notify(Event::MissingCharge { node, seq, round });
        }
        false
    }
}
