//! A lying gateway's hand on its wires.

use std::collections::BTreeMap;

use ledger::frame::Frame;
use ledger::node;
use ledger::provider as rules;
use protocol::message::{AuthorizeAck, Response};
use protocol::{Hash, KeyPair, Signed, SignedProfile};

use super::{CrowdLie, GatewayLie, ballot, group_block, profile};
use crate::world::World;

/// What a liar remembers.
#[derive(Debug, Default)]
pub(crate) struct GatewayMemory {
    witnessed: BTreeMap<Hash, SignedProfile>,
    first_ballot: Option<Signed<ledger::Ballot>>,
    grudged: u64,
}

impl World {
    /// Something arrives at a gateway; liars listen.
    pub(crate) fn see_input(&mut self, index: usize, input: &node::Input) {
        let Some(lie) = self.scenario.sites[index].lie else {
            return;
        };
        let node::Input::Frame(frame) = input else {
            return;
        };
        match (lie, &**frame) {
            (_, Frame::Witness(shown)) => {
                let memory = &mut self.gateways[index].memory;
                let hash = shown.profile.hash();
                memory.witnessed.insert(hash, shown.profile.clone());
            }
            (GatewayLie::Crowd(CrowdLie::Approving), Frame::Block(block)) => {
                self.approve(index, &block.header.body);
            }
            (GatewayLie::Crowd(CrowdLie::Approving), Frame::Header(header)) => {
                self.approve(index, &header.body);
            }
            _ => {}
        }
    }

    fn approve(&mut self, index: usize, header: &ledger::Header) {
        let chain_id = self.scenario.genesis.chain_id();
        let gateway = &self.gateways[index];
        let (Some(node), Some(link)) = (&gateway.process.machine, gateway.link) else {
            return;
        };
        let key = &gateway.key;
        let ballots = ballot::approve(node, header.height, header.hash(), key, &chain_id);
        for ballot in ballots {
            self.tally.count("lie: a crowd approves unseen");
            let frame = Box::new(Frame::Ballot(ballot));
            self.send_to_provider(link, rules::Input::Frame { link, frame });
        }
    }

    /// What a gateway sends in place of `frame`.
    pub(crate) fn lied_by_gateway(&mut self, index: usize, frame: Frame) -> Vec<Frame> {
        let Some(lie) = self.scenario.sites[index].lie else {
            return vec![frame];
        };
        let chain_id = self.scenario.genesis.chain_id();
        let key = self.gateways[index].key.clone();
        let memory = &mut self.gateways[index].memory;
        match (lie, frame) {
            (GatewayLie::Profile(lie, name), Frame::Profile(honest)) => {
                self.tally.count(name);
                let lies = profile::lie(lie, &honest, &key, &chain_id);
                lies.into_iter().map(Frame::Profile).collect()
            }
            (GatewayLie::GroupBlock(lie, name), Frame::GroupBlock(honest)) => {
                let lies = group_block::lie(lie, &honest, &memory.witnessed, &key, &chain_id);
                let Some(lies) = lies else {
                    return vec![Frame::GroupBlock(honest)];
                };
                self.tally.count(name);
                lies.into_iter().map(Frame::GroupBlock).collect()
            }
            (GatewayLie::Ballot(lie, name), Frame::Ballot(honest)) => {
                self.tally.count(name);
                let first = memory.first_ballot.get_or_insert_with(|| honest.clone());
                let lies = ballot::lie(lie, &honest, Some(first), &key, &chain_id);
                lies.into_iter().map(Frame::Ballot).collect()
            }
            (GatewayLie::Crowd(CrowdLie::Silent), Frame::Ballot(_)) => {
                self.tally.count("lie: a crowd keeps silent");
                Vec::new()
            }
            (GatewayLie::Crowd(CrowdLie::Grudging), Frame::Ballot(_)) => self.grudge(index),
            (_, honest) => vec![honest],
        }
    }

    /// Votes for what is final already, once.
    fn grudge(&mut self, index: usize) -> Vec<Frame> {
        let chain_id = self.scenario.genesis.chain_id();
        let gateway = &mut self.gateways[index];
        let Some(node) = &gateway.process.machine else {
            return Vec::new();
        };
        let Some(state) = node.state() else {
            return Vec::new();
        };
        let height = state.final_height;
        let (true, Some(header)) = (height > gateway.memory.grudged, state.open_header(height))
        else {
            return Vec::new();
        };
        gateway.memory.grudged = height;
        self.tally.count("lie: a crowd confirms only what is final");
        let ballots = ballot::approve(node, height, header, &gateway.key, &chain_id);
        ballots.into_iter().map(Frame::Ballot).collect()
    }

    /// What a gateway answers in place of `response`.
    pub(crate) fn lied_reply(
        &mut self,
        index: usize,
        response: Option<Response>,
    ) -> Option<Response> {
        let (Some(GatewayLie::Grant), Some(Response::Authorize(ack))) =
            (self.scenario.sites[index].lie, &response)
        else {
            return response;
        };
        let grant = ack.grant.as_ref()?;
        self.tally
            .count("lie: a parent's grant is not signed by it");
        let chain_id = self.scenario.genesis.chain_id();
        let stranger = KeyPair::from_seed(&[76; 32]);
        let forged = Signed::new(grant.body.clone(), &stranger, &chain_id);
        Some(Response::Authorize(AuthorizeAck {
            status: ack.status,
            grant: Some(forged),
        }))
    }
}
