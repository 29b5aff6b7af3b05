//! An in-memory network: one provider and some nodes with virtual time, stores that keep only what
//! was committed, links that can be cut and processes that can be killed at an exact point.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its own part"
)]

mod faults;
mod scene;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use faults::{Fault, Victim};
use ledger::frame::Frame;
use ledger::node::{self, Decision, MeasuredCharge, Node, NodeConfig};
use ledger::provider::{self, LinkId, Provider, stored_blocks};
use ledger::store::{Machine, Step, Store, Write};
use ledger::tariff::FlatTariff;
use protocol::message::{Request, Response};
use protocol::{Genesis, Hash, IdTag, KeyPair, UnixMillis, UnixSeconds};
pub use scene::*;

/// Messages that may follow one event before it counts as a loop that never ends.
const LIVELOCK: usize = 20_000;

/// A process: its machine while it runs, and its store, which outlives it.
pub struct Process<M> {
    pub machine: Option<M>,
    pub store: Store,
    alarm: Option<UnixMillis>,
}

impl<M> Process<M> {
    fn new() -> Self {
        Self {
            machine: None,
            store: Store::in_memory().expect("memory is there"),
            alarm: None,
        }
    }
}

/// A gateway.
pub struct Gateway {
    pub name: &'static str,
    pub key: KeyPair,
    pub config: NodeConfig,
    pub process: Process<Node>,
    pub link: Option<LinkId>,
    pub is_cut: bool,
    /// How far its clock is behind.
    lag_ms: u64,
    pub events: Vec<node::Event>,
    pub decisions: Vec<(u64, Decision)>,
    pub refusals: Vec<provider::JoinRefusal>,
    /// Charges whose end the gateway has not seen made durable: given again after a restart.
    unsaved: Vec<MeasuredCharge>,
    calls: BTreeMap<u64, Request>,
    registers: BTreeMap<String, u64>,
}

pub enum Message {
    ToProvider(provider::Input),
    ToNode(node::Input),
}

pub struct Network {
    pub now: UnixMillis,
    pub genesis: Genesis,
    pub tariff: FlatTariff,
    pub provider: Process<Provider>,
    pub gateways: Vec<Gateway>,
    pub provider_events: Vec<provider::Event>,
    /// Frames on their way can be looked at, changed and dropped (`None`) here.
    pub tamper: Option<fn(Frame) -> Option<Frame>>,
    /// The same towards the provider; `false` drops the frame.
    spoil: Option<Box<dyn Fn(&mut Frame) -> bool>>,
    spoil_answers: Option<Box<dyn Fn(&mut Response)>>,
    pub faults: faults::Faults,
    queue: VecDeque<(usize, LinkId, Message)>,
    next_link: LinkId,
    next_call: u64,
    next_charge: u128,
}

pub fn provider_key() -> KeyPair {
    KeyPair::from_seed(&[1; 32])
}

impl Network {
    /// A provider without nodes, one second into its chain.
    pub fn empty() -> Self {
        let mut network = Self::unborn(60);
        network.start_provider();
        network
    }

    fn unborn(interval_s: u32) -> Self {
        let genesis = Genesis {
            provider_key: provider_key().public(),
            time: UnixSeconds(1_800_000_000),
            interval_s,
            witnesses: 8,
            currency: "EUR".to_owned(),
            test: true,
        };
        Self {
            now: UnixMillis(1_800_000_001_000),
            genesis,
            tariff: FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff"),
            provider: Process::new(),
            gateways: Vec::new(),
            provider_events: Vec::new(),
            tamper: None,
            spoil: None,
            spoil_answers: None,
            faults: faults::Faults::default(),
            queue: VecDeque::new(),
            next_link: 1,
            next_call: 1,
            next_charge: 1,
        }
    }

    pub fn start_provider(&mut self) {
        let (genesis, tariff) = (self.genesis.clone(), self.tariff.clone());
        let loaded = Provider::load(provider_key(), genesis, tariff, &self.provider.store);
        self.provider.machine = Some(loaded.expect("the store is whole"));
        // What `load` wants stored must not wait for the first message.
        self.to_provider(provider::Input::Tick);
    }

