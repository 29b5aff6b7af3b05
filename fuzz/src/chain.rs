//! A small chain with one of everything, made once: three groups that vote, charges in time and
//! late, ballots for a block and for its descendant, evidence.
//!
//! Everything in it is signed with keys that no fuzzer has.

use std::sync::OnceLock;

use ledger::block::{Ballot, Block, Body, ChargeLine, GroupBlock, Header, Record};
use ledger::evidence::Evidence;
use ledger::merkle;
use ledger::receipt_file::{FinalityProof, ReceiptFile, Sources, issue};
use ledger::resume::Resume;
use ledger::seal::seal;
use ledger::state::State;
use ledger::tariff::FlatTariff;
use protocol::{
    ChargeProfile, ChargerId, Deputy, EnergyWh, Genesis, Grant, GroupId, Hash, KeyPair,
    MeterExchange, NodeId, PowerW, Signed, SignedDeputy, SignedGrant, SignedMeterExchange,
    SignedProfile, SupplyPointId, TariffId, UnixSeconds,
};

const BEGIN_S: u64 = 1_800_000_000;
const INTERVAL_S: u32 = 60;
/// Groups, nodes, outlets and chargers are each numbered from 1 to this.
const MEMBERS: u8 = 3;

/// The chain and what was made from it.
#[derive(Debug)]
pub(crate) struct Chain {
    /// What it began with.
    pub(crate) genesis: Genesis,
    /// Its blocks from height 1 on.
    pub(crate) blocks: Vec<Block>,
    /// The block that follows.
    pub(crate) next: Block,
    /// The state before each block, and the one after the last.
    pub(crate) states: Vec<State>,
    /// A receipt file for each charge of blocks 2 and 3.
    pub(crate) receipts: Vec<ReceiptFile>,
    /// Receipt files of a chain in which two of three voters fell silent.
    pub(crate) receipts_after_dormancy: Vec<ReceiptFile>,
    /// Against the parent of group 2; block 4 records it.
    pub(crate) forged_profile: Evidence,
}

impl Chain {
    /// One of the grants that charges rest on.
    pub(crate) fn grant(&self) -> &SignedGrant {
        let records = &self.blocks[0].body.records;
        let grant = records.iter().find_map(|record| match record {
            Record::Grant(grant) => Some(grant),
            _ => None,
        });
        grant.expect("the first block holds grants")
    }
}

impl Chain {
    /// The voters' words on block 3.
    pub(crate) fn picked(&self) -> &Vec<Signed<Resume>> {
        let [_, _, _, Record::Resume(words), ..] = self.blocks[3].body.records.as_slice() else {
            unreachable!("block 4 holds them");
        };
        words
    }

    /// A parent's word on its deputy, a node's on a meter.
    pub(crate) fn words(&self) -> (SignedDeputy, SignedMeterExchange) {
        let [
            _,
            Record::Deputy(deputy),
            Record::MeterExchange(exchange),
            ..,
        ] = self.blocks[3].body.records.as_slice()
        else {
            unreachable!("block 4 holds them");
        };
        (deputy.clone(), exchange.clone())
    }
}

/// The chain; made by the first call.
pub(crate) fn chain() -> &'static Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(make)
}

/// The key of a node; 0 is the provider's.
pub(crate) fn key(n: u8) -> KeyPair {
    KeyPair::from_seed(&[n + 1; 32])
}

fn genesis(dormancy_s: u32, dispute_period_s: u32) -> Genesis {
    Genesis {
        provider_key: key(0).public(),
        time: UnixSeconds(BEGIN_S),
        interval_s: INTERVAL_S,
        witnesses: 8,
        dormancy_s,
        dispute_period_s,
        currency: "EUR".to_owned(),
        test: true,
    }
}

fn make() -> Chain {
    let genesis = genesis(Genesis::DORMANCY_S, Genesis::DISPUTE_PERIOD_S);
    let mut growing = Growing::begin(genesis.clone());
    // Two charges of group 1 in time, one of group 2 in time, one of group 3 late.
    let charges = [(1, 1, false), (1, 2, false), (2, 1, false), (3, 1, true)];
    growing.grow_with_charges(&charges, &[1, 2, 3]);
    growing.grow_with_charges(&[(1, 3, false)], &[1, 2]);
    let forged_profile = growing.forged_profile();
    let ballots = growing.ballots(&[1, 2, 3]);
    let mut records = growing.changes();
    records.push(Record::Evidence(forged_profile.clone()));
    growing.grow(Body {
        records,
        ballots,
        ..Body::default()
    });
    let receipts = [2, 3].iter().flat_map(|h| growing.receipts(*h)).collect();
    let ballots = growing.ballots(&[1, 2, 3]);
    growing.grow(Body {
        ballots,
        ..Body::default()
    });
    growing.states.pop();
    Chain {
        next: growing.blocks.pop().expect("just sealed"),
        receipts,
        receipts_after_dormancy: receipts_after_dormancy(),
        genesis,
        blocks: growing.blocks,
        states: growing.states,
        forged_profile,
    }
}

