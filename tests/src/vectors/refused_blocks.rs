//! Blocks that a full node refuses, one for each rule of `apply`.

use ledger::apply::apply;
use ledger::block::{Block, Body, ChargeLine, GroupBlock, Record};
use ledger::evidence::{Evidence, TwoBallots, TwoGroupBlocks, TwoProfiles};
use ledger::resume::Resume;
use protocol::{
    ChargeProfile, ChargerId, EnergyWh, Grant, GrantId, GroupId, Hash, NodeId, PublicKey, Signed,
    SupplyPointId, TariffId, UnixSeconds,
};

use super::chain::{self, Chain, HOME, VAN, with_ballots, with_records};
use super::json::{Json, bytes, list, object};

/// A block that breaks a rule.
struct Case {
    what: &'static str,
    rule: &'static str,
    after: u64,
    block: Block,
}

pub(super) fn refused(chain: &Chain) -> Json {
    let mut cases = headers(chain);
    cases.extend(bodies(chain));
    cases.extend(records(chain));
    cases.extend(words(chain));
    cases.extend(group_blocks(chain));
    cases.extend(charges(chain));
    cases.extend(ballots(chain));
    cases.extend(ends(chain));
    let judged = cases.into_iter().map(|case| {
        let reason = apply(chain.state_at(case.after), &case.block).expect_err(case.what);
        object([
            ("what", case.what.into()),
            ("rule", case.rule.into()),
            ("after_height", case.after.into()),
            ("block", bytes(&case.block)),
            ("reason", reason.to_string().into()),
        ])
    });
    object([
        (
            "what",
            "Blocks that are invalid after the block of `blocks.json` at `after_height`, with the \
             rule of the document that each breaks first, and what this project's program says. \
             Where it matters the provider has signed the block again, and its counts and body \
             root are those of what it holds."
                .into(),
        ),
        ("blocks", list(judged.collect::<Vec<_>>())),
    ])
}

/// The block after `after`, changed, with counts, body root and signature made right again.
fn changed(
    chain: &Chain,
    what: &'static str,
    rule: &'static str,
    after: u64,
    change: impl FnOnce(&mut Block),
) -> Case {
    let mut block = chain.block(after + 1).clone();
    change(&mut block);
    let count = |length: usize| u32::try_from(length).expect("few");
    block.header.body.records = count(block.body.records.len());
    block.header.body.group_blocks = count(block.body.group_blocks.len());
    block.header.body.charges = count(block.body.charges.len());
    block.header.body.ballots = count(block.body.ballots.len());
    block.header.body.body_root = block.body.root();
    sign(&mut block);
    Case {
        what,
        rule,
        after,
        block,
    }
}

/// The same, with only the signature made right.
fn in_header(
    chain: &Chain,
    what: &'static str,
    rule: &'static str,
    change: impl FnOnce(&mut Block),
) -> Case {
    let mut block = chain.block(3).clone();
    change(&mut block);
    sign(&mut block);
    Case {
        what,
        rule,
        after: 2,
        block,
    }
}

fn sign(block: &mut Block) {
    let header = block.header.body.clone();
    block.header = Signed::new(header, &chain::provider(), &chain::genesis().chain_id());
}

fn headers(chain: &Chain) -> Vec<Case> {
    let mut unsigned = in_header(chain, "A flipped bit in the signature", "A5", |_| {});
    unsigned.block.header.signature.0[0] ^= 1;
    let mut by_node = in_header(chain, "Signed by a node", "A5", |_| {});
    let header = by_node.block.header.body.clone();
    by_node.block.header = Signed::new(header, &chain::node(1), &chain.genesis.chain_id());
    vec![
        in_header(chain, "Another version", "A1", |b| {
            b.header.body.version = 2
        }),
        in_header(chain, "A height is left out", "A2", |b| {
            b.header.body.height += 1;
        }),
        in_header(chain, "It does not name the header before it", "A3", |b| {
            b.header.body.previous = Hash::ZERO;
        }),
        in_header(chain, "Its time is before its predecessor's", "A4", |b| {
            b.header.body.time = UnixSeconds(chain::BEGIN + 192);
        }),
        in_header(chain, "Its round is before its predecessor's", "A4", |b| {
            b.header.body.round = 1;
        }),
        unsigned,
        by_node,
        in_header(chain, "The log root of another height", "A6", |b| {
            b.header.body.log_root = chain.header(4).body.log_root;
        }),
        in_header(chain, "A ballot more is counted than is there", "A7", |b| {
            b.header.body.ballots += 1;
        }),
        in_header(chain, "The body root of another block", "A8", |b| {
            b.header.body.body_root = chain.header(4).body.body_root;
        }),
        in_header(
            chain,
            "A ballot's bit flipped, and the root not",
            "A8",
            |b| {
                b.body.ballots[0].signature.0[0] ^= 1;
            },
        ),
    ]
}

