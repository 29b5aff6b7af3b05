//! What a peer may send once it is let in, given to the rules of node and provider: they do not
//! panic, and what they store they can read again.
//!
//! An input is a list of messages, each a byte for its kind, two for its length, and its bytes.
//! Which machine they go to is the first byte.

use ledger::block::Ballot;
use ledger::frame::{Frame, Submission};
use ledger::node::{self, Node, Said, ToNeighbour};
use ledger::provider::{self, LinkId, Provider};
use ledger::store::{Machine, NoWatch, Store, drive};
use protocol::message::{JoinAck, Report, Request, Response};
use protocol::{GroupId, Hash, NodeId, Signed, UnixMillis, canonical, decode};

use super::Corpus;
use super::frame::{each as frames, next_profile, profile_after, receipt_for};
use super::message::{ack_name, calls};
use crate::chain::{chain, key};
use crate::stores::{Owner, load_node, load_provider, neighbour};

pub(super) fn check(bytes: &[u8]) {
    let Some((owner, messages)) = bytes.split_first() else {
        return;
    };
    let Some(owner) = Owner::ALL.get(usize::from(*owner)) else {
        return;
    };
    let store = owner.store();
    match owner {
        Owner::Parent | Owner::Member => {
            let mut node = load_node(&store).expect("it is whole");
            NodeRun::begin(&mut node, &store).take_in(messages);
            load_node(&store).expect("a node reads what it stored");
        }
        Owner::Provider => {
            let mut provider = load_provider(&store).expect("it is whole");
            ProviderRun::begin(&mut provider, &store).take_in(messages);
            load_provider(&store).expect("a provider reads what it stored");
        }
    }
}

/// One message and what follows it.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
    let (message, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    Some((kind, message, rest))
}

/// A call as it travels, in one piece: its action, a line feed and its payload.
fn request(bytes: &[u8]) -> Option<Request> {
    let (action, payload) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    Request::decode(action, payload).ok()
}

/// What is answered to `asked`; `None` where the answer is malformed, as the shells have it.
fn response(asked: &Request, bytes: &[u8]) -> Option<Response> {
    asked.decode_response(std::str::from_utf8(bytes).ok()?).ok()
}

/// A minute after the newest block, and as much later as the message says.
fn later(now: UnixMillis, bytes: &[u8]) -> UnixMillis {
    let minutes = bytes.first().copied().unwrap_or(1);
    now.plus_ms(u64::from(minutes) * 60_000)
}

fn begin() -> UnixMillis {
    let newest = chain().blocks.last().expect("blocks");
    newest.header.body.time.millis().plus_ms(60_000)
}

const FRAME: u8 = 0;
const CALL: u8 = 1;
const ANSWER: u8 = 2;
const TICK: u8 = 3;

struct NodeRun<'a> {
    node: &'a mut Node,
    store: &'a Store,
    now: UnixMillis,
    calls: Vec<Request>,
    calls_to_neighbours: Vec<Request>,
}

impl<'a> NodeRun<'a> {
    fn begin(node: &'a mut Node, store: &'a Store) -> Self {
        let mut run = Self {
            node,
            store,
            now: begin(),
            calls: Vec::new(),
            calls_to_neighbours: Vec::new(),
        };
        let ack = JoinAck {
            node: NodeId(1),
            current_time: run.now,
            last_seq: 3,
            last_profile: Hash::of(b"profile"),
            tip: 4,
            wants_report: false,
        };
        run.give(node::Input::LinkUp {
            genesis: chain().genesis.clone(),
            ack,
        });
        run.hear(Said::Up);
        run
    }

