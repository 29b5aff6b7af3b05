//! Links between gateways: opened by a call to somebody who listens, used in both directions, broken
//! with either end. What is sent arrives in order after a delay, or not at all.

use std::collections::BTreeMap;

use ledger::frame::Frame;
use ledger::node::{Input, Said, ToNeighbour, stored_headers};
use protocol::message::{GetHeadersAck, Request, Response};
use protocol::{Neighbour, NodeAddress, PublicKey};

use super::{Event, Item, Who, World};
use crate::describe::{describe_call, describe_frame};
use crate::random::Random;

/// How long a gateway waits for another one's answer, ms.
const CALL_MS: u64 = 5_000;
/// How late an end is told that a link is gone, at most, ms.
const TOLD_MS: u64 = 3_000;

/// A link between two gateways.
#[derive(Debug)]
struct Meeting {
    ends: [usize; 2],
    is_up: bool,
    // When the last message to each end arrives.
    last: [u64; 2],
}

impl Meeting {
    fn other(&self, index: usize) -> usize {
        let [first, second] = self.ends;
        if first == index { second } else { first }
    }
}

/// A call under way.
#[derive(Debug)]
struct Open {
    caller: usize,
    called: PublicKey,
    meeting: u64,
    request: Request,
}

/// All that goes on between gateways.
#[derive(Debug)]
pub(crate) struct Nearness {
    meetings: BTreeMap<u64, Meeting>,
    open: BTreeMap<u64, Open>,
    next: u64,
    // A stream of its own: who has no neighbours sees the events that it would see without.
    pub(crate) random: Random,
}

impl Nearness {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            meetings: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 1,
            random: Random::new(seed, 4),
        }
    }

    fn between(&self, one: usize, other: usize) -> Option<u64> {
        let mut meetings = self.meetings.iter();
        let found =
            meetings.find(|(_, m)| m.is_up && (m.ends == [one, other] || m.ends == [other, one]));
        found.map(|(id, _)| *id)
    }
}

impl World {
    pub(crate) fn gateway_of(&self, key: &PublicKey) -> Option<usize> {
        let mut gateways = self.gateways.iter();
        gateways.position(|gateway| gateway.key.public() == *key)
    }

    pub(super) fn neighbour_effect(&mut self, index: usize, wanted: ToNeighbour) {
        match wanted {
            ToNeighbour::Call {
                to,
                address,
                request,
            } => self.call_neighbour(index, to, address.as_ref(), request),
            ToNeighbour::Reply { call, response } => self.reply_neighbour(index, call, response),
            ToNeighbour::Headers {
                call,
                from,
                count,
                tip,
            } => {
                let mut headers = Vec::new();
                let store = &self.gateways[index].process.store;
                stored_headers(store, from, count, |header| headers.push(header))
                    .expect("memory is whole");
                let meeting = self.near.open.get(&call).map(|open| open.meeting);
                let Some(meeting) = meeting else { return };
                for header in headers {
                    let header = self.lied_header(index, header);
                    self.send_between(meeting, index, Said::Header(Box::new(header)));
                }
                let response = Response::GetHeaders(GetHeadersAck { tip });
                self.reply_neighbour(index, call, Some(response));
            }
        }
    }

    fn call_neighbour(
        &mut self,
        index: usize,
        to: PublicKey,
        address: Option<&NodeAddress>,
        request: Request,
    ) {
        self.note(Who::Gateway(index), || {
            format!("calls a neighbour: {}", describe_call(&request))
        });
        let found = self.gateway_of(&to);
        let link = found.and_then(|other| {
            let up = self.near.between(index, other);
            up.or_else(|| self.meet(index, other, address?))
        });
        let Some(meeting) = link else {
            let later = self.now + self.near.random.between(1, 3_000);
            let response = None;
            let said = Box::new(Said::Answered { request, response });
            self.queue.push(later, Event::ByItself(index, to, said));
            return;
        };
        if matches!(request, Request::GetHeaders(_))
            && let Some(lie) = self.lied_evidence(index)
        {
            self.call_over(meeting, index, to, lie);
        }
        self.call_over(meeting, index, to, request);
    }

    fn call_over(&mut self, meeting: u64, index: usize, to: PublicKey, request: Request) {
        let call = self.next_call;
        self.next_call += 1;
        let open = Open {
            caller: index,
            called: to,
            meeting,
            request: request.clone(),
        };
        self.near.open.insert(call, open);
        self.queue
            .push(self.now + CALL_MS, Event::NeighbourCallLost(call));
        self.send_between(meeting, index, Said::Asked { call, request });
    }

    /// Opens a link, where somebody listens there and can be reached.
    fn meet(&mut self, index: usize, other: usize, at: &NodeAddress) -> Option<u64> {
        if self.scenario.sites[other].config.address.as_ref() != Some(at)
            || !self.can_reach(index, other)
        {
            return None;
        }
        self.tally.count("gateways linked with each other");
        let id = self.near.next;
        self.near.next += 1;
        let meeting = Meeting {
            ends: [index, other],
            is_up: true,
            last: [0, 0],
        };
        self.near.meetings.insert(id, meeting);
        self.send_between(id, other, Said::Up);
        self.send_between(id, index, Said::Up);
        Some(id)
    }