fn bodies(chain: &Chain) -> Vec<Case> {
    let second = changed(
        chain,
        "A record in a round that has its block",
        "A9",
        2,
        |b| {
            b.header.body.round = 2;
            b.body = with_records(vec![Record::EnrolNode {
                node: NodeId(9),
                key: chain::node(9).public(),
            }]);
        },
    );
    let nobody = changed(
        chain,
        "A charge before any group was enrolled",
        "A10",
        0,
        |b| {
            b.body.charges = chain.block(4).body.charges.clone();
        },
    );
    vec![second, nobody]
}

/// A block after block 2 with these records instead of anything else.
fn recording(chain: &Chain, what: &'static str, rule: &'static str, records: Vec<Record>) -> Case {
    changed(chain, what, rule, 2, |b| b.body = with_records(records))
}

fn records(chain: &Chain) -> Vec<Case> {
    let record = |what, rule, record| recording(chain, what, rule, vec![record]);
    let tariff = Record::Tariff {
        id: TariffId(3),
        document: chain::tariff().document(),
    };
    let mut weak = [0; 32];
    weak[0] = 1;
    let node = |number: u32, key| Record::EnrolNode {
        node: NodeId(number),
        key,
    };
    let group = |number, parent| Record::EnrolGroup {
        group: GroupId(number),
        parent: NodeId(parent),
    };
    let outlet = |number, node| Record::EnrolSupplyPoint {
        supply_point: SupplyPointId(number),
        node: NodeId(node),
        owner: GroupId(1),
        meter: Hash::ZERO,
    };
    let charger = |charger, group| Record::RegisterCharger {
        charger,
        group: GroupId(group),
    };
    let new = ChargerId([9; 16]);
    let grant = |change: fn(&mut Grant)| {
        let mut grant = HOME.grant().body;
        change(&mut grant);
        Record::Grant(Signed::new(
            grant,
            &chain::node(1),
            &chain.genesis.chain_id(),
        ))
    };
    let mut by_another = HOME.grant();
    by_another.signature.0[0] ^= 1;
    let evidence =
        |e: &TwoGroupBlocks| Record::Evidence(Evidence::TwoGroupBlocks(Box::new(e.clone())));
    let mut cases = vec![
        record("A tariff with a number left out", "A11.1", tariff),
        record(
            "A node with a key of small order",
            "A11.2",
            node(9, PublicKey(weak)),
        ),
        record(
            "A second node with one key",
            "A11.2",
            node(9, chain::node(1).public()),
        ),
        record(
            "A node's number twice",
            "A11.2",
            node(1, chain::node(9).public()),
        ),
        record("A group whose parent is unknown", "A11.3", group(9, 9)),
        record("A group's number twice", "A11.3", group(1, 1)),
        record("A supply point of an unknown node", "A11.4", outlet(9, 9)),
        record("A supply point's number twice", "A11.4", outlet(1, 1)),
        record("A charger of an unknown group", "A11.5", charger(new, 9)),
        record(
            "A charger twice",
            "A11.5",
            charger(chain::charger(HOME.id_tag), 1),
        ),
        record(
            "A grant of an unknown charger",
            "A11.6",
            grant(|grant| grant.charger = ChargerId([9; 16])),
        ),
        record(
            "A grant of a group that is not the charger's",
            "A11.6",
            grant(|grant| grant.group = GroupId(2)),
        ),
        record(
            "A grant with a flipped bit in its signature",
            "A11.6",
            Record::Grant(by_another),
        ),
        record("A grant that the state holds", "A11.6", grant(|_| {})),
        record(
            "A move to the group it is in",
            "A11.8",
            moved(HOME.id_tag, 1),
        ),
        record("A move to an unknown group", "A11.8", moved(HOME.id_tag, 9)),
        record("A move of an unknown charger", "A11.8", moved("NOBODY", 2)),
        record("A deputy by its own word", "A11.9", deputy(1, 3, 3)),
        record("A deputy who is no node", "A11.9", deputy(1, 9, 1)),
        record("A deputy with a number left out", "A11.9", deputy(2, 3, 1)),
        record(
            "A meter exchange by another node",
            "A11.10",
            exchange(2, 1, 8_000_000_000, 2),
        ),
        record(
            "A meter exchange below the end of the last charge",
            "A11.10",
            exchange(2, 1, 7_000_000_000, 1),
        ),
        record(
            "A meter exchange with a number left out",
            "A11.10",
            exchange(2, 2, 8_000_000_000, 1),
        ),
        record(
            "A meter exchange where no supply point is",
            "A11.10",
            exchange(9, 1, 8_000_000_000, 1),
        ),
    ];
    let two = two_group_blocks(chain);
    let mut same = two.clone();
    same.second = same.first.clone();
    let profile = chain.profiles().remove(0);
    let twice = Evidence::TwoProfiles(Box::new(TwoProfiles {
        first: profile.clone(),
        second: profile,
    }));
    cases.extend([
        record("Evidence that proves nothing", "A11.7", evidence(&same)),
        record("One profile as two", "A11.7", Record::Evidence(twice)),
        recording(
            chain,
            "Evidence of what is convicted already",
            "A11.7",
            vec![evidence(&two), evidence(&two)],
        ),
    ]);
    cases
}

