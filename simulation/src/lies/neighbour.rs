//! What a lying gateway tells others directly, and whom a lying provider names.

use ledger::Header;
use ledger::evidence::{EvidenceFile, Exhibit, TwoHeaders};
use ledger::node::stored_headers;
use protocol::HexBytes;
use protocol::Signed;
use protocol::message::{OfferEvidence, Request, Response};

use super::{Conduct, ProviderLie};
use crate::scenario::site_key;
use crate::world::World;

impl World {
    /// The header that a gateway shows in place of `header`.
    pub(crate) fn lied_header(&mut self, index: usize, header: Signed<Header>) -> Signed<Header> {
        if self.scenario.sites[index].is_honest() || !self.near.random.chance(30) {
            return header;
        }
        self.tally.count("lie: a neighbour forges a header");
        let mut body = header.body;
        body.time.0 += 1;
        body.height += self.near.random.below(3);
        let chain_id = self.scenario.genesis.chain_id();
        Signed::new(body, &site_key(index), &chain_id)
    }

    /// Evidence that a gateway invents.
    pub(crate) fn lied_evidence(&mut self, index: usize) -> Option<Request> {
        if self.scenario.sites[index].is_honest() || !self.near.random.chance(30) {
            return None;
        }
        let mut newest = None;
        let store = &self.gateways[index].process.store;
        stored_headers(store, 1, u64::MAX, |header| newest = Some(header)).expect("memory");
        let first = newest?;
        let chain_id = self.scenario.genesis.chain_id();
        let mut second = first.clone();
        match self.near.random.below(3) {
            // Signed by itself, by nobody, and once more the same.
            0 => {
                let mut body = first.body.clone();
                body.time.0 += 1;
                second = Signed::new(body, &site_key(index), &chain_id);
            }
            1 => second.body.time.0 += 1,
            _ => {}
        }
        self.tally.count("lie: a neighbour invents evidence");
        let two = TwoHeaders { first, second };
        let file = EvidenceFile {
            genesis: self.scenario.genesis.clone(),
            exhibit: Exhibit::TwoHeaders(Box::new(two)),
        };
        let file = HexBytes(file.to_bytes());
        Some(Request::OfferEvidence(OfferEvidence { file }))
    }

    /// A provider that tells two stories names to each camp only who is in it.
    pub(crate) fn lied_names(
        &mut self,
        index: usize,
        response: Option<Response>,
    ) -> Option<Response> {
        let is_split = matches!(
            self.scenario.provider_lie,
            Some(ProviderLie::Conduct(Conduct::Split | Conduct::Rewrite, _))
        );
        let Some(Response::GetNeighbours(mut ack)) = response else {
            return response;
        };
        if is_split {
            let camp = self.branch_for(index);
            let before = ack.neighbours.len();
            ack.neighbours.retain(|named| {
                let other = self.gateway_of(&named.key);
                other.is_none_or(|other| self.branch_for(other) == camp)
            });
            if ack.neighbours.len() < before {
                self.tally.count("lie: the provider names its camp only");
            }
        }
        Some(Response::GetNeighbours(ack))
    }
}