    /// Gives out a token for `groups` and starts a gateway that holds it.
    pub fn add_gateway(&mut self, name: &'static str, config: NodeConfig, groups: &[&str]) {
        let groups: BTreeSet<IdTag> = groups.iter().map(|g| tag(g)).collect();
        let token = Hash::of(name.as_bytes());
        // The operator asks again until the command succeeds.
        loop {
            let groups = groups.clone();
            self.to_provider(provider::Input::CreateToken { token, groups });
            if self.provider.machine.is_some() {
                break;
            }
            self.start_provider();
        }
        let seed = [u8::try_from(self.gateways.len()).expect("few") + 10; 32];
        self.gateways.push(Gateway {
            name,
            key: KeyPair::from_seed(&seed),
            config,
            process: Process::new(),
            link: None,
            is_cut: false,
            lag_ms: 0,
            events: Vec::new(),
            decisions: Vec::new(),
            refusals: Vec::new(),
            unsaved: Vec::new(),
            calls: BTreeMap::new(),
            registers: BTreeMap::new(),
        });
        self.start_gateway(self.gateways.len() - 1);
    }

    fn start_gateway(&mut self, index: usize) {
        let gateway = &mut self.gateways[index];
        let config = gateway.config.clone();
        let loaded = Node::load(gateway.key.clone(), config, &gateway.process.store);
        gateway.process.machine = Some(loaded.expect("the store is whole"));
        for charge in gateway.unsaved.clone() {
            self.to_node(index, node::Input::Ended(charge));
        }
    }

    pub fn index(&self, name: &str) -> usize {
        let found = self.gateways.iter().position(|g| g.name == name);
        found.expect("a gateway of this name")
    }

    pub fn gateway(&self, name: &str) -> &Gateway {
        &self.gateways[self.index(name)]
    }

    pub fn node(&self, name: &str) -> &Node {
        let machine = self.gateway(name).process.machine.as_ref();
        machine.expect("it runs")
    }

    pub fn provider(&self) -> &Provider {
        self.provider.machine.as_ref().expect("it runs")
    }

    /// Kills a gateway; what it had not committed is gone.
    pub fn crash(&mut self, name: &str) {
        self.crash_index(self.index(name));
    }

    fn crash_index(&mut self, index: usize) {
        let gateway = &mut self.gateways[index];
        gateway.process.machine = None;
        gateway.process.alarm = None;
        gateway.calls.clear();
        if let Some(link) = gateway.link.take() {
            self.to_provider(provider::Input::Left { link });
        }
    }

    pub fn crash_provider(&mut self) {
        self.provider.machine = None;
        self.provider.alarm = None;
        for index in 0..self.gateways.len() {
            self.drop_link(index);
        }
    }

    pub fn restart(&mut self, name: &str) {
        self.start_gateway(self.index(name));
        self.settle();
    }

    /// Cuts a link until `restore_link`.
    pub fn cut_link(&mut self, name: &str) {
        let index = self.index(name);
        self.gateways[index].is_cut = true;
        self.drop_link(index);
    }

    pub fn restore_link(&mut self, name: &str) {
        let index = self.index(name);
        self.gateways[index].is_cut = false;
        self.settle();
    }

    fn drop_link(&mut self, index: usize) {
        let Some(link) = self.gateways[index].link.take() else {
            return;
        };
        self.to_provider(provider::Input::Left { link });
        self.to_node(index, node::Input::LinkDown);
        for request in std::mem::take(&mut self.gateways[index].calls).into_values() {
            self.to_node(index, node::Input::Answer(request, None));
        }
    }

    /// Connects who has no link, and delivers messages until there are none.
    pub fn settle(&mut self) {
        for _ in 0..LIVELOCK {
            self.revive();
            self.connect();
            let Some((index, link, message)) = self.queue.pop_front() else {
                return;
            };
            if self.gateways[index].link != Some(link) && !is_join(&message) {
                continue;
            }
            if self.faults.cuts_now() {
                self.drop_link(index);
                continue;
            }
            match message {
                Message::ToProvider(input) => self.to_provider(input),
                Message::ToNode(input) => self.to_node(index, input),
            }
        }
        panic!("messages go round and round");
    }

