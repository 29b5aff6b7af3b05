//! The chain that most vectors are taken from: three groups, then two silent ones, and in its
//! blocks everything that a block can hold.

use ledger::apply::apply;
use ledger::block::{Ballot, Block, Body, ChargeLine, GroupBlock, Header, Record};
use ledger::merkle;
use ledger::resume::Resume;
use ledger::seal::seal;
use ledger::state::State;
use ledger::tariff::FlatTariff;
use protocol::{
    ChargeProfile, ChargerId, Deputy, EnergyWh, Enrolment, Genesis, Grant, GroupId, Hash, IdTag,
    KeyPair, MeterExchange, NodeId, PowerW, Salt, Signed, SignedDeputy, SignedEnrolment,
    SignedGrant, SignedMeterExchange, SignedProfile, SupplyPointId, TariffId, UnixSeconds,
};

pub(crate) const BEGIN: u64 = 1_800_000_000;
pub(crate) const DORMANCY_S: u32 = 1_200;
pub(crate) const DISPUTE_S: u32 = 300;

/// A day in seconds.
pub(crate) const DAY: u64 = 24 * 3600;

/// What the detail of every charge here is.
pub(crate) const DETAIL: &[u8] = b"register at each quarter of an hour";

pub(crate) fn provider() -> KeyPair {
    KeyPair::from_seed(&[1; 32])
}

/// The key of a node by its number.
pub(crate) fn node(number: u8) -> KeyPair {
    KeyPair::from_seed(&[10 + number; 32])
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        provider_key: provider().public(),
        time: UnixSeconds(BEGIN),
        interval_s: 60,
        witnesses: 8,
        dormancy_s: DORMANCY_S,
        dispute_period_s: DISPUTE_S,
        currency: "EUR".to_owned(),
        test: true,
    }
}

pub(crate) fn salt() -> Salt {
    Salt([0x5a; 16])
}

/// A charger by its idTag.
pub(crate) fn charger(id_tag: &str) -> ChargerId {
    let id_tag = IdTag::parse(id_tag).expect("printable ASCII");
    ChargerId::of(&genesis().chain_id(), &salt(), &id_tag)
}

pub(crate) fn tariff() -> FlatTariff {
    FlatTariff::new("EUR", "0.40", "0.305").expect("two prices")
}

/// A charger of these vectors: who pays, and the key that grants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) id_tag: &'static str,
    pub(crate) group: GroupId,
}

pub(crate) const HOME: Who = Who {
    id_tag: "HOME-1",
    group: GroupId(1),
};
pub(crate) const GUEST: Who = Who {
    id_tag: "HOME-2",
    group: GroupId(1),
};
pub(crate) const VAN: Who = Who {
    id_tag: "FLEET-VAN-1",
    group: GroupId(2),
};

impl Who {
    /// The permission of its group, from the chain's beginning on for thirty days.
    pub(crate) fn grant(self) -> SignedGrant {
        let grant = Grant {
            charger: charger(self.id_tag),
            group: self.group,
            not_before: UnixSeconds(BEGIN),
            expiry: UnixSeconds(BEGIN + 30 * DAY),
            energy_limit_wh: 80_000,
        };
        let parent = node(u8::try_from(self.group.0).expect("few groups"));
        Signed::new(grant, &parent, &genesis().chain_id())
    }
}

/// Where the register of the new meter at supply point 2 begins.
pub(crate) const NEW_METER: u64 = 12;

/// A word of the parent of group 1 on who speaks for it.
pub(crate) fn deputy(number: u32, of: Option<u32>, signer: u8) -> SignedDeputy {
    let deputy = Deputy {
        group: GroupId(1),
        number,
        node: of.map(NodeId),
    };
    Signed::new(deputy, &node(signer), &genesis().chain_id())
}

/// The provider's word that it let a node in.
pub(crate) fn enrolment(number: u8) -> SignedEnrolment {
    let enrolment = Enrolment {
        node: NodeId(number.into()),
        key: node(number).public(),
        until: UnixSeconds(BEGIN + 30 * DAY),
    };
    Signed::new(enrolment, &provider(), &genesis().chain_id())
}

/// A word of node 1 on the meter of a supply point.
pub(crate) fn exchange(
    supply_point: u32,
    number: u32,
    last_register: u64,
    signer: u8,
) -> SignedMeterExchange {
    let exchange = MeterExchange {
        supply_point: SupplyPointId(supply_point),
        number,
        last_register: EnergyWh(last_register),
        meter: Hash::of(b"SDM630 87654321"),
        first_register: EnergyWh(NEW_METER),
    };
    Signed::new(exchange, &node(signer), &genesis().chain_id())
}

