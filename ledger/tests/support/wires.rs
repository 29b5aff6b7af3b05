//! What machines want done, carried out: frames and calls go onto the queue, alarms are set.

use ledger::frame::Frame;
use ledger::node;
use ledger::provider::{self, JoinRefusal, LinkId, stored_blocks, stored_proofs};
use ledger::store::{Machine, Step, Write};
use protocol::UnixMillis;
use protocol::message::{JoinAck, Request, Response};

use super::faults::{Faults, Victim};
use super::{Message, Network, Process};

impl Network {
    pub fn provider_gets(&mut self, input: provider::Input) {
        let fault = &mut self.faults;
        let Some(effects) = step(&mut self.provider, self.now, input, fault, Victim::Provider)
        else {
            self.crash_provider();
            return;
        };
        for effect in effects {
            if self.faults.dies_before_effect(Victim::Provider) {
                self.crash_provider();
                return;
            }
            self.provider_effect(effect);
        }
    }

    fn provider_effect(&mut self, effect: provider::Effect) {
        use provider::Effect;
        match effect {
            Effect::Joined { link, result } => self.joined(link, result),
            Effect::Close { link } => {
                if let Some(index) = self.by_link(link) {
                    self.drop_link(index);
                }
            }
            Effect::Reply {
                link,
                call,
                response,
            } => {
                let index = self.by_link(link);
                let request = index.and_then(|i| self.gateways[i].calls.remove(&call));
                if let Some(request) = request {
                    self.send_to_node(link, node::Input::Answer(request, response));
                }
            }
            Effect::Ask {
                link,
                call,
                request,
            } => {
                self.direct.relayed.push(request.action());
                self.send_to_node(link, node::Input::Asked { call, request });
            }
            Effect::Send { link, frame } => self.send_frame(link, *frame),
            Effect::SendBlocks { link, from, count } => {
                let mut blocks = Vec::new();
                stored_blocks(&self.provider.store, from, count, |b| blocks.push(b))
                    .expect("the store is whole");
                for block in blocks {
                    self.send_frame(link, Frame::Block(Box::new(block)));
                }
            }
            Effect::SendHeaders { link, from, count } => {
                let mut headers = Vec::new();
                stored_blocks(&self.provider.store, from, count, |b| {
                    headers.push(b.header)
                })
                .expect("the store is whole");
                for header in headers {
                    self.send_frame(link, Frame::Header(Box::new(header)));
                }
            }
            Effect::SendProofs {
                link,
                node,
                after,
                count,
            } => {
                let mut files = Vec::new();
                stored_proofs(&self.provider.store, node, after, count, |file| {
                    files.push(file)
                })
                .expect("the store is whole");
                for file in files {
                    self.send_frame(link, Frame::Proof(file.to_bytes()));
                }
            }
            Effect::WakeAt(at) => wake(&mut self.provider.alarm, at),
            Effect::Notify(event) => self.provider_events.push(event),
        }
    }

    fn joined(&mut self, link: LinkId, result: Result<JoinAck, provider::JoinRefusal>) {
        match result {
            Ok(ack) => {
                let genesis = self.genesis.clone();
                self.send_to_node(link, node::Input::LinkUp { genesis, ack });
            }
            Err(refusal) => {
                if let Some(index) = self.by_link(link) {
                    let gateway = &mut self.gateways[index];
                    match refusal {
                        JoinRefusal::Listening => gateway.tries_again = self.now.plus_ms(1_000),
                        _ => gateway.is_cut = true,
                    }
                    gateway.refusals.push(refusal);
                    self.drop_link(index);
                }
            }
        }
    }

    fn send_frame(&mut self, link: LinkId, frame: Frame) {
        let frame = match self.tamper {
            Some(tamper) => tamper(frame),
            None => Some(frame),
        };
        if let Some(frame) = frame {
            self.send_to_node(link, node::Input::Frame(Box::new(frame)));
        }
    }

    fn send_to_node(&mut self, link: LinkId, input: node::Input) {
        if let Some(index) = self.by_link(link) {
            self.queue.push_back((index, link, Message::ToNode(input)));
        }
    }

    fn by_link(&self, link: LinkId) -> Option<usize> {
        self.gateways.iter().position(|g| g.link == Some(link))
    }

    pub fn node_gets(&mut self, index: usize, input: node::Input) {
        let ended = match &input {
            node::Input::Ended(charge) => Some(charge.clone()),
            _ => None,
        };
        let gateway = &mut self.gateways[index];
        if let Some(charge) = &ended
            && gateway.unsaved.iter().all(|c| c.id != charge.id)
        {
            gateway.unsaved.push(charge.clone());
        }
        let victim = Victim::Node(index);
        let fault = &mut self.faults;
        let now = UnixMillis(self.now.0 - gateway.lag_ms);
        let Some(effects) = step(&mut gateway.process, now, input, fault, victim) else {
            self.crash_index(index);
            return;
        };
        if let (Some(charge), true) = (ended, gateway.process.machine.is_some()) {
            gateway.unsaved.retain(|c| c.id != charge.id);
        }
        for effect in effects {
            if self.faults.dies_before_effect(victim) {
                self.crash_index(index);
                return;
            }
            self.node_effect(index, effect);
        }
    }