/// Only group 1 votes, until the others are dormant.
fn receipts_after_dormancy() -> Vec<ReceiptFile> {
    let mut growing = Growing::begin(genesis(3 * INTERVAL_S, INTERVAL_S));
    growing.grow_with_charges(&[(1, 1, false), (3, 1, true)], &[1]);
    for _ in 0..4 {
        let ballots = growing.ballots(&[1]);
        growing.grow(Body {
            ballots,
            ..Body::default()
        });
    }
    growing.receipts(2)
}

struct Growing {
    blocks: Vec<Block>,
    states: Vec<State>,
}

impl Growing {
    /// A chain whose first block enrols everybody.
    fn begin(genesis: Genesis) -> Self {
        let mut growing = Self {
            states: vec![State::new(genesis)],
            blocks: Vec::new(),
        };
        let enrolments = growing.enrolments();
        growing.grow(Body {
            records: enrolments,
            ..Body::default()
        });
        growing
    }

    fn state(&self) -> &State {
        self.states.last().expect("it begins with one")
    }

    fn chain_id(&self) -> Hash {
        self.state().chain_id()
    }

    fn next_round(&self) -> u64 {
        self.state().round + 1
    }

    fn grow(&mut self, body: Body) {
        let round = self.next_round();
        let time = UnixSeconds(BEGIN_S + round * u64::from(INTERVAL_S));
        let (block, state) = seal(self.state(), body, round, time, &key(0)).expect("a valid body");
        self.blocks.push(block);
        self.states.push(state);
    }

    /// Charges are (member, seq, late).
    fn grow_with_charges(&mut self, charges: &[(u8, u32, bool)], voters: &[u8]) {
        let charges = self.lines(charges);
        let group_blocks = self.group_blocks(&charges);
        let ballots = self.ballots(voters);
        self.grow(Body {
            records: Vec::new(),
            group_blocks,
            charges,
            ballots,
        });
    }

    fn enrolments(&self) -> Vec<Record> {
        let tariff = FlatTariff::new("EUR", "0.40", "0.30").expect("a tariff");
        let mut records = vec![Record::Tariff {
            id: TariffId(1),
            document: tariff.document(),
        }];
        for n in 1..=MEMBERS {
            let (node, group) = (NodeId(n.into()), GroupId(n.into()));
            let key = key(n).public();
            records.extend([
                Record::EnrolNode { node, key },
                Record::EnrolGroup {
                    group,
                    parent: node,
                },
                Record::EnrolSupplyPoint {
                    supply_point: SupplyPointId(n.into()),
                    node,
                    owner: group,
                    meter: Hash::of(&[n]),
                },
                Record::RegisterCharger {
                    charger: charger(n),
                    group,
                },
                Record::Grant(self.grant(n)),
            ]);
        }
        records
    }

    /// Two of three voters go on with the newest block, after the provider told another story.
    fn words(&self) -> Vec<Signed<Resume>> {
        let word = |n: u8| Resume {
            voter: GroupId(n.into()),
            height: self.state().height,
            header: self.state().tip,
            followed_height: self.state().height,
        };
        let sign = |n| Signed::new(word(n), &key(n), &self.chain_id());
        [1, 2].map(sign).into()
    }

    /// What may change after an enrolment: all of member 3, and whom the voters follow.
    fn changes(&self) -> Vec<Record> {
        let deputy = |number, node| {
            let deputy = Deputy {
                group: GroupId(3),
                number,
                node,
            };
            Record::Deputy(Signed::new(deputy, &key(3), &self.chain_id()))
        };
        let exchange = MeterExchange {
            supply_point: SupplyPointId(3),
            number: 1,
            last_register: EnergyWh(12_000),
            meter: Hash::of(b"another meter"),
            first_register: EnergyWh(5),
        };
        vec![
            Record::MoveCharger {
                charger: charger(3),
                group: GroupId(1),
            },
            deputy(1, Some(NodeId(1))),
            Record::MeterExchange(Signed::new(exchange, &key(3), &self.chain_id())),
            Record::Resume(self.words()),
            deputy(2, None),
        ]
    }

    fn grant(&self, n: u8) -> SignedGrant {
        Signed::new(grant_body(n), &key(n), &self.chain_id())
    }

    fn lines(&self, charges: &[(u8, u32, bool)]) -> Vec<ChargeLine> {
        let mut last: Vec<SignedProfile> = Vec::new();
        let mut lines = Vec::new();
        for &(n, seq, late) in charges {
            let before = last.iter().rev().find(|p| p.body.node.0 == u32::from(n));
            let known = &self.state().nodes[&NodeId(n.into())].last_profile;
            let previous = before.map_or(*known, Signed::hash);
            let profile = Signed::new(profile(n, seq, previous), &key(n), &self.chain_id());
            last.push(profile.clone());
            lines.push(ChargeLine {
                profile,
                late,
                amount: 80,
                credit: 60,
                tariff: TariffId(1),
            });
        }
        lines.sort_by_key(|line| line.profile.body.sort_key());
        lines
    }