/// Words of voters on which of two stories to go on with, after block 2, whose voters are the groups
/// 1 to 3.
fn words(chain: &Chain) -> Vec<Case> {
    let chain_id = chain.genesis.chain_id();
    let saying = |what, words: &[Signed<Resume>]| {
        recording(chain, what, "A11.11", vec![Record::Resume(words.to_vec())])
    };
    let good = [1, 2].map(|voter| chain.word(voter, 2, 2));
    let changed = |change: &dyn Fn(&mut Resume)| {
        let mut word = good[1].body.clone();
        change(&mut word);
        [
            good[0].clone(),
            Signed::new(word, &chain::node(2), &chain_id),
        ]
    };
    let mut by_another = good.clone();
    by_another[1] = Signed::new(good[1].body.clone(), &chain::node(3), &chain_id);
    let astray = [1, 2].map(|voter| chain.word(voter, 2, 10_003));
    let older = [1, 2].map(|voter| chain.word(voter, 1, 4));
    let late = [1, 2, 4].map(|voter| chain.word(voter, 8, 8));
    let mut twice = good.to_vec();
    twice.insert(0, good[0].clone());
    let beside = good.clone().map(|word| {
        let (voter, mut word) = (word.body.voter.0, word.body);
        word.header = Hash::ZERO;
        let voter = u8::try_from(voter).expect("few voters");
        Signed::new(word, &chain::node(voter), &chain_id)
    });
    let resumed = Record::Resume(good.to_vec());
    let two_ballots = Record::Evidence(Evidence::TwoBallots(Box::new(TwoBallots {
        lower: chain.ballot(1, 2),
        higher: {
            let mut other = chain.ballot(1, 2).body;
            other.header = Hash::ZERO;
            Signed::new(other, &chain::node(1), &chain_id)
        },
        fork: None,
    })));
    let after = |what, after, words: &[Signed<Resume>]| {
        let words = words.to_vec();
        self::changed(chain, what, "A11.11", after, |b| {
            b.body = with_records(vec![Record::Resume(words)]);
        })
    };
    vec![
        saying("No word of any voter", &[]),
        saying("One word of three", &good[..1]),
        saying("A voter's word twice", &twice),
        saying(
            "Words that are not sorted",
            &[good[1].clone(), good[0].clone()],
        ),
        saying(
            "Words for different headers",
            &changed(&|word| word.header = Hash::ZERO),
        ),
        saying(
            "Words for different heights",
            &changed(&|word| word.height = 1),
        ),
        saying(
            "A word of an unknown voter",
            &changed(&|word| word.voter = GroupId(77)),
        ),
        saying("A word signed by another parent", &by_another),
        saying(
            "A word of who claims to have voted 10,001 above the header",
            &astray,
        ),
        saying("Words for a header beside the chain", &beside),
        after(
            "Words for a header older than the newest final one",
            4,
            &older,
        ),
        after(
            "A word of a voter that was enrolled after the newest final header",
            8,
            &late,
        ),
        recording(
            chain,
            "The same words twice",
            "A11.11",
            vec![resumed.clone(), resumed.clone()],
        ),
        recording(
            chain,
            "Two ballots at a height up to which the voters' words let nobody be convicted",
            "A11.7",
            vec![resumed, two_ballots],
        ),
    ]
}