    fn node_effect(&mut self, index: usize, effect: node::Effect) {
        use node::Effect;
        let gateway = &mut self.gateways[index];
        let (spoil, spoil_answers) = (self.spoil.as_ref(), self.spoil_answers.as_ref());
        let input = |link| match effect.clone() {
            Effect::Send(mut frame) => spoil
                .is_none_or(|spoil| spoil(&mut frame))
                .then_some(provider::Input::Frame { link, frame }),
            Effect::Reply { call, mut response } => {
                if let (Some(spoil), Some(response)) = (spoil_answers, &mut response) {
                    spoil(response);
                }
                Some(provider::Input::Answer { call, response })
            }
            _ => None,
        };
        if let Some(link) = gateway.link
            && let Some(input) = input(link)
        {
            self.queue
                .push_back((index, link, Message::ToProvider(input)));
        }
        match effect {
            Effect::Call(request) => self.call(index, request),
            Effect::Decided { question, decision } => gateway.decisions.push((question, decision)),
            Effect::SendBlocks { from, count } => self.give_blocks(index, from, count),
            Effect::WakeAt(at) => wake(&mut gateway.process.alarm, at),
            Effect::Notify(event) => gateway.events.push(event),
            Effect::Neighbour(to) => self.neighbour_effect(index, to),
            Effect::Send(_) | Effect::Reply { .. } => {}
        }
    }

    /// A node's blocks, towards the provider.
    fn give_blocks(&mut self, index: usize, from: u64, count: u64) {
        let gateway = &self.gateways[index];
        let Some(link) = gateway.link else { return };
        let mut blocks = Vec::new();
        node::stored_blocks(&gateway.process.store, from, count, |b| blocks.push(b))
            .expect("the store is whole");
        for block in blocks {
            let frame = Box::new(Frame::Block(Box::new(block)));
            let input = provider::Input::Frame { link, frame };
            self.queue
                .push_back((index, link, Message::ToProvider(input)));
        }
    }

    fn call(&mut self, index: usize, request: Request) {
        let gateway = &mut self.gateways[index];
        let Some(link) = gateway.link else {
            self.node_gets(index, node::Input::Answer(request, None));
            return;
        };
        let call = self.next_call;
        self.next_call += 1;
        gateway.calls.insert(call, request.clone());
        let asked = provider::Input::Asked {
            link,
            call,
            request,
        };
        self.queue
            .push_back((index, link, Message::ToProvider(asked)));
    }

    /// Gives the provider a call on the gateway's link and takes the answer that follows at once.
    pub fn ask(&mut self, name: &str, request: Request) -> Option<Response> {
        let link = self.gateway(name).link.expect("it is linked");
        let machine = self.provider.machine.as_mut().expect("it runs");
        machine.handle(
            self.now,
            provider::Input::Asked {
                link,
                call: u64::MAX,
                request,
            },
        );
        let mut answer = None;
        while let Some(step) = machine.poll() {
            match step {
                Step::Persist(write) => self.provider.store.commit(&[write]).expect("memory"),
                Step::Effect(provider::Effect::Reply { call, response, .. })
                    if call == u64::MAX =>
                {
                    answer = response;
                }
                Step::Effect(_) => {}
            }
        }
        answer
    }
}

fn wake(alarm: &mut Option<UnixMillis>, at: UnixMillis) {
    *alarm = Some(alarm.map_or(at, |before| before.min(at)));
}

/// One input through a machine and its store, as `ledger::store::drive` does it; `None` where a
/// fault kills the process on the way.
fn step<M: Machine>(
    process: &mut Process<M>,
    now: UnixMillis,
    input: M::Input,
    faults: &mut Faults,
    victim: Victim,
) -> Option<Vec<M::Effect>> {
    let Some(machine) = &mut process.machine else {
        return Some(Vec::new());
    };
    machine.handle(now, input);
    let mut writes: Vec<Write> = Vec::new();
    let mut effects = Vec::new();
    while let Some(step) = machine.poll() {
        match step {
            Step::Persist(write) => writes.push(write),
            Step::Effect(effect) => effects.push(effect),
        }
    }
    if !writes.is_empty() {
        if faults.dies_before_sync(victim) {
            return None;
        }
        process.store.commit(&writes).expect("memory is there");
        if faults.dies_after_sync(victim) {
            return None;
        }
    }
    Some(effects)
}
