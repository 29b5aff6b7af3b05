//! What a node does when it holds proof against its provider: it keeps it, shows it, and builds on
//! nothing any more, also after a restart.

use protocol::{PublicKey, Signed};

use super::kept::Kept;
use super::{Event, Node, disk};
use crate::block::Header;
use crate::evidence::{EvidenceFile, Exhibit, TwoHeaders};

impl Node {
    /// Why this node builds on its chain no more, where the provider broke a rule.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Stops, and gives the evidence file. What stopped it first stays the reason.
    pub(super) fn stop(
        &mut self,
        height: u64,
        reason: String,
        exhibit: Option<Exhibit>,
    ) -> Option<Vec<u8>> {
        if self.stopped.is_none() {
            self.persist(disk::stopped(&reason));
            self.stopped = Some(reason);
        }
        let genesis = self.kept.genesis()?.clone();
        let file = EvidenceFile {
            genesis,
            exhibit: exhibit?,
        };
        let bytes = file.to_bytes();
        self.persist(disk::evidence(height, &bytes));
        self.show_evidence_to_all(&bytes);
        Some(bytes)
    }

    /// Compares a header with the one that this node has at its height, as far as it is one of the
    /// newest. `neighbour` showed it, or else the provider.
    pub(super) fn compare(&mut self, header: &Signed<Header>, neighbour: Option<PublicKey>) {
        let height = header.body.height;
        if self.is_settled(height) {
            return;
        }
        let own = match &self.kept {
            Kept::Nothing => None,
            Kept::Headers(headers) => headers.header(height),
            Kept::Blocks(blocks) => blocks.header(height),
        };
        let own = own.or_else(|| self.neighbours.recent(height));
        let (Some(own), Some(genesis)) = (own, self.kept.genesis()) else {
            return;
        };
        let signed = header.verify(&genesis.provider_key, &genesis.chain_id());
        if own.body == header.body || signed.is_err() {
            return;
        }
        let two = TwoHeaders {
            first: own.clone(),
            second: header.clone(),
        };
        let reason = format!("the provider signed two headers for block {height}");
        let evidence = self.stop(height, reason, Some(Exhibit::TwoHeaders(Box::new(two))));
        self.notify(Event::TwoHeaders {
            height,
            evidence,
            neighbour,
        });
    }
}