    /// The upper half of a kind tells whether the provider or a neighbour sent it.
    fn take_in(&mut self, mut messages: &[u8]) {
        while let Some((kind, message, rest)) = split(messages) {
            messages = rest;
            if kind >> 4 != 0 {
                self.take_in_of_neighbour(kind & 0x0f, message);
                continue;
            }
            match kind {
                FRAME => {
                    if let Ok(frame) = decode::<Frame>(message) {
                        self.give(node::Input::Frame(Box::new(frame)));
                    }
                }
                CALL => {
                    if let Some(request) = request(message) {
                        self.give(node::Input::Asked { call: 1, request });
                    }
                }
                ANSWER => {
                    if let Some(asked) = self.calls.pop() {
                        let answer = response(&asked, message);
                        self.give(node::Input::Answer(asked, answer));
                    }
                }
                TICK => {
                    self.now = later(self.now, message);
                    self.give(node::Input::Tick);
                }
                _ => {}
            }
        }
    }

    fn take_in_of_neighbour(&mut self, kind: u8, message: &[u8]) {
        match kind {
            FRAME => {
                if let Ok(Frame::Header(header)) = decode(message) {
                    self.hear(Said::Header(header));
                }
            }
            CALL => {
                if let Some(request) = request(message) {
                    self.hear(Said::Asked { call: 1, request });
                }
            }
            ANSWER => {
                if let Some(request) = self.calls_to_neighbours.pop() {
                    let response = response(&request, message);
                    self.hear(Said::Answered { request, response });
                }
            }
            TICK => self.hear(Said::Down),
            _ => {}
        }
    }

    /// From the only neighbour.
    fn hear(&mut self, said: Said) {
        let from = neighbour().key;
        self.give(node::Input::Neighbour { from, said });
    }

    fn give(&mut self, input: node::Input) {
        for effect in handle(self.node, self.store, self.now, input) {
            match effect {
                node::Effect::Call(request) => self.calls.push(request),
                node::Effect::Neighbour(ToNeighbour::Call { request, .. }) => {
                    self.calls_to_neighbours.push(request);
                }
                _ => {}
            }
        }
    }
}

struct ProviderRun<'a> {
    provider: &'a mut Provider,
    store: &'a Store,
    now: UnixMillis,
    asked: Vec<(u64, Request)>,
}

impl<'a> ProviderRun<'a> {
    /// Each node has a link of its number.
    fn begin(provider: &'a mut Provider, store: &'a Store) -> Self {
        let mut run = Self {
            provider,
            store,
            now: begin(),
            asked: Vec::new(),
        };
        for n in 1..=3 {
            run.give(provider::Input::Join {
                link: LinkId::from(n),
                key: key(n).public(),
                token: None,
                report: Report::default(),
            });
            // It goes on when it has heard what more than half know.
            let frame = Box::new(Frame::Reported { promises: 0 });
            let link = LinkId::from(n);
            run.give(provider::Input::Frame { link, frame });
        }
        run
    }

    /// The upper half of a kind names the link.
    fn take_in(&mut self, mut messages: &[u8]) {
        while let Some((kind, message, rest)) = split(messages) {
            messages = rest;
            let link = LinkId::from(kind >> 4);
            match kind & 0x0f {
                FRAME => {
                    if let Ok(frame) = decode::<Frame>(message) {
                        let frame = Box::new(frame);
                        self.give(provider::Input::Frame { link, frame });
                    }
                }
                CALL => {
                    if let Some(request) = request(message) {
                        let call = 1;
                        self.give(provider::Input::Asked {
                            link,
                            call,
                            request,
                        });
                    }
                }
                ANSWER => {
                    if let Some((call, asked)) = self.asked.pop() {
                        let response = response(&asked, message);
                        self.give(provider::Input::Answer { call, response });
                    }
                }
                TICK => {
                    self.now = later(self.now, message);
                    self.give(provider::Input::Tick);
                }
                _ => {}
            }
        }
    }

    fn give(&mut self, input: provider::Input) {
        for effect in handle(self.provider, self.store, self.now, input) {
            if let provider::Effect::Ask { call, request, .. } = effect {
                self.asked.push((call, request));
            }
        }
    }
}