    fn group_blocks(&self, charges: &[ChargeLine]) -> Vec<Signed<GroupBlock>> {
        let mut sealed = Vec::new();
        for n in 1..=MEMBERS {
            let group = GroupId(n.into());
            let in_time = charges.iter().filter(|line| !line.late);
            let profiles = in_time.map(|line| &line.profile);
            let profiles: Vec<_> = profiles.filter(|p| p.body.payer == group).collect();
            if profiles.is_empty() {
                continue;
            }
            let previous = self.state().groups[&group].last_group_block;
            let block = GroupBlock::over(group, self.next_round(), previous, profiles.into_iter());
            sealed.push(Signed::new(block, &key(n), &self.chain_id()));
        }
        sealed
    }

    /// Ballots for the newest header.
    fn ballots(&self, voters: &[u8]) -> Vec<Signed<Ballot>> {
        let ballot = |n: &u8| {
            let ballot = Ballot {
                voter: GroupId((*n).into()),
                height: self.state().height,
                header: self.state().tip,
            };
            Signed::new(ballot, &key(*n), &self.chain_id())
        };
        voters.iter().map(ballot).collect()
    }

    /// The parent of group 2 seals a charge that its node did not sign.
    fn forged_profile(&self) -> Evidence {
        let mut profiles: Vec<_> = (1..=3)
            .map(|seq| Signed::new(profile(2, seq, Hash::ZERO), &key(2), &self.chain_id()))
            .collect();
        profiles[1].body.energy_wh = 1;
        let block = GroupBlock::over(GroupId(2), self.next_round(), Hash::ZERO, profiles.iter());
        let block = Signed::new(block, &key(2), &self.chain_id());
        let found = Evidence::against_group_block(self.state(), &block, &profiles);
        found.expect("one is forged")
    }

    /// Receipt files of the charges of the block at `height`, confirmed by each voter's first
    /// ballot for it or a descendant.
    fn receipts(&self, height: usize) -> Vec<ReceiptFile> {
        let block = &self.blocks[height - 1];
        let headers: Vec<Signed<Header>> = self.blocks.iter().map(|b| b.header.clone()).collect();
        let later = self.blocks[height..].iter().flat_map(|b| &b.body.ballots);
        let mut ballots: Vec<Signed<Ballot>> = later.cloned().collect();
        ballots.sort_by_key(|ballot| (ballot.body.voter, ballot.body.height));
        ballots.dedup_by_key(|ballot| ballot.body.voter);
        let log = headers.iter().map(|h| merkle::leaf_hash(&h.hash().0));
        let finality = FinalityProof::prove(&Sources {
            header: &block.header.body,
            anchor: (&headers[height - 2], &self.states[height - 1]),
            newest: (headers.last().expect("blocks"), self.state()),
            ballots: &ballots,
            named: &headers,
            log: &log.collect::<Vec<_>>(),
        });
        let finality = finality.expect("every ballot names a header of this chain");
        let genesis = &self.state().genesis;
        let receipt = |index| issue(genesis, block, index, finality.clone());
        (0..block.body.charges.len()).filter_map(receipt).collect()
    }
}

fn charger(n: u8) -> ChargerId {
    ChargerId([n; 16])
}

fn grant_body(n: u8) -> Grant {
    Grant {
        charger: charger(n),
        group: GroupId(n.into()),
        not_before: UnixSeconds(BEGIN_S),
        expiry: UnixSeconds(BEGIN_S + 86_400),
        energy_limit_wh: 0,
    }
}

pub(crate) fn profile(n: u8, seq: u32, previous: Hash) -> ChargeProfile {
    ChargeProfile {
        charger: charger(n),
        payer: GroupId(n.into()),
        node: NodeId(n.into()),
        seq,
        previous,
        supply_point: SupplyPointId(n.into()),
        start: UnixSeconds(BEGIN_S + u64::from(seq) * 10),
        duration_s: 9,
        register_start: EnergyWh(u64::from(seq) * 10_000),
        energy_wh: 2_000,
        max_power: PowerW(11_000),
        grant: grant_body(n).id(),
        detail: Hash::of(b"detail"),
    }
}

#[cfg(test)]
mod tests {
    use ledger::apply::apply;

    use super::*;

    #[test]
    fn every_block_follows_and_every_file_proves_what_it_should() {
        let chain = chain();
        for (index, block) in chain.blocks.iter().enumerate() {
            let after = apply(&chain.states[index], block);
            assert_eq!(after.as_ref(), Ok(&chain.states[index + 1]));
        }
        let provider = chain.genesis.provider_key;
        assert_eq!(chain.receipts.len(), 5);
        for receipt in &chain.receipts {
            let proven = receipt.verify(Some(&provider)).expect("it verifies");
            assert_eq!((proven.votes, proven.voters), (3, 3));
        }
        let has_descendant = |receipt: &ReceiptFile| {
            let mut votes = receipt.finality.votes.iter();
            votes.any(|vote| vote.descendant.is_some())
        };
        assert!(chain.receipts.iter().any(has_descendant));
        for receipt in &chain.receipts_after_dormancy {
            let proven = receipt.verify(Some(&provider)).expect("it verifies");
            assert_eq!((proven.votes, proven.voters, proven.dormant), (1, 3, 2));
        }
    }
}
