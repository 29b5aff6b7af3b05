//! What the tests' stories are made of: two groups, charges, bills.

use ledger::State;
use ledger::block::{Block, Body, Record};
use ledger::frame::{Frame, SealedGroup};
use ledger::node::{self, MeasuredCharge, NodeConfig, Outlet};
use ledger::provider::{self, JoinRefusal, stored_blocks};
use ledger::receipt_file::ReceiptFile;
use ledger::seal::seal;
use ledger::store::{Machine, Step};
use protocol::message::{
    AuthorizeAck, ChargeInfo, ChargeInfoLine, Finality, Report, Request, Response,
};
use protocol::{
    EnergyWh, Grant, GroupId, Hash, IdTag, NodeId, PowerW, PublicKey, Signed, TariffId, UnixMillis,
    UnixSeconds,
};

use super::Network;

pub fn tag(text: &str) -> IdTag {
    IdTag::parse(text).expect("a valid idTag")
}

pub fn wh(energy: u64) -> EnergyWh {
    EnergyWh(energy)
}

/// A gateway's configuration: chargers of one group, outlets credited to it.
pub fn site(group: &str, chargers: &[&str], outlets: &[&str]) -> NodeConfig {
    let owner = tag(group);
    let member = |id_tag: &&str| (tag(id_tag), Some(owner.clone()));
    let outlet = |name: &&str| Outlet {
        name: (*name).to_owned(),
        owner: owner.clone(),
        meter: format!("SDM630 of {name}"),
    };
    NodeConfig {
        chargers: chargers.iter().map(member).collect(),
        outlets: outlets.iter().map(outlet).collect(),
        ..NodeConfig::default()
    }
}

impl Network {
    /// A household with two outlets and a fleet's depot, both enrolled in a final block.
    pub fn new() -> Self {
        Self::with_interval(60)
    }

    /// The same, and a gateway with a charger of the fleet and an outlet of the fleet's, which is
    /// parent of no group.
    pub fn with_member() -> Self {
        let mut network = Self::new();
        let fleet = network.index("fleet");
        let members = &mut network.gateways[fleet].config.members;
        members.insert(tag("FLEET-9"), tag("FLEET"));
        network.crash("fleet");
        network.restart("fleet");
        network.add_gateway("member", site("FLEET", &["FLEET-9"], &["street"]), &[]);
        network.run_rounds(3);
        network
    }

    /// The same with rounds of another length.
    pub fn with_interval(interval_s: u32) -> Self {
        let mut network = Self::unborn(interval_s);
        network.populate();
        network
    }

    /// The same, and three groups as well that enrolled and have been silent since.
    pub fn with_silent_crowd(dormancy_s: u32, dispute_period_s: u32) -> Self {
        let mut network = Self::unborn(60);
        network.genesis.dormancy_s = dormancy_s;
        network.genesis.dispute_period_s = dispute_period_s;
        network.populate();
        for (name, group) in [("one", "ONE"), ("two", "TWO"), ("three", "THREE")] {
            network.add_gateway(name, site(group, &[group], &[]), &[group]);
            network.settle();
            network.cut_link(name);
        }
        network.run_rounds(2);
        network
    }

    fn populate(&mut self) {
        self.start_provider();
        let household = site("HOUSEHOLD", &["HOME-1"], &["garage", "yard"]);
        self.add_gateway("household", household, &["HOUSEHOLD"]);
        let fleet = site("FLEET", &["FLEET-1", "FLEET-2"], &["depot"]);
        self.add_gateway("fleet", fleet, &["FLEET"]);
        self.run_rounds(2);
    }

    /// A charge that ends now, two minutes long; the outlet's meter goes on from where it was.
    pub fn charge_at(&mut self, name: &str, outlet: &str, id_tag: &str, energy: EnergyWh) {
        let charge = self.measure(name, outlet, id_tag, energy);
        self.end_charge(name, charge);
    }

    /// The same at the gateway's first outlet.
    pub fn charge(&mut self, name: &str, id_tag: &str, energy: EnergyWh) {
        let outlet = self.gateway(name).config.outlets[0].name.clone();
        self.charge_at(name, &outlet, id_tag, energy);
    }

    pub fn end_charge(&mut self, name: &str, charge: MeasuredCharge) {
        let index = self.index(name);
        self.node_gets(index, node::Input::Ended(charge));
        self.settle();
    }

    pub fn measure(
        &mut self,
        name: &str,
        outlet: &str,
        id_tag: &str,
        energy: EnergyWh,
    ) -> MeasuredCharge {
        let id = self.next_charge.to_be_bytes();
        self.next_charge += 1;
        let index = self.index(name);
        let registers = &mut self.gateways[index].registers;
        let register = registers.entry(outlet.to_owned()).or_insert(100_000);
        let register_start = EnergyWh(*register);
        *register += energy.0;
        let end = self.now.seconds();
        MeasuredCharge {
            id,
            id_tag: tag(id_tag),
            outlet: outlet.to_owned(),
            start: UnixSeconds(end.0 - 120),
            end,
            register_start,
            energy,
            max_power: PowerW(11_000),
            detail: b"register at each quarter of an hour".to_vec(),
            hold: None,
        }
    }