/// A chain with the state after each of its blocks.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<Block>,
    /// What each block is there for.
    pub(crate) stories: Vec<&'static str>,
    /// The state before the first block, then the one after each.
    pub(crate) states: Vec<State>,
    // The next number, the hash of the last profile and the registers of node 1, which measures.
    next_seq: u32,
    previous: Hash,
    registers: [u64; 3],
}

impl Chain {
    /// The whole story.
    pub(crate) fn told() -> Self {
        let mut chain = Self {
            genesis: genesis(),
            blocks: Vec::new(),
            stories: Vec::new(),
            states: vec![State::new(genesis())],
            next_seq: 1,
            previous: Hash::ZERO,
            registers: [0, 100_000, 7_000_000_000],
        };
        chain.begin();
        chain.be_confirmed();
        chain.meet_a_silent_crowd();
        chain.grow_old();
        chain.change();
        chain.go_on();
        chain
    }

    fn begin(&mut self) {
        let records = vec![
            Record::Tariff {
                id: TariffId(1),
                document: tariff().document(),
            },
            enrol_node(1),
            enrol_node(2),
            enrol_node(3),
            enrol_group(1),
            enrol_group(2),
            enrol_group(3),
            enrol_supply_point(1),
            enrol_supply_point(2),
            register(HOME),
            register(GUEST),
            register(VAN),
        ];
        self.seal(
            "Enrolments. Nobody could vote on it, so it is final when sealed.",
            1,
            130,
            with_records(records),
        );
        let lines = vec![
            self.charge(HOME, 1, 11_000),
            self.charge(HOME, 2, 1),
            self.charge(GUEST, 1, 22_500),
            self.charge(VAN, 1, 5_047),
        ];
        let body = Body {
            records: grants(&[HOME, GUEST, VAN]),
            ..self.sealed(2, lines, &[HOME.group])
        };
        self.seal(
            "Four charges: three under the group block of group 1, one of group 2, whose parent \
             sealed nothing, in the late section.",
            2,
            193,
            body,
        );
    }

    fn be_confirmed(&mut self) {
        let ballots = vec![self.ballot(1, 2), self.ballot(2, 2)];
        self.seal(
            "Two of three voters confirm block 2: it is final.",
            3,
            240,
            with_ballots(ballots),
        );
        let lines = vec![self.charge(HOME, 1, 4_000)];
        let body = self.sealed(4, lines, &[HOME.group]);
        self.seal("A charge.", 4, 302, body);
        let ballots = vec![self.ballot(1, 4)];
        self.seal(
            "One voter confirms block 4: that is too few of three.",
            5,
            360,
            with_ballots(ballots),
        );
        let ballots = vec![self.ballot(2, 5)];
        self.seal(
            "Another confirms block 5, and so block 4, its ancestor: block 4 is final, block 5 is \
             not.",
            6,
            420,
            with_ballots(ballots),
        );
    }

    fn meet_a_silent_crowd(&mut self) {
        let records = vec![
            enrol_node(4),
            enrol_node(5),
            enrol_group(4),
            enrol_group(5),
            Record::Tariff {
                id: TariffId(2),
                document: FlatTariff::new("EUR", "0.50", "0.4")
                    .expect("two prices")
                    .document(),
            },
        ];
        self.seal(
            "Two more groups, which will never vote, and a new tariff.",
            7,
            481,
            with_records(records),
        );
        let lines = vec![self.charge(HOME, 2, 500), self.charge(VAN, 1, 2_000)];
        let body = self.sealed(8, lines, &[HOME.group, VAN.group]);
        self.seal("Two charges, each under its group block.", 8, 542, body);
        let ballots = vec![self.ballot(1, 8), self.ballot(2, 8)];
        self.seal(
            "Two of five voters confirm block 8, which is too few; of its ancestors block 7 is \
             final, because three voters were enrolled before it.",
            9,
            600,
            with_ballots(ballots),
        );
        self.seal(
            "An empty block, 1,200 s after block 7: voters 3, 4 and 5 are dormant, and block 8 is \
             final without them. Two of the other two confirmed it.",
            28,
            1_681,
            Body::default(),
        );
    }