    /// Starts again what a fault has killed.
    fn revive(&mut self) {
        if !self.faults.is_reviving {
            return;
        }
        if self.provider.machine.is_none() {
            self.start_provider();
        }
        for index in 0..self.gateways.len() {
            if self.gateways[index].process.machine.is_none() {
                self.start_gateway(index);
            }
        }
    }

    fn connect(&mut self) {
        for index in 0..self.gateways.len() {
            let gateway = &mut self.gateways[index];
            let is_up = gateway.process.machine.is_some() && self.provider.machine.is_some();
            if !is_up || gateway.is_cut || gateway.link.is_some() {
                continue;
            }
            let link = self.next_link;
            self.next_link += 1;
            gateway.link = Some(link);
            let join = provider::Input::Join {
                link,
                key: gateway.key.public(),
                token: Some(Hash::of(gateway.name.as_bytes())),
            };
            self.queue
                .push_back((index, link, Message::ToProvider(join)));
        }
    }

    pub fn run_for(&mut self, seconds: u64) {
        let end = self.now.plus_ms(seconds * 1_000);
        self.settle();
        while self.now < end {
            let second = UnixMillis((self.now.0 / 1_000 + 1) * 1_000);
            let alarms = self.gateways.iter().map(|g| g.process.alarm);
            let alarms = alarms.chain([self.provider.alarm]).flatten();
            let alarm = alarms.filter(|at| *at > self.now).min();
            self.now = alarm.unwrap_or(second).min(second).min(end);
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.provider.alarm = None;
        self.to_provider(provider::Input::Tick);
        self.settle();
        for index in 0..self.gateways.len() {
            self.gateways[index].process.alarm = None;
            self.to_node(index, node::Input::Tick);
            self.settle();
        }
    }

    /// Runs on past the grace of so many rounds.
    pub fn run_rounds(&mut self, rounds: u64) {
        let round = self.genesis.round_at(self.now) + rounds;
        let end = self.genesis.round_start(round).plus_ms(15_000);
        self.run_for(end.since_ms(self.now) / 1_000);
    }

    pub fn to_provider(&mut self, input: provider::Input) {
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
            } => self.send_to_node(link, node::Input::Asked { call, request }),
            Effect::Send { link, frame } => self.send_frame(link, *frame),
            Effect::SendBlocks { link, from, count } => {
                let mut blocks = Vec::new();
                stored_blocks(&self.provider.store, from, count, |b| blocks.push(b))
                    .expect("the store is whole");
                for block in blocks {
                    self.send_frame(link, Frame::Block(Box::new(block)));
                }
            }
            Effect::WakeAt(at) => wake(&mut self.provider.alarm, at),
            Effect::Notify(event) => self.provider_events.push(event),
        }
    }

    fn joined(
        &mut self,
        link: LinkId,
        result: Result<protocol::message::JoinAck, provider::JoinRefusal>,
    ) {
        match result {
            Ok(ack) => {
                let genesis = self.genesis.clone();
                self.send_to_node(link, node::Input::LinkUp { genesis, ack });
            }
            Err(refusal) => {
                if let Some(index) = self.by_link(link) {
                    self.gateways[index].refusals.push(refusal);
                    self.gateways[index].is_cut = true;
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

    pub fn to_node(&mut self, index: usize, input: node::Input) {
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
            Effect::WakeAt(at) => wake(&mut gateway.process.alarm, at),
            Effect::Notify(event) => gateway.events.push(event),
            Effect::Send(_) | Effect::Reply { .. } => {}
        }
    }

    fn call(&mut self, index: usize, request: Request) {
        let gateway = &mut self.gateways[index];
        let Some(link) = gateway.link else {
            self.to_node(index, node::Input::Answer(request, None));
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

fn is_join(message: &Message) -> bool {
    matches!(message, Message::ToProvider(provider::Input::Join { .. }))
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
    faults: &mut faults::Faults,
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