    /// Whether messages go from one gateway to another at the moment, if either listens.
    pub(crate) fn can_reach(&self, one: usize, other: usize) -> bool {
        [one, other].into_iter().all(|index| {
            self.gateways[index].process.is_up() && !self.weather.is_cut(index, self.now)
        })
    }

    /// Whether one of two gateways remembers where the other listens.
    pub(crate) fn are_acquainted(&self, one: usize, other: usize) -> bool {
        let knows = |index: usize, of: usize| {
            let key = self.gateways[of].key.public();
            let address = &self.scenario.sites[of].config.address;
            let is_it =
                |known: &Neighbour| known.key == key && address.as_ref() == Some(&known.address);
            let node = self.gateways[index].process.machine.as_ref();
            node.is_some_and(|node| node.neighbours().any(is_it))
        };
        knows(one, other) || knows(other, one)
    }

    /// Whether nothing slows a gateway's messages, or loses them within a link, or has it take one
    /// round for another: it visits others once in each.
    pub(crate) fn is_brisk(&self, index: usize) -> bool {
        let process = &self.gateways[index].process;
        self.weather.most_delay(index, self.now) <= 500
            && !self.weather.is_hostile(index, self.now)
            && process.slow_ms <= 500
            && process.skew_ms.unsigned_abs() < self.scenario.genesis.interval_ms()
    }

    /// What `from` says goes to the other end.
    fn send_between(&mut self, id: u64, from: usize, said: Said) {
        let Some(meeting) = self.near.meetings.get(&id).filter(|m| m.is_up) else {
            return;
        };
        let to = meeting.other(from);
        let end = usize::from(meeting.ends[1] == to);
        let slowest = [from, to].map(|index| self.weather.most_delay(index, self.now));
        let most = slowest[0].max(slowest[1]);
        let at = (self.now + 1 + self.near.random.below(most)).max(meeting.last[end]);
        let is_hostile = [from, to]
            .into_iter()
            .any(|index| self.weather.is_hostile(index, self.now));
        if is_hostile && matches!(said, Said::Header(_)) && self.near.random.chance(20) {
            self.tally.count("header lost between gateways");
            return;
        }
        if let Some(meeting) = self.near.meetings.get_mut(&id) {
            meeting.last[end] = at;
        }
        self.queue.push(at, Event::Between(id, to, Box::new(said)));
    }

    fn reply_neighbour(&mut self, index: usize, call: u64, response: Option<Response>) {
        let response = self.lied_reply(index, response);
        let Some(open) = self.near.open.get(&call) else {
            return;
        };
        let (meeting, request) = (open.meeting, open.request.clone());
        if matches!(request, Request::Authorize(_)) && response.is_some() {
            self.tally
                .count("Authorize answered by the parent directly");
        }
        // Which call it answers travels with it.
        self.send_between(meeting, index, Said::Answered { request, response });
    }

    pub(super) fn arrives_between(&mut self, id: u64, to: usize, said: Said) {
        let Some(meeting) = self.near.meetings.get(&id).filter(|m| m.is_up) else {
            return;
        };
        let from = self.gateways[meeting.other(to)].key.public();
        if let Said::Answered { request, .. } = &said {
            let mut open = self.near.open.iter();
            let answered = open.find(|(_, open)| {
                open.caller == to && open.meeting == id && open.request == *request
            });
            let Some(call) = answered.map(|(call, _)| *call) else {
                // It was given up.
                return;
            };
            self.near.open.remove(&call);
        }
        if let Said::Header(header) = &said {
            self.note(Who::Gateway(to), || {
                let frame = Frame::Header(header.clone());
                format!("hears of {}", describe_frame(&frame))
            });
        }
        self.hears(to, from, said);
    }

    pub(super) fn hears(&mut self, index: usize, from: PublicKey, said: Said) {
        self.post_gateway(index, Item::input(Input::Neighbour { from, said }));
    }

    pub(super) fn neighbour_call_lost(&mut self, call: u64) {
        if let Some(open) = self.near.open.remove(&call) {
            let response = None;
            let request = open.request;
            self.hears(
                open.caller,
                open.called,
                Said::Answered { request, response },
            );
        }
    }

    /// All links of a gateway with others break; each other end is told in its own time, and this
    /// one, too, where it lives on.
    pub(super) fn part(&mut self, index: usize) {
        let broken: Vec<u64> = self
            .near
            .meetings
            .iter()
            .filter(|(_, meeting)| meeting.is_up && meeting.ends.contains(&index))
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            let meeting = self.near.meetings.get_mut(&id).expect("it was found");
            meeting.is_up = false;
            for end in meeting.ends {
                let told = self.now + self.near.random.below(TOLD_MS);
                self.queue.push(told, Event::Parted(id, end));
            }
        }
    }

    pub(super) fn parted(&mut self, id: u64, end: usize) {
        let Some(other) = self.near.meetings.get(&id).map(|m| m.other(end)) else {
            return;
        };
        let lost: Vec<u64> = self
            .near
            .open
            .iter()
            .filter(|(_, open)| open.meeting == id && open.caller == end)
            .map(|(call, _)| *call)
            .collect();
        for call in lost {
            self.neighbour_call_lost(call);
        }
        if self.near.between(end, other).is_none() {
            let from = self.gateways[other].key.public();
            self.hears(end, from, Said::Down);
        }
    }
}