fn moved(id_tag: &str, group: u32) -> Record {
    Record::MoveCharger {
        charger: chain::charger(id_tag),
        group: GroupId(group),
    }
}

fn deputy(number: u32, node: u32, signer: u8) -> Record {
    Record::Deputy(chain::deputy(number, Some(node), signer))
}

fn exchange(supply_point: u32, number: u32, last_register: u64, signer: u8) -> Record {
    let word = chain::exchange(supply_point, number, last_register, signer);
    Record::MeterExchange(word)
}

fn two_group_blocks(chain: &Chain) -> TwoGroupBlocks {
    let profiles = chain.profiles();
    let over = |count: usize| {
        let block = GroupBlock::over(HOME.group, 9, Hash::ZERO, profiles[..count].iter());
        Signed::new(block, &chain::node(1), &chain.genesis.chain_id())
    };
    TwoGroupBlocks {
        first: over(1),
        second: over(2),
    }
}

fn group_blocks(chain: &Chain) -> Vec<Case> {
    let change = |what, rule, change: fn(&mut GroupBlock)| {
        changed(chain, what, rule, 3, |b| {
            let mut said = b.body.group_blocks[0].body.clone();
            change(&mut said);
            b.body.group_blocks[0] =
                Signed::new(said, &chain::node(1), &chain::genesis().chain_id());
        })
    };
    let of_none = |b: &mut Block| {
        let block = GroupBlock::over(VAN.group, 4, Hash::ZERO, [].iter());
        let block = Signed::new(block, &chain::node(2), &chain::genesis().chain_id());
        b.body.group_blocks.push(block);
    };
    vec![
        changed(chain, "A group block twice", "A12", 3, |b| {
            b.body.group_blocks.push(b.body.group_blocks[0].clone());
        }),
        changed(chain, "Group blocks that are not sorted", "A12", 7, |b| {
            b.body.group_blocks.reverse();
        }),
        change("A group block of an unknown group", "A13", |said| {
            said.group = GroupId(77);
        }),
        changed(
            chain,
            "A group block signed by another parent",
            "A13",
            3,
            |b| {
                let said = b.body.group_blocks[0].body.clone();
                b.body.group_blocks[0] =
                    Signed::new(said, &chain::node(2), &chain::genesis().chain_id());
            },
        ),
        change(
            "A group block that does not follow the group's last",
            "A13",
            |said| said.previous = Hash::ZERO,
        ),
        change("A group block of another round", "A13", |said| {
            said.round += 1;
        }),
        change("A group block over other profiles", "A13", |said| {
            said.root = Hash::ZERO;
        }),
        change("A group block with another count", "A13", |said| {
            said.count += 1;
        }),
        change("A group block with another total", "A13", |said| {
            said.energy = EnergyWh(said.energy.0 + 1);
        }),
        changed(chain, "A group block over no profile", "A13", 3, of_none),
        changed(
            chain,
            "A charge in time without a group block",
            "A14",
            3,
            |b| {
                b.body.group_blocks.clear();
            },
        ),
    ]
}

