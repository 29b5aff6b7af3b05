//! The world of one run: processes, wires, people, and the one loop that moves time.

mod changes;
mod faults;
mod gateway;
mod known;
mod links;
mod neighbours;
mod people;
mod provider;
mod resume;
mod weather;

use std::collections::{BTreeMap, BTreeSet};

use ledger::node::{self, Node};
use ledger::provider::{self as rules, LinkId, Provider};
use ledger::store::Store;
use protocol::message::{Request, Response};
use protocol::{Hash, KeyPair, PublicKey};

use crate::changes::Change;
use crate::check::Checks;
use crate::faults::Fault;
use crate::lies::{GatewayMemory, ProviderMemory};
use crate::process::{Item, Process};
use crate::queue::Queue;
use crate::random::Random;
use crate::scenario::{Scenario, provider_key, site_key};
use crate::tally::Tally;
use crate::trace::Trace;
use known::Known;
use links::Link;
use neighbours::Nearness;
pub(crate) use people::{People, Phase, charge_id};
use weather::Weather;

/// Events that a run may have; more means that something goes round and round.
const LIVELOCK: u64 = 200_000;
/// How often each process gets a tick, ms.
const TICK_MS: u64 = 1_000;
/// How often it is looked who is on which branch, ms.
const BRANCHES_MS: u64 = 1_000;

/// A process of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A provider's process: 0 is the provider, others are further lives it leads when it lies.
    Provider(usize),
    /// A gateway by the number of its site.
    Gateway(usize),
}

/// What happens at a moment.
#[derive(Debug)]
pub(crate) enum Event {
    /// A process takes in what has arrived.
    Run(Who, u32),
    /// Time for a tick, and for the next.
    Tick(Who, u32),
    /// A tick that the machine asked for.
    Alarm(Who, u32),
    /// A process starts.
    Start(Who),
    /// A gateway tries to reach the provider.
    Connect(usize),
    /// Something arrives at a gateway.
    ToGateway(LinkId, Box<node::Input>),
    /// Something arrives at the provider.
    ToProvider(LinkId, Box<rules::Input>),
    /// The answer to a gateway's call arrives.
    Replied(LinkId, u64, Option<Response>),
    /// The gateway is told that its link is gone.
    GatewayTold(LinkId),
    /// The provider is told.
    ProviderTold(LinkId),
    /// A gateway's call was not answered in time.
    CallLost(usize, u64),
    /// A provider's call was not answered in time.
    AskLost(usize, u64),
    /// What a gateway says arrives at another one, over a link between the two.
    Between(u64, usize, Box<node::Said>),
    /// A gateway learns by itself that a call to another one came to nothing.
    ByItself(usize, PublicKey, Box<node::Said>),
    /// A gateway's call to another one was not answered in time.
    NeighbourCallLost(u64),
    /// An end of a link between gateways is told that it is gone.
    Parted(u64, usize),
    /// Looks who is on which branch.
    Branches,
    /// Something breaks.
    Fault(Fault),
    /// Somebody changes something.
    Change(Change),
    /// Everything that broke is whole again.
    Heal,
    /// A lying provider does something by itself.
    Lie,
    /// Somebody plugs in; the number is the charge's.
    PlugIn(usize),
    /// The charge ends.
    PlugOut(usize),
    /// The owners of stopped gateways agree on a header.
    Agree,
    /// They hand over what they picked.
    Resume,
    /// Looks whether all that is due has come about.
    Look,
}

/// A gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) key: KeyPair,
    pub(crate) process: Process<Node>,
    pub(crate) link: Option<LinkId>,
    /// Calls under way, and over which link.
    calls: BTreeMap<u64, (LinkId, Request)>,
    /// Switched off for good.
    pub(crate) has_left: bool,
    // Its store as it was when it was backed up last.
    backup: Option<Store>,
    pub(crate) memory: GatewayMemory,
}

/// A process of the provider's.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) process: Process<Provider>,
    asks: BTreeSet<u64>,
}

impl Branch {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            process: Process::new(store),
            asks: BTreeSet::new(),
        }
    }
}

/// Everything there is in a run.
#[derive(Debug)]
pub(crate) struct World {
    /// Virtual time since the beginning, ms.
    pub(crate) now: u64,
    pub(crate) scenario: Scenario,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) people: People,
    pub(crate) checks: Checks,
    pub(crate) tally: Tally,
    pub(crate) trace: Trace,
    pub(crate) liar: ProviderMemory,
    pub(crate) random: Random,
    pub(crate) near: Nearness,
    pub(crate) known: Known,
    // The provider's store as it was when it was backed up last.
    backup: Option<Store>,
    weather: Weather,
    links: BTreeMap<LinkId, Link>,
    queue: Queue<Event>,
    next_link: LinkId,
    next_call: u64,
    is_over: bool,
    /// By how much the provider's clock was off, ms: its rounds may wait so long for time to catch
    /// up.
    ahead_ms: u64,
}

