//! An in-memory network: one provider and some nodes with virtual time, stores that keep only what
//! was committed, links that can be cut and processes that can be killed at an exact point.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its own part"
)]

mod faults;
mod neighbours;
mod scene;
mod wires;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use faults::{Fault, Victim};
use ledger::frame::Frame;
use ledger::node::{self, Decision, MeasuredCharge, Node, NodeConfig};
use ledger::provider::{self, LinkId, Provider, stored_blocks};
use ledger::store::{Machine, Step, Store, Write};
use ledger::tariff::FlatTariff;
pub use neighbours::address;
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
    /// When it tries to join again, after it was told that the provider does not let it in yet.
    tries_again: UnixMillis,
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

type SpoilFrame = Box<dyn Fn(&mut Frame) -> bool>;
type SpoilAnswer = Box<dyn Fn(&mut Response)>;

pub enum Message {
    ToProvider(provider::Input),
    ToNode(node::Input),
    /// Between two gateways, over no link of the provider's.
    FromNeighbour(node::Input),
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
    spoil: Option<SpoilFrame>,
    spoil_answers: Option<SpoilAnswer>,
    pub faults: faults::Faults,
    pub direct: neighbours::Direct,
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
            dormancy_s: Genesis::DORMANCY_S,
            dispute_period_s: Genesis::DISPUTE_PERIOD_S,
            currency: "EUR".to_owned(),
            test: true,
        };
        Self {
            now: UnixMillis(1_800_000_001_000),
            genesis,
            tariff: FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff"),
            provider: Process {
                // It can be copied, as a backup is.
                store: Store::simulated(),
                ..Process::new()
            },
            gateways: Vec::new(),
            provider_events: Vec::new(),
            tamper: None,
            spoil: None,
            spoil_answers: None,
            faults: faults::Faults::default(),
            direct: neighbours::Direct::default(),
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
        self.provider_gets(provider::Input::Tick);
    }

    /// Gives out a token for `groups` and starts a gateway that holds it.
    pub fn add_gateway(&mut self, name: &'static str, config: NodeConfig, groups: &[&str]) {
        let groups: BTreeSet<IdTag> = groups.iter().map(|g| tag(g)).collect();
        let token = Hash::of(name.as_bytes());
        // The operator asks again until the command succeeds.
        loop {
            let groups = groups.clone();
            self.provider_gets(provider::Input::CreateToken { token, groups });
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
            tries_again: UnixMillis(0),
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
            self.node_gets(index, node::Input::Ended(charge));
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
            self.provider_gets(provider::Input::Left { link });
        }
    }

    pub fn crash_provider(&mut self) {
        self.provider.machine = None;
        self.provider.alarm = None;
        for index in 0..self.gateways.len() {
            self.drop_link(index);
        }
    }

    /// A copy of the provider's store as it is now.
    pub fn back_up(&self) -> Store {
        self.provider.store.copy().expect("it is a simulated one")
    }

    /// The provider's machine is lost, and begins again from a copy of its store.
    pub fn restore(&mut self, backup: Store) {
        self.crash_provider();
        self.provider.store = backup;
        self.start_provider();
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
        self.provider_gets(provider::Input::Left { link });
        self.node_gets(index, node::Input::LinkDown);
        for request in std::mem::take(&mut self.gateways[index].calls).into_values() {
            self.node_gets(index, node::Input::Answer(request, None));
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
            if let Message::FromNeighbour(input) = message {
                self.node_gets(index, input);
                continue;
            }
            if self.gateways[index].link != Some(link) && !is_join(&message) {
                continue;
            }
            if self.faults.cuts_now() {
                self.drop_link(index);
                continue;
            }
            match message {
                Message::ToProvider(input) => self.provider_gets(input),
                Message::ToNode(input) | Message::FromNeighbour(input) => {
                    self.node_gets(index, input);
                }
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
            let waits = gateway.is_cut || gateway.tries_again > self.now;
            if !is_up || waits || gateway.link.is_some() {
                continue;
            }
            let link = self.next_link;
            self.next_link += 1;
            gateway.link = Some(link);
            let node = gateway.process.machine.as_ref();
            let join = provider::Input::Join {
                link,
                key: gateway.key.public(),
                token: Some(Hash::of(gateway.name.as_bytes())),
                report: node.expect("it is up").report(),
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
        self.provider_gets(provider::Input::Tick);
        self.settle();
        for index in 0..self.gateways.len() {
            self.gateways[index].process.alarm = None;
            self.node_gets(index, node::Input::Tick);
            self.settle();
        }
    }

    /// Runs on past the grace of so many rounds.
    pub fn run_rounds(&mut self, rounds: u64) {
        let round = self.genesis.round_at(self.now) + rounds;
        let end = self.genesis.round_start(round).plus_ms(15_000);
        self.run_for(end.since_ms(self.now) / 1_000);
    }
}

fn is_join(message: &Message) -> bool {
    matches!(message, Message::ToProvider(provider::Input::Join { .. }))
}
