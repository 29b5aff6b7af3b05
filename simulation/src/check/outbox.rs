//! Nothing acknowledged is lost; a number is used once; a charge is let go only with proof; a
//! promise is kept or its breach is noticed.

use ledger::node::{Charge, Stage};
use ledger::receipt_file::ReceiptFile;
use ledger::store::{Store, Table};
use ledger::{Node, State};
use protocol::SignedProfile;

use super::Checks;

const RECEIPTS: Table = Table("receipts");

pub(super) fn signed(charge: &Charge) -> Option<&SignedProfile> {
    match &charge.stage {
        Stage::Signed { profile, .. } => Some(profile),
        Stage::Measured | Stage::Held { .. } => None,
    }
}

impl Checks {
    pub(super) fn check_outbox(&mut self, index: usize, node: &Node, store: &Store) {
        self.check_numbers(index, node);
        let now: Vec<[u8; 16]> = node.charges().map(|charge| charge.measured.id).collect();
        if now == self.watched[index].outbox {
            return;
        }
        let before = std::mem::replace(&mut self.watched[index].outbox, now.clone());
        for id in before.into_iter().filter(|id| !now.contains(id)) {
            self.check_release(index, id, store);
        }
        if self.has_resumed(index) {
            // What was final in the story that the voters gave up is billed in the other.
            self.watched[index].released.retain(|id| !now.contains(id));
        }
        for id in &now {
            if self.watched[index].released.contains(id) {
                let words = format!("gateway {index} has a charge again that was final");
                self.violated("each charge is billed once", &words);
            }
        }
    }

    fn check_numbers(&mut self, index: usize, node: &Node) {
        for charge in node.charges() {
            let Some(profile) = signed(charge) else {
                continue;
            };
            let entry = (profile.hash(), charge.measured.id);
            let (node, seq) = (profile.body.node, profile.body.seq);
            let signed = &mut self.watched[index].signed;
            let first = *signed.entry((node, seq)).or_insert(entry);
            if first != entry {
                let words = format!("gateway {index} signed two profiles with number {seq}");
                self.violated("a number is used once", &words);
            }
        }
    }

    /// A charge has left the outbox: its receipt file must be there and prove it.
    fn check_release(&mut self, index: usize, id: [u8; 16], store: &Store) {
        let watched = &mut self.watched[index];
        watched.released.push(id);
        let mut of_charge = watched.signed.iter().filter(|(_, (_, of))| *of == id);
        let Some(((_, seq), (hash, _))) = of_charge.next_back() else {
            let words = format!("gateway {index} let a charge go that it never signed");
            self.violated("nothing acknowledged is lost", &words);
            return;
        };
        let file: Option<Vec<u8>> = store
            .get(RECEIPTS, &seq.to_be_bytes())
            .expect("memory is whole");
        let flaw = match file.map(|bytes| ReceiptFile::from_bytes(&bytes)) {
            None => Some("there is no receipt file".to_owned()),
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(file)) if file.line.profile.hash() != *hash => {
                Some("the receipt file is another charge's".to_owned())
            }
            Some(Ok(file)) => {
                let proven = file.verify(Some(&self.provider_key));
                proven.err().map(|error| error.to_string())
            }
        };
        if let Some(flaw) = flaw {
            let words = format!("gateway {index} let charge {seq} go: {flaw}");
            self.violated("a charge is let go only with proof", &words);
        }
    }

    /// A full node looks for what was promised: it is in its round's block, or the node stops.
    pub(super) fn check_promises(&mut self, index: usize, node: &Node) {
        let Some(state) = node.state() else {
            return;
        };
        let Some(books) = self.books.get(&state.tip).cloned() else {
            return;
        };
        for charge in node.charges() {
            if let Stage::Signed {
                profile,
                receipt: Some(receipt),
                ..
            } = &charge.stage
                && receipt.body.round <= state.round
                && !books.holds(profile)
            {
                self.promise_broken(index, state, node.stopped().is_some(), profile.body.seq);
            }
        }
    }

    fn promise_broken(&mut self, index: usize, state: &State, is_stopped: bool, seq: u32) {
        if !self.provider_lies || !is_stopped {
            let words = format!(
                "charge {seq} of gateway {index} is in no block up to {}, and its round is over",
                state.height
            );
            self.violated("a receipt is honoured or its breach is noticed", &words);
        }
    }
}