impl World {
    /// The world of `scenario` before its first event.
    pub(crate) fn new(seed: u64, scenario: Scenario, trace: Trace) -> Self {
        let gateways = (0..scenario.sites.len()).map(|index| Gateway {
            key: site_key(index),
            process: Process::new(Store::simulated()),
            link: None,
            calls: BTreeMap::new(),
            has_left: false,
            backup: None,
            memory: GatewayMemory::default(),
        });
        let mut world = Self {
            now: 0,
            gateways: gateways.collect(),
            branches: vec![Branch::new(Store::simulated())],
            people: People::new(&scenario),
            checks: Checks::new(&scenario),
            tally: Tally::default(),
            trace,
            liar: ProviderMemory::new(&scenario, seed),
            random: Random::new(seed, 1),
            near: Nearness::new(seed),
            known: Known::default(),
            backup: None,
            weather: Weather::default(),
            links: BTreeMap::new(),
            queue: Queue::new(),
            next_link: 1,
            next_call: 1,
            is_over: false,
            ahead_ms: 0,
            scenario,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        self.start_provider(0);
        self.give_tokens_out();
        for index in 0..self.gateways.len() {
            let at = self.scenario.sites[index].joins_at;
            self.queue.push(at, Event::Start(Who::Gateway(index)));
        }
        for (number, charge) in self.scenario.charges.iter().enumerate() {
            self.queue.push(charge.at, Event::PlugIn(number));
        }
        for planned in &self.scenario.faults {
            self.queue
                .push(planned.at, Event::Fault(planned.fault.clone()));
        }
        for planned in &self.scenario.changes {
            self.queue
                .push(planned.at, Event::Change(planned.change.clone()));
        }
        self.plan_lies();
        if self.scenario.provider_lie.is_some() {
            self.queue.push(BRANCHES_MS, Event::Branches);
        }
        self.queue.push(self.scenario.heals_at, Event::Heal);
    }

    pub(crate) fn plan_event(&mut self, at: u64, event: Event) {
        self.queue.push(at, event);
    }

    fn tokens(&self) -> Vec<rules::Input> {
        let claims = self.scenario.sites.iter().enumerate();
        let input = |(index, site): (usize, &crate::scenario::Site)| rules::Input::CreateToken {
            token: token(index),
            groups: site.claims.iter().cloned().collect(),
        };
        claims.map(input).collect()
    }

    /// The operator's part: before anything else happens.
    fn give_tokens_out(&mut self) {
        for input in self.tokens() {
            self.branches[0].process.inbox.push(Item::input(input));
        }
        self.run(Who::Provider(0), self.branches[0].process.life);
    }

    /// Runs until all is settled, a promise is broken or time is up.
    pub(crate) fn run_to_the_end(&mut self) -> u64 {
        let mut steps = 0;
        while !self.is_over && self.checks.violation.is_none() {
            let Some((at, event)) = self.queue.pop() else {
                break;
            };
            self.now = at;
            self.step(event);
            steps += 1;
            if steps > LIVELOCK {
                self.checks
                    .violated("livelock", "events follow each other without end");
            }
        }
        steps
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Run(who, life) => self.run(who, life),
            Event::Tick(who, life) => self.tick(who, life, true),
            Event::Alarm(who, life) => self.tick(who, life, false),
            Event::Start(who) => self.start_now(who),
            Event::Connect(gateway) => self.connect(gateway),
            Event::ToGateway(link, input) => self.arrives_at_gateway(link, *input),
            Event::ToProvider(link, input) => self.arrives_at_provider(link, *input),
            Event::Replied(link, call, response) => self.replied(link, call, response),
            Event::GatewayTold(link) => self.gateway_told(link),
            Event::ProviderTold(link) => self.provider_told(link),
            Event::CallLost(gateway, call) => self.call_lost(gateway, call),
            Event::AskLost(branch, call) => self.ask_lost(branch, call),
            Event::Between(link, to, said) => self.arrives_between(link, to, *said),
            Event::ByItself(gateway, from, said) => self.hears(gateway, from, *said),
            Event::NeighbourCallLost(call) => self.neighbour_call_lost(call),
            Event::Parted(link, end) => self.parted(link, end),
            Event::Branches => {
                crate::check::look_at_branches(self);
                self.queue.push(self.now + BRANCHES_MS, Event::Branches);
            }
            Event::Fault(fault) => self.strike(fault),
            Event::Change(change) => self.change(change),
            Event::Heal => self.heal(),
            Event::Lie => self.lie_now(),
            Event::PlugIn(charge) => self.plug_in(charge),
            Event::PlugOut(charge) => self.plug_out(charge),
            Event::Agree => self.agree(),
            Event::Resume => self.resume(),
            Event::Look => self.look(),
        }
    }