    /// What an outlet's meter shows now.
    pub fn set_register(&mut self, name: &str, outlet: &str, register: u64) {
        let index = self.index(name);
        let registers = &mut self.gateways[index].registers;
        registers.insert(outlet.to_owned(), register);
    }

    /// Presents an idTag and runs until it is decided.
    pub fn present(&mut self, name: &str, id_tag: &str) -> node::Decision {
        let question = 77;
        let index = self.index(name);
        self.gateways[index].decisions.clear();
        let id_tag = tag(id_tag);
        self.node_gets(index, node::Input::Presented { question, id_tag });
        self.settle();
        match self.gateways[index].decisions.as_slice() {
            [(77, decision)] => *decision,
            other => panic!("not exactly one decision: {other:?}"),
        }
    }

    pub fn group(&self, group: &str) -> GroupId {
        let found = self.provider().registry().group(&tag(group));
        found.expect("a group of this name")
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        stored_blocks(&self.provider.store, 1, u64::MAX, |b| blocks.push(b)).expect("whole");
        blocks
    }

    pub fn bill(&self, group: &str) -> ChargeInfo {
        let mut info = ChargeInfo {
            group_id: tag(group),
            currency: "EUR".to_owned(),
            lines: Vec::new(),
            credits: Vec::new(),
        };
        let number = self.group(group);
        for block in self.blocks() {
            self.provider()
                .add_to_bill(&mut info, number, &block, self.now.seconds());
        }
        info
    }

    /// Energy and amount of each final line of a bill.
    pub fn billed(&self, group: &str) -> Vec<(u64, u64)> {
        let lines = self.bill(group).lines;
        let is_final = |line: &ChargeInfoLine| line.finality == Finality::Final;
        assert!(lines.iter().all(is_final), "a line is not: {lines:?}");
        lines.iter().map(|l| (l.energy_wh.0, l.amount.0)).collect()
    }

    /// Energy given and credit due, over all outlets.
    pub fn credited(&self, group: &str) -> (u64, u64) {
        let credits = self.bill(group).credits;
        let sum = |of: fn(&protocol::message::CreditLine) -> u64| credits.iter().map(of).sum();
        (sum(|c| c.energy_wh.0), sum(|c| c.credit.0))
    }

    pub fn receipts(&self, name: &str) -> Vec<ReceiptFile> {
        let mut files = Vec::new();
        let store = &self.gateway(name).process.store;
        node::stored_receipts(store, |_, bytes| files.push(bytes)).expect("whole");
        let read = |bytes: &Vec<u8>| ReceiptFile::from_bytes(bytes).expect("a receipt file");
        files.iter().map(read).collect()
    }