fn handle<M: Machine>(
    machine: &mut M,
    store: &Store,
    now: UnixMillis,
    input: M::Input,
) -> Vec<M::Effect> {
    let effects = drive(machine, store, now, [input], Vec::new(), &NoWatch);
    effects.expect("memory is there")
}

fn message(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short message");
    [&[kind], length.to_be_bytes().as_slice(), bytes].concat()
}

fn call(request: &Request) -> Vec<u8> {
    format!("{}\n{}", request.action(), request.payload()).into_bytes()
}

/// What is new to the machines, and taken in.
fn news() -> [Frame; 5] {
    let chain = chain();
    let profile = profile_after(chain, &next_profile(chain));
    let ballot = Ballot {
        voter: GroupId(1),
        height: 4,
        header: chain.next.header.body.previous,
    };
    [
        Frame::Receipt(receipt_for(chain, &profile, 5)),
        Frame::Profile(Submission {
            profile,
            grant: chain.grant().clone(),
            detail: b"detail".to_vec(),
        }),
        Frame::Ballot(Signed::new(ballot, &key(1), &chain.genesis.chain_id())),
        Frame::Block(Box::new(chain.next.clone())),
        Frame::Header(Box::new(chain.next.header.clone())),
    ]
}

/// Each frame, call and answer once, and all of them one after the other.
pub(super) fn corpus() -> Corpus {
    let tick = message(TICK, &[1]);
    let mut inputs = Corpus::new();
    for (number, owner) in (0_u8..).zip(Owner::ALL) {
        // Node 1's link to the provider; the provider's and the neighbour's to a node.
        let links: &[u8] = match owner {
            Owner::Provider => &[1 << 4],
            _ => &[0, 1 << 4],
        };
        let mut all = vec![number];
        let mut add = |name: &str, messages: &[Vec<u8>]| {
            let messages = messages.concat();
            all.extend(&messages);
            let input = [&[number], messages.as_slice()].concat();
            inputs.insert(format!("{owner:?}-{name}"), input);
        };
        for link in links {
            for (index, frame) in frames().iter().chain(&news()).enumerate() {
                let frame = message(link | FRAME, &canonical(frame));
                add(&format!("{link}-frame-{index:02}"), &[frame, tick.clone()]);
            }
            for (request, response) in calls() {
                let payload = response.payload().to_string().into_bytes();
                let answer = message(link | ANSWER, &payload);
                let call = message(link | CALL, &call(request));
                let name = format!("{link}-{}", ack_name(request));
                add(&name, &[call, answer, tick.clone()]);
            }
        }
        inputs.insert(format!("{owner:?}-all"), all);
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_takes_in_what_is_new() {
        let [receipt, submission, ballot, ..] = news();
        let store = Owner::Provider.store();
        let mut provider = load_provider(&store).expect("it is whole");
        let mut run = ProviderRun::begin(&mut provider, &store);
        let frame = Box::new(submission);
        let input = provider::Input::Frame { link: 1, frame };
        let promise = handle(run.provider, run.store, run.now, input);
        let promised = provider::Effect::Send {
            link: 1,
            frame: Box::new(receipt),
        };
        assert!(promise.contains(&promised), "{promise:?}");
        run.take_in(&[message(1 << 4, &canonical(&ballot)), message(TICK, &[9])].concat());
        let voted = provider.state().groups[&GroupId(1)].voted_height;
        assert_eq!(voted, 4);
    }

    #[test]
    fn a_node_takes_in_what_is_new() {
        let [.., block, header] = news();
        for (owner, frame) in [(Owner::Parent, block), (Owner::Member, header)] {
            let store = owner.store();
            let mut node = load_node(&store).expect("it is whole");
            NodeRun::begin(&mut node, &store).take_in(&message(FRAME, &canonical(&frame)));
            let height = node.progress().map(|chain| chain.height);
            assert_eq!(height, Some(5), "{owner:?}");
        }
    }
}