    fn is_alive(&self, who: Who, life: u32) -> bool {
        match who {
            Who::Provider(branch) => {
                let process = &self.branches[branch].process;
                process.is_up() && process.life == life
            }
            Who::Gateway(index) => {
                let process = &self.gateways[index].process;
                process.is_up() && process.life == life
            }
        }
    }

    fn run(&mut self, who: Who, life: u32) {
        if !self.is_alive(who, life) {
            return;
        }
        match who {
            Who::Provider(branch) => self.run_provider(branch),
            Who::Gateway(index) => self.run_gateway(index),
        }
    }

    fn tick(&mut self, who: Who, life: u32, is_periodic: bool) {
        if !self.is_alive(who, life) {
            return;
        }
        if is_periodic {
            self.queue.push(self.now + TICK_MS, Event::Tick(who, life));
        }
        match who {
            Who::Provider(branch) => self.post_provider(branch, rules::Input::Tick),
            Who::Gateway(index) => self.post_gateway(index, Item::input(node::Input::Tick)),
        }
    }

    pub(crate) fn start_now(&mut self, who: Who) {
        match who {
            Who::Provider(branch) if !self.branches[branch].process.is_up() => {
                self.start_provider(branch);
            }
            Who::Gateway(index)
                if !self.gateways[index].process.is_up() && !self.gateways[index].has_left =>
            {
                self.start_gateway(index);
            }
            _ => {}
        }
    }

    /// How many of `waiting` items go into one batch: nearly always all.
    fn batch_size(&mut self, waiting: usize) -> usize {
        match waiting > 1 && self.random.chance(15) {
            true => self.random.index(waiting) + 1,
            false => waiting,
        }
    }

    pub(crate) fn note(&mut self, who: Who, text: impl FnOnce() -> String) {
        self.trace.note(self.now, who, text());
    }

    /// Looks, after everything has healed, whether all that is due has come about.
    fn look(&mut self) {
        let deadline = self.scenario.heals_at + self.scenario.patience_ms() + self.ahead_ms;
        let unmet = crate::check::unmet(self);
        if unmet.is_some() {
            self.operate();
        }
        match unmet {
            None => self.finish(),
            Some(unmet) if self.now >= deadline => self.checks.violated("liveness", &unmet),
            Some(_) => {
                let next = self.now + self.scenario.genesis.interval_ms() / 2;
                self.queue.push(next, Event::Look);
            }
        }
    }

    fn finish(&mut self) {
        crate::check::at_the_end(self);
        self.is_over = true;
    }
}

/// The hash of the token of a site.
fn token(site: usize) -> Hash {
    Hash::of(&site.to_le_bytes())
}

impl World {
    fn start_provider(&mut self, branch: usize) {
        let (genesis, tariff) = (self.scenario.genesis.clone(), self.scenario.tariff.clone());
        let process = &mut self.branches[branch].process;
        let loaded = Provider::load(provider_key(), genesis, tariff, &process.store);
        let machine = match loaded {
            Ok(machine) => machine,
            Err(error) => {
                let words = format!("the provider cannot start: {error}");
                self.checks.violated("restart", &words);
                return;
            }
        };
        process.start(machine);
        let who = Who::Provider(branch);
        let life = process.life;
        self.note(who, || format!("starts, life {life}"));
        self.queue.push(self.now, Event::Tick(who, life));
        self.forget_told();
        if branch == 0 && self.known.was_restored {
            // The operator makes the tokens again that were made after the backup.
            for input in self.tokens() {
                self.post_provider(0, input);
            }
        }
        if self.scenario.provider_lie.is_some() {
            // Who lies does not listen.
            self.post_provider(branch, rules::Input::SealWithoutReports);
        }
    }

    fn start_gateway(&mut self, index: usize) {
        let config = self.scenario.sites[index].config.clone();
        let gateway = &mut self.gateways[index];
        let loaded = Node::load(gateway.key.clone(), config, &gateway.process.store);
        let machine = match loaded {
            Ok(machine) => machine,
            Err(error) => {
                let words = format!("gateway {index} cannot start: {error}");
                self.checks.violated("restart", &words);
                return;
            }
        };
        if self.scenario.sites[index].is_honest() {
            self.checks
                .gateway_starts(index, &machine, &gateway.process.store);
        }
        gateway.process.start(machine);
        let who = Who::Gateway(index);
        let life = gateway.process.life;
        self.note(who, || format!("starts, life {life}"));
        self.queue.push(self.now, Event::Tick(who, life));
        self.queue.push(self.now, Event::Connect(index));
        self.read_running(index);
        self.tell_of_exchanges(index);
    }
}
