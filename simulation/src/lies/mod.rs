//! Liars: what they change of what goes out and comes in.
//!
//! A liar is an honest machine with a hand on its wires (and its key). A new lie is a row in one of
//! the tables below, and a file where it needs one.

use ledger::Frame;
use ledger::node;
use ledger::provider::{self as rules, LinkId};
use protocol::message::Response;

use crate::random::Random;
use crate::scenario::Scenario;
use crate::world::World;

/// What a gateway lies about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GatewayLie {
    Ballot(()),
    Crowd(CrowdLie),
}

/// How a crowd of Sybils votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrowdLie {
    /// Never.
    Silent,
    /// Only for what is final already: it stays awake and confirms nothing.
    Grudging,
    /// For everything, at once, unseen.
    Approving,
}

/// What the provider lies about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderLie {}

#[derive(Debug, Default)]
pub(crate) struct GatewayMemory {}

#[derive(Debug)]
pub(crate) struct ProviderMemory {}

impl ProviderMemory {
    pub(crate) fn new(_: &Scenario, _: u64) -> Self {
        Self {}
    }
}

pub(crate) fn draw_gateway_lie(random: &mut Random) -> GatewayLie {
    todo!()
}
pub(crate) fn draw_provider_lie(random: &mut Random) -> ProviderLie {
    todo!()
}

impl World {
    pub(crate) fn branch_for(&self, _: usize) -> usize {
        0
    }
    pub(crate) fn lied_by_gateway(&mut self, index: usize, frame: Frame) -> Vec<Frame> {
        vec![frame]
    }
    pub(crate) fn lied_reply(&mut self, _: usize, response: Option<Response>) -> Option<Response> {
        response
    }
    pub(crate) fn lied_to_provider(
        &mut self,
        _: usize,
        _: LinkId,
        input: rules::Input,
    ) -> Option<rules::Input> {
        Some(input)
    }
    pub(crate) fn lied_by_provider(&mut self, _: usize, _: usize, frame: Frame) -> Vec<Frame> {
        vec![frame]
    }
    pub(crate) fn see_input(&mut self, _: usize, _: &node::Input) {}
}