    /// Why charges of a gateway are held.
    pub fn held(&self, name: &str) -> Vec<String> {
        let held = |event: &node::Event| match event {
            node::Event::Held { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.gateway(name).events.iter().filter_map(held).collect()
    }

    /// Every node has the provider's chain, all of it with charges or records is final, no outbox
    /// holds anything, and every receipt verifies.
    pub fn assert_settled(&self) {
        let state = self.provider().state();
        let content = self.blocks().into_iter().rev();
        let newest = content
            .map(|b| b.header.body)
            .find(|h| h.charges + h.records > 0);
        assert!(newest.is_none_or(|header| header.height <= state.final_height));
        for gateway in &self.gateways {
            let node = self.node(gateway.name);
            let progress = node.progress().expect("it has met the provider");
            assert_eq!(
                (progress.height, progress.tip),
                (state.height, state.tip),
                "{}",
                gateway.name
            );
            assert_eq!(progress.state_root, state.root(), "{}", gateway.name);
            assert!(progress.is_headers_only || node.state() == Some(state));
            assert_eq!(node.charges().count(), 0, "{}'s outbox", gateway.name);
            for file in self.receipts(gateway.name) {
                let proven = file.verify(Some(&self.genesis.provider_key));
                proven.expect("the receipt verifies");
            }
        }
        assert!(
            state == reloaded(self).state(),
            "the store tells another state"
        );
    }

    pub fn sealed_heights(&self) -> Vec<u64> {
        let sealed = |event: &provider::Event| match event {
            provider::Event::Sealed { height, .. } => Some(*height),
            _ => None,
        };
        self.provider_events.iter().filter_map(sealed).collect()
    }

    /// A node loses its state directory and keeps its key.
    pub fn lose_state(&mut self, name: &str) {
        self.crash(name);
        let index = self.index(name);
        self.gateways[index].process = super::Process::new();
        self.gateways[index].is_cut = true;
        self.start_gateway(index);
    }

    /// Lets time pass in one step.
    pub fn skip_days(&mut self, days: u64) {
        self.now = self.now.plus_ms(days * 24 * 3_600 * 1_000);
        self.run_for(1);
    }

    /// A node's clock is so far behind.
    pub fn lag_ms(&mut self, name: &str, lag_ms: u64) {
        let index = self.index(name);
        self.gateways[index].lag_ms = lag_ms;
    }

    /// Every group block on its way to the provider is changed like this.
    pub fn spoil_group_blocks(&mut self, spoil: impl Fn(&mut SealedGroup, &Hash) + 'static) {
        let chain_id = self.genesis.chain_id();
        self.spoil = Some(Box::new(move |frame| {
            if let Frame::GroupBlock(sealed) = &mut *frame {
                spoil(sealed, &chain_id);
            }
            true
        }));
    }

    /// A parent signs grants that are changed like this.
    pub fn spoil_grants(&mut self, name: &str, spoil: fn(&mut Grant)) {
        let key = self.gateway(name).key.clone();
        let chain_id = self.genesis.chain_id();
        self.spoil_answers = Some(Box::new(move |response| {
            if let Response::Authorize(AuthorizeAck {
                grant: Some(grant), ..
            }) = response
            {
                spoil(&mut grant.body);
                *grant = Signed::new(grant.body.clone(), &key, &chain_id);
            }
        }));
    }

    /// Asks a node as the provider would.
    pub fn ask_node(&mut self, name: &str, request: Request) -> Option<Response> {
        let index = self.index(name);
        let gateway = &mut self.gateways[index];
        let machine = gateway.process.machine.as_mut().expect("it runs");
        machine.handle(self.now, node::Input::Asked { call: 1, request });
        let mut answer = None;
        while let Some(step) = machine.poll() {
            match step {
                Step::Effect(node::Effect::Reply { response, .. }) => answer = response,
                Step::Effect(node::Effect::Notify(event)) => gateway.events.push(event),
                Step::Effect(_) | Step::Persist(_) => {}
            }
        }
        answer
    }

    /// A stranger tries to join.
    pub fn join(&mut self, key: PublicKey, token: Option<Hash>) -> Result<NodeId, JoinRefusal> {
        let machine = self.provider.machine.as_mut().expect("it runs");
        let link = u64::MAX;
        machine.handle(
            self.now,
            provider::Input::Join {
                link,
                key,
                token,
                report: Report::default(),
            },
        );
        while let Some(step) = machine.poll() {
            if let Step::Effect(provider::Effect::Joined { result, .. }) = step {
                return result.map(|ack| ack.node);
            }
        }
        panic!("no answer to a join");
    }

    /// Nodes show promises with grants that nobody signed.
    pub fn spoil_promises(&mut self) {
        self.spoil = Some(Box::new(|frame| {
            if let Frame::Promised(promised) = &mut *frame {
                promised.witnessed.grant.signature.0[0] ^= 1;
            }
            true
        }));
    }

    /// No charge reaches the provider.
    pub fn drop_profiles(&mut self) {
        self.spoil = Some(Box::new(|frame| !matches!(frame, Frame::Profile(_))));
    }

    pub fn spoil_nothing(&mut self) {
        self.spoil = None;
    }

    /// No group block reaches the provider.
    /// One group's group blocks never reach the provider.
    pub fn drop_group_blocks_of(&mut self, group: &str) {
        let group = self.group(group);
        self.spoil = Some(Box::new(
            move |frame| !matches!(frame, Frame::GroupBlock(sealed) if sealed.block.body.group == group),
        ));
    }

    pub fn drop_group_blocks(&mut self) {
        self.spoil = Some(Box::new(|frame| !matches!(frame, Frame::GroupBlock(_))));
    }

    /// A block so many rounds after `state` with nothing but a tariff, in the provider's name, and the
    /// state after it.
    pub fn other_block(&self, state: &State, rounds: u64) -> (Block, State) {
        let tariff = Record::Tariff {
            id: TariffId(state.tariff().0 + 1),
            document: "dearer".to_owned(),
        };
        let body = Body {
            records: vec![tariff],
            ..Body::default()
        };
        let (round, time) = (state.round + rounds, self.now.seconds());
        seal(state, body, round, time, &super::provider_key()).expect("valid")
    }

    pub fn set_clock_back(&mut self, seconds: u64) {
        self.now = UnixMillis(self.now.0 - seconds * 1_000);
    }
}

fn reloaded(network: &Network) -> provider::Provider {
    let (genesis, tariff) = (network.genesis.clone(), network.tariff.clone());
    let store = &network.provider.store;
    provider::Provider::load(super::provider_key(), genesis, tariff, store).expect("whole")
}
