//! Links: what is sent arrives in order after a delay, or not at all once the link is broken; each
//! end is told of that in its own time.

use ledger::node;
use ledger::provider::{self as rules, LinkId};
use protocol::message::Response;

use super::{Event, Item, Who, World, token};

/// How late an end is told that its link is gone, at most, ms.
const TOLD_MS: u64 = 3_000;
/// How long a call waits for its answer, ms.
pub(super) const CALL_MS: u64 = 10_000;

/// A link between a gateway and a process of the provider's.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) gateway: usize,
    pub(super) branch: usize,
    is_up: bool,
    // When the last message in each direction arrives.
    to_gateway: u64,
    to_provider: u64,
}

impl World {
    pub(super) fn connect(&mut self, index: usize) {
        let gateway = &self.gateways[index];
        if !gateway.process.is_up() || gateway.link.is_some() {
            return;
        }
        let branch = self.branch_for(index);
        let is_reachable =
            !self.weather.is_cut(index, self.now) && self.branches[branch].process.is_up();
        if !is_reachable {
            let later = self.now + self.random.between(1_000, 4_000);
            self.queue.push(later, Event::Connect(index));
            return;
        }
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            gateway: index,
            branch,
            is_up: true,
            to_gateway: 0,
            to_provider: 0,
        };
        self.links.insert(id, link);
        self.gateways[index].link = Some(id);
        let gateway = &self.gateways[index];
        let node = gateway.process.machine.as_ref().expect("it is up");
        let input = rules::Input::Join {
            link: id,
            key: gateway.key.public(),
            token: Some(token(index)),
            report: node.report(),
        };
        self.send_to_provider(id, input);
    }

    /// The time a message sent now arrives: after the one before it.
    fn arrival(&mut self, gateway: usize, last: u64) -> u64 {
        let most = self.weather.most_delay(gateway, self.now);
        (self.now + 1 + self.random.below(most)).max(last)
    }

    pub(super) fn send_to_gateway(&mut self, id: LinkId, input: node::Input) {
        let Some((gateway, last)) = self.wire(id).map(|link| (link.gateway, link.to_gateway))
        else {
            return;
        };
        let at = self.arrival(gateway, last);
        if matches!(input, node::Input::Frame(_)) && self.weather.is_hostile(gateway, self.now) {
            for at in self.hostile_arrivals(at) {
                self.queue
                    .push(at, Event::ToGateway(id, Box::new(input.clone())));
            }
            return;
        }
        self.links.get_mut(&id).expect("it is up").to_gateway = at;
        self.queue.push(at, Event::ToGateway(id, Box::new(input)));
    }

    pub(crate) fn send_to_provider(&mut self, id: LinkId, input: rules::Input) {
        let Some((gateway, last)) = self.wire(id).map(|link| (link.gateway, link.to_provider))
        else {
            return;
        };
        let at = self.arrival(gateway, last);
        let is_frame = matches!(input, rules::Input::Frame { .. });
        if is_frame && self.weather.is_hostile(gateway, self.now) {
            for at in self.hostile_arrivals(at) {
                self.queue
                    .push(at, Event::ToProvider(id, Box::new(input.clone())));
            }
            return;
        }
        self.links.get_mut(&id).expect("it is up").to_provider = at;
        self.queue.push(at, Event::ToProvider(id, Box::new(input)));
    }

    pub(super) fn send_reply(&mut self, id: LinkId, call: u64, response: Option<Response>) {
        let Some((gateway, last)) = self.wire(id).map(|link| (link.gateway, link.to_gateway))
        else {
            return;
        };
        let at = self.arrival(gateway, last);
        self.links.get_mut(&id).expect("it is up").to_gateway = at;
        self.queue.push(at, Event::Replied(id, call, response));
    }

    fn hostile_arrivals(&mut self, at: u64) -> Vec<u64> {
        match self.random.below(10) {
            0..2 => {
                self.tally.count("frame lost within a link");
                Vec::new()
            }
            2..4 => {
                self.tally.count("frame doubled");
                vec![at, at + self.random.below(5_000)]
            }
            4..7 => {
                self.tally.count("frame out of order");
                vec![at + self.random.below(5_000)]
            }
            _ => vec![at],
        }
    }

    /// The link, if its wire is whole.
    pub(super) fn wire(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id).filter(|link| link.is_up)
    }

    pub(super) fn arrives_at_gateway(&mut self, id: LinkId, input: node::Input) {
        if let Some(index) = self.wire(id).map(|link| link.gateway) {
            self.see_input(index, &input);
            self.note_out(&input);
            self.post_gateway(index, Item::input(input));
        }
    }

    pub(super) fn arrives_at_provider(&mut self, id: LinkId, input: rules::Input) {
        let Some((index, branch)) = self.wire(id).map(|link| (link.gateway, link.branch)) else {
            return;
        };
        if let rules::Input::Answer { call, .. } = &input
            && !self.branches[branch].asks.remove(call)
        {
            // It was given up.
            return;
        }
        if let Some(input) = self.lied_to_provider(index, id, input) {
            self.post_provider(branch, input);
        }
    }

    pub(super) fn replied(&mut self, id: LinkId, call: u64, response: Option<Response>) {
        let Some(index) = self.wire(id).map(|link| link.gateway) else {
            return;
        };
        if let Some((_, request)) = self.gateways[index].calls.remove(&call) {
            let answer = node::Input::Answer(request, response);
            self.post_gateway(index, Item::input(answer));
        }
    }

    /// Breaks a link; what is on its way is lost.
    pub(crate) fn break_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut link.is_up, false) {
            return;
        }
        let told = self.now + self.random.below(TOLD_MS);
        self.queue.push(told, Event::GatewayTold(id));
        let told = self.now + self.random.below(TOLD_MS);
        self.queue.push(told, Event::ProviderTold(id));
    }

    pub(super) fn gateway_told(&mut self, id: LinkId) {
        let Some(index) = self.links.get(&id).map(|link| link.gateway) else {
            return;
        };
        let gateway = &mut self.gateways[index];
        if gateway.link != Some(id) {
            return;
        }
        gateway.link = None;
        self.note(Who::Gateway(index), || format!("link {id} is gone"));
        self.post_gateway(index, Item::input(node::Input::LinkDown));
        let calls = std::mem::take(&mut self.gateways[index].calls);
        for (_, request) in calls.into_values() {
            let answer = node::Input::Answer(request, None);
            self.post_gateway(index, Item::input(answer));
        }
        let later = self.now + self.random.between(100, 4_000);
        self.queue.push(later, Event::Connect(index));
    }

    pub(super) fn provider_told(&mut self, id: LinkId) {
        if let Some(branch) = self.links.get(&id).map(|link| link.branch) {
            self.post_provider(branch, rules::Input::Left { link: id });
        }
    }

    pub(super) fn call_lost(&mut self, index: usize, call: u64) {
        if let Some((_, request)) = self.gateways[index].calls.remove(&call) {
            let answer = node::Input::Answer(request, None);
            self.post_gateway(index, Item::input(answer));
        }
    }

    pub(super) fn ask_lost(&mut self, branch: usize, call: u64) {
        if self.branches[branch].asks.remove(&call) {
            let response = None;
            self.post_provider(branch, rules::Input::Answer { call, response });
        }
    }

    /// The links to a process of the provider's.
    pub(crate) fn links_of_branch(&self, branch: usize) -> Vec<LinkId> {
        let links = self.links.iter();
        links
            .filter(|(_, link)| link.branch == branch && link.is_up)
            .map(|(id, _)| *id)
            .collect()
    }
}