    fn grow_old(&mut self) {
        let first = self.group_block(11, 1);
        let second = self.group_block(11, 2);
        let evidence =
            ledger::Evidence::TwoGroupBlocks(Box::new(ledger::evidence::TwoGroupBlocks {
                first,
                second,
            }));
        let body = Body {
            records: vec![Record::Evidence(evidence)],
            ballots: vec![self.ballot(1, 9), self.ballot(2, 10), self.ballot(3, 10)],
            ..Body::default()
        };
        self.seal(
            "Evidence against the parent of group 1, and three ballots of five: block 9 is final, \
             and block 8 is confirmed with it.",
            29,
            1_745,
            body,
        );
        let ballots = vec![self.ballot(1, 11), self.ballot(2, 11), self.ballot(3, 11)];
        self.seal(
            "Sixty days after they ran out the grants leave the state.",
            129_600,
            90 * DAY,
            with_ballots(ballots),
        );
        let lines = vec![self.charge(HOME, 1, 3)];
        let body = Body {
            records: grants(&[HOME]),
            ..self.sealed(129_601, lines, &[])
        };
        self.seal(
            "A charge of the chain's first days, held until now, brings its grant along once more; \
             after the block the grant is gone again.",
            129_601,
            90 * DAY + 130,
            body,
        );
    }

    fn change(&mut self) {
        let records = vec![
            Record::MoveCharger {
                charger: charger(GUEST.id_tag),
                group: GroupId(2),
            },
            Record::Deputy(deputy(1, Some(3), 1)),
            Record::MeterExchange(exchange(2, 1, 8_000_000_000, 1)),
        ];
        self.seal(
            "A charger moves from group 1 to group 2, node 3 becomes the deputy of group 1, and the \
             meter of supply point 2 is exchanged.",
            129_602,
            90 * DAY + 190,
            with_records(records),
        );
        self.registers[2] = NEW_METER;
        let mut by_deputy = HOME.grant().body;
        by_deputy.expiry = UnixSeconds(BEGIN + 120 * DAY);
        let by_deputy = Signed::new(by_deputy, &node(3), &self.genesis.chain_id());
        let mut late = self.charge(HOME, 2, 700);
        late.profile.body.grant = by_deputy.body.id();
        late.profile = Signed::new(late.profile.body, &node(1), &self.genesis.chain_id());
        self.previous = late.profile.hash();
        let former = self.charge(GUEST, 2, 300);
        let mut records = vec![Record::Deputy(deputy(2, None, 1))];
        records.extend(grants(&[GUEST]));
        records.push(Record::Grant(by_deputy));
        let body = Body {
            records,
            ..self.sealed(129_603, vec![late, former], &[HOME.group])
        };
        self.seal(
            "The deputy of group 1 is dismissed. Two charges by the new meter: one under a grant that \
             the deputy signed before, and one that the charger which moved began in its former group, \
             for that group to pay.",
            129_603,
            90 * DAY + 250,
            body,
        );
    }

    fn go_on(&mut self) {
        let words = [1, 2, 3].map(|voter| self.word(voter, 13, 11)).to_vec();
        self.seal(
            "Three of five voters go on with block 13 of two that the provider told of, and nobody \
             is convicted for two ballots up to height 11.",
            129_604,
            90 * DAY + 310,
            with_records(vec![Record::Resume(words)]),
        );
    }

    /// Seals the next block, so many seconds after the chain's beginning.
    fn seal(&mut self, story: &'static str, round: u64, seconds: u64, body: Body) {
        let (time, before) = (UnixSeconds(BEGIN + seconds), self.state());
        let (block, next) = seal(before, body, round, time, &provider()).expect(story);
        assert_eq!(apply(before, &block).as_ref(), Ok(&next), "{story}");
        self.blocks.push(block);
        self.stories.push(story);
        self.states.push(next);
    }

    /// The newest state.
    pub(crate) fn state(&self) -> &State {
        self.states.last().expect("there is one before any block")
    }

    /// The state after the block at `height`.
    pub(crate) fn state_at(&self, height: u64) -> &State {
        &self.states[usize::try_from(height).expect("few blocks")]
    }

    /// The block at `height`.
    pub(crate) fn block(&self, height: u64) -> &Block {
        &self.blocks[usize::try_from(height - 1).expect("few blocks")]
    }

    /// The header at `height`.
    pub(crate) fn header(&self, height: u64) -> &Signed<Header> {
        &self.block(height).header
    }

    /// The leaf hashes of the log over all headers.
    pub(crate) fn log(&self) -> Vec<Hash> {
        let headers = self.blocks.iter();
        headers
            .map(|block| merkle::leaf_hash(&block.header.hash().0))
            .collect()
    }