fn charges(chain: &Chain) -> Vec<Case> {
    let line = |what, rule, change: &dyn Fn(&mut ChargeLine)| {
        changed(chain, what, rule, 3, |b| {
            b.body.group_blocks.clear();
            b.body.charges[0].late = true;
            change(&mut b.body.charges[0]);
        })
    };
    let resigned = |what, rule, change: &dyn Fn(&mut ChargeProfile)| {
        line(what, rule, &|line| {
            let mut body = line.profile.body.clone();
            change(&mut body);
            line.profile = Signed::new(body, &chain::node(1), &chain::genesis().chain_id());
        })
    };
    let van = VAN.grant().body.id();
    vec![
        changed(chain, "Charges that are not sorted", "A15", 1, |b| {
            b.body.charges.swap(0, 1);
            b.body.group_blocks.clear();
            b.body.charges.iter_mut().for_each(|line| line.late = true);
        }),
        line(
            "Billed under a tariff that is not in force",
            "A16.1",
            &|line| {
                line.tariff = TariffId(2);
            },
        ),
        resigned("A node that is not enrolled", "A16.2", &|profile| {
            profile.node = NodeId(77);
        }),
        resigned("A number is left out", "A16.3", &|profile| profile.seq += 1),
        resigned("A number once more", "A16.3", &|profile| profile.seq -= 1),
        resigned("It does not name its predecessor", "A16.4", &|profile| {
            profile.previous = Hash::ZERO;
        }),
        resigned("A charger of another group", "A16.5", &|profile| {
            profile.payer = GroupId(2);
        }),
        resigned("An unknown charger", "A16.5", &|profile| {
            profile.charger = ChargerId([9; 16]);
        }),
        resigned("A supply point that is not known", "A16.6", &|profile| {
            profile.supply_point = SupplyPointId(77);
        }),
        resigned("The register runs backwards", "A16.7", &|profile| {
            profile.register_start.0 -= 1;
        }),
        resigned(
            "The register does not fit at the end",
            "A16.7",
            &|profile| {
                profile.register_start = EnergyWh(u64::MAX);
            },
        ),
        resigned("No such grant", "A16.8", &|profile| {
            profile.grant = GrantId([9; 16]);
        }),
        resigned("The grant of another charger", "A16.8", &|profile| {
            profile.grant = van;
        }),
        resigned("It begins before its grant", "A16.8", &|profile| {
            profile.start.0 = chain::BEGIN - 1;
        }),
        resigned("It begins when its grant ends", "A16.8", &|profile| {
            profile.start.0 = chain::BEGIN + 30 * chain::DAY;
        }),
        resigned("It takes more than its grant allows", "A16.8", &|profile| {
            profile.energy_wh = 80_001;
        }),
        line("A flipped bit in its signature", "A16.9", &|line| {
            line.profile.signature.0[0] ^= 1;
        }),
    ]
}

fn ballots(chain: &Chain) -> Vec<Case> {
    let voting = |what, rule, ballots: Vec<_>| {
        changed(chain, what, rule, 2, |b| b.body = with_ballots(ballots))
    };
    let mut unknown = chain.ballot(1, 2).body;
    unknown.voter = GroupId(77);
    let unknown = Signed::new(unknown, &chain::node(1), &chain.genesis.chain_id());
    let mut beside = chain.ballot(1, 2).body;
    beside.header = Hash::ZERO;
    let beside = Signed::new(beside, &chain::node(1), &chain.genesis.chain_id());
    let by_another = Signed::new(
        chain.ballot(1, 2).body,
        &chain::node(2),
        &chain.genesis.chain_id(),
    );
    vec![
        voting(
            "Ballots that are not sorted",
            "A17",
            vec![chain.ballot(2, 2), chain.ballot(1, 2)],
        ),
        voting(
            "Two ballots of one voter",
            "A17",
            vec![chain.ballot(1, 1), chain.ballot(1, 2)],
        ),
        voting("A ballot of an unknown voter", "A18", vec![unknown]),
        voting(
            "A ballot for a header beside the chain",
            "A18",
            vec![beside],
        ),
        voting(
            "A ballot for the header of its own block, which nobody can have seen",
            "A18",
            vec![chain.ballot(1, 3)],
        ),
        changed(chain, "A ballot that says nothing new", "A18", 3, |b| {
            b.body = with_ballots(vec![chain.ballot(1, 2)]);
        }),
        changed(
            chain,
            "A ballot for a header older than the newest final one",
            "A18",
            3,
            |b| b.body = with_ballots(vec![chain.ballot(3, 1)]),
        ),
        voting("A ballot signed by another parent", "A18", vec![by_another]),
    ]
}

fn ends(chain: &Chain) -> Vec<Case> {
    vec![
        changed(
            chain,
            "An empty block a second before its time would make a header final",
            "A21",
            9,
            |b| b.header.body.time.0 -= 1,
        ),
        changed(
            chain,
            "An empty first block, which makes only itself final",
            "A21",
            0,
            |b| b.body = Body::default(),
        ),
        in_header(chain, "The state root of another block", "A22", |b| {
            b.header.body.state_root = chain.header(4).body.state_root;
        }),
        changed(
            chain,
            "The amount of a charge changed, and the state root not: amounts are not judged, \
             but summed",
            "A22",
            3,
            |b| b.body.charges[0].amount += 1,
        ),
    ]
}
