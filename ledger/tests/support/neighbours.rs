//! Links between gateways: calls and answers, in order, unless the two are kept apart.

use std::collections::{BTreeMap, BTreeSet};

use ledger::node::{self, Said, ToNeighbour, stored_headers};
use protocol::message::{GetHeadersAck, Request, Response};
use protocol::{NodeAddress, PublicKey};

use super::{Message, Network};

/// What goes between gateways.
#[derive(Default)]
pub struct Direct {
    /// Gateways that reach no other one, by name.
    pub apart: BTreeSet<&'static str>,
    /// Calls between gateways that arrived.
    pub called: Vec<&'static str>,
    /// Calls that the provider made, its own and relayed ones.
    pub relayed: Vec<&'static str>,
    open: BTreeMap<u64, (usize, PublicKey, Request)>,
}

/// Where the gateway of this name listens, if it does.
pub fn address(name: &str) -> NodeAddress {
    NodeAddress::parse(&format!("ws://{name}.example:9700")).expect("an address")
}

impl Network {
    /// These gateways listen for others from now on.
    pub fn listen(&mut self, names: &[&'static str]) {
        for name in names {
            let index = self.index(name);
            self.gateways[index].config.address = Some(address(name));
            self.crash(name);
            self.restart(name);
        }
        // Who was there before is told of those that came after.
        for gateway in self.gateways.iter().map(|g| g.name).collect::<Vec<_>>() {
            self.crash(gateway);
            self.restart(gateway);
        }
    }

    pub fn key_of(&self, name: &str) -> PublicKey {
        self.gateway(name).key.public()
    }

    /// A neighbour does something to a gateway.
    pub fn neighbour_says(&mut self, name: &str, from: PublicKey, said: Said) {
        let index = self.index(name);
        self.node_gets(index, node::Input::Neighbour { from, said });
        self.settle();
    }

    pub(super) fn neighbour_effect(&mut self, index: usize, to: ToNeighbour) {
        match to {
            ToNeighbour::Call {
                to,
                address,
                request,
            } => self.call_neighbour(index, to, address, request),
            ToNeighbour::Reply { call, response } => self.neighbour_replies(call, response),
            ToNeighbour::Headers {
                call,
                from,
                count,
                tip,
            } => {
                let key = self.gateways[index].key.public();
                let mut headers = Vec::new();
                let store = &self.gateways[index].process.store;
                stored_headers(store, from, count, |h| headers.push(h)).expect("whole");
                let Some((caller, ..)) = self.direct.open.get(&call) else {
                    return;
                };
                let caller = *caller;
                for header in headers {
                    self.push(caller, key, Said::Header(Box::new(header)));
                }
                let response = Response::GetHeaders(GetHeadersAck { tip });
                self.neighbour_replies(call, Some(response));
            }
        }
    }

    fn call_neighbour(
        &mut self,
        index: usize,
        to: PublicKey,
        at: Option<NodeAddress>,
        request: Request,
    ) {
        let is_called = |g: &super::Gateway| {
            let listens = at.is_some() && g.config.address == at;
            g.key.public() == to && g.process.machine.is_some() && listens
        };
        let found = self.gateways.iter().position(is_called);
        let is_apart = |index: usize| self.direct.apart.contains(self.gateways[index].name);
        let Some(called) = found.filter(|called| !is_apart(*called) && !is_apart(index)) else {
            let response = None;
            self.push(index, to, Said::Answered { request, response });
            return;
        };
        let call = self.next_call;
        self.next_call += 1;
        self.direct.called.push(request.action());
        self.direct.open.insert(call, (index, to, request.clone()));
        let caller = self.gateways[index].key.public();
        self.push(called, caller, Said::Asked { call, request });
    }

    fn neighbour_replies(&mut self, call: u64, response: Option<Response>) {
        let Some((caller, from, request)) = self.direct.open.remove(&call) else {
            return;
        };
        self.push(caller, from, Said::Answered { request, response });
    }

    fn push(&mut self, index: usize, from: PublicKey, said: Said) {
        let input = node::Input::Neighbour { from, said };
        self.queue
            .push_back((index, 0, Message::FromNeighbour(input)));
    }
}