    /// The next charge that node 1 measures, twenty minutes long, a minute after the chain began.
    fn charge(&mut self, who: Who, supply_point: u32, energy_wh: u32) -> ChargeLine {
        let outlet = usize::try_from(supply_point).expect("two outlets");
        let register = self.registers[outlet];
        self.registers[outlet] += u64::from(energy_wh);
        let profile = ChargeProfile {
            charger: charger(who.id_tag),
            payer: who.group,
            node: NodeId(1),
            seq: self.next_seq,
            previous: self.previous,
            supply_point: SupplyPointId(supply_point),
            start: UnixSeconds(BEGIN + 60),
            duration_s: 1_200,
            register_start: EnergyWh(register),
            energy_wh,
            max_power: PowerW(11_040),
            grant: who.grant().body.id(),
            detail: Hash::of(DETAIL),
        };
        let profile = Signed::new(profile, &node(1), &self.genesis.chain_id());
        self.next_seq += 1;
        self.previous = profile.hash();
        let tariff = self.state().tariff();
        let prices = match tariff.0 {
            1 => self::tariff(),
            _ => FlatTariff::new("EUR", "0.50", "0.4").expect("two prices"),
        };
        let price = prices.price(energy_wh).expect("it fits");
        ChargeLine {
            profile,
            late: false,
            amount: price.amount,
            credit: price.credit,
            tariff,
        }
    }

    /// A body of charges, with a group block for each of `groups` and the others late.
    fn sealed(&self, round: u64, mut lines: Vec<ChargeLine>, groups: &[GroupId]) -> Body {
        lines.sort_by_key(|line| line.profile.body.sort_key());
        for line in &mut lines {
            line.late = !groups.contains(&line.profile.body.payer);
        }
        let group_blocks = groups.iter().map(|group| {
            let of_group = lines.iter().map(|line| &line.profile);
            let of_group = of_group.filter(|profile| profile.body.payer == *group);
            let previous = self.state().groups[group].last_group_block;
            let block = GroupBlock::over(*group, round, previous, of_group);
            let parent = node(u8::try_from(group.0).expect("few groups"));
            Signed::new(block, &parent, &self.genesis.chain_id())
        });
        Body {
            group_blocks: group_blocks.collect(),
            charges: lines,
            ..Body::default()
        }
    }

    /// A group block of group 1 over the first so many of its charges in block 2.
    fn group_block(&self, round: u64, count: usize) -> Signed<GroupBlock> {
        let profiles = self.profiles();
        let block = GroupBlock::over(HOME.group, round, Hash::ZERO, profiles[..count].iter());
        Signed::new(block, &node(1), &self.genesis.chain_id())
    }

    /// The three charges of group 1 in block 2, in the order of their tree.
    pub(crate) fn profiles(&self) -> Vec<SignedProfile> {
        let lines = self.block(2).body.charges.iter();
        let profiles = lines.map(|line| line.profile.clone());
        profiles.filter(|p| p.body.payer == HOME.group).collect()
    }

    /// The ballot of a voter for the header at `height`.
    pub(crate) fn ballot(&self, voter: u8, height: u64) -> Signed<Ballot> {
        let ballot = Ballot {
            voter: GroupId(voter.into()),
            height,
            header: self.header(height).hash(),
        };
        Signed::new(ballot, &node(voter), &self.genesis.chain_id())
    }

    /// A voter's word that it goes on with the header at `height`.
    pub(crate) fn word(&self, voter: u8, height: u64, followed_height: u64) -> Signed<Resume> {
        let word = Resume {
            voter: GroupId(voter.into()),
            height,
            header: self.header(height).hash(),
            followed_height,
        };
        Signed::new(word, &node(voter), &self.genesis.chain_id())
    }
}

pub(crate) fn with_records(records: Vec<Record>) -> Body {
    Body {
        records,
        ..Body::default()
    }
}

pub(crate) fn with_ballots(ballots: Vec<Signed<Ballot>>) -> Body {
    Body {
        ballots,
        ..Body::default()
    }
}

fn enrol_node(number: u8) -> Record {
    Record::EnrolNode {
        node: NodeId(number.into()),
        key: node(number).public(),
    }
}

/// A group whose parent is the node of the same number.
fn enrol_group(number: u32) -> Record {
    Record::EnrolGroup {
        group: GroupId(number),
        parent: NodeId(number),
    }
}

/// An outlet of node 1, credited to group 1.
fn enrol_supply_point(number: u32) -> Record {
    Record::EnrolSupplyPoint {
        supply_point: SupplyPointId(number),
        node: NodeId(1),
        owner: GroupId(1),
        meter: Hash::of(b"SDM630 12345678"),
    }
}

fn register(who: Who) -> Record {
    Record::RegisterCharger {
        charger: charger(who.id_tag),
        group: who.group,
    }
}

fn grants(of: &[Who]) -> Vec<Record> {
    of.iter().map(|who| Record::Grant(who.grant())).collect()
}
