//! Receipt files: some that prove a charge final, each in its way, and many that do not.

use ledger::block::{Ballot, Header};
use ledger::merkle::{self, Way};
use ledger::receipt_file::{self, FinalityProof, ReceiptFile, Sources, StateLeaf, Vote};
use ledger::state::{Leaf, State};
use protocol::{Domain, GroupId, KeyPair, NodeId, PublicKey, Signed};

use super::chain::{self, Chain};
use super::crypto;
use super::json::{Json, bytes, list, object, raw};
use super::lying_receipts;

pub(super) fn receipts(chain: &Chain) -> Json {
    let mut cases = vec![
        (
            "A late charge. Two of three voters confirmed its block directly.",
            direct(chain),
        ),
        (
            "The only charge of its block: its path is empty. One voter confirmed the block, \
             another a descendant of it.",
            via_descendant(chain),
        ),
        (
            "Two of five voters confirmed the block; a closing header shows that the other three \
             are dormant and that the dispute period is over.",
            with_closing(chain),
        ),
        (
            "Three of five voters confirmed the next header, whose log of 13 ends with the block's.",
            last_of_log(chain),
        ),
    ];
    cases.extend(lying_receipts::kept(chain));
    object([
        (
            "what",
            "Receipt files that verify, with what they prove: how many voters there were, how many \
             confirmed the block, how many were dormant, and whether so few could vote that the \
             block is self-attested."
                .into(),
        ),
        ("provider_key", raw(&chain.genesis.provider_key.0)),
        (
            "receipts",
            list(cases.into_iter().map(|(what, file)| {
                let proven = file.verify(Some(&chain.genesis.provider_key)).expect(what);
                object([
                    ("what", what.into()),
                    ("file", raw(&file.to_bytes())),
                    ("height", file.header.body.height.into()),
                    ("node", file.line.profile.body.node.0.into()),
                    ("seq", file.line.profile.body.seq.into()),
                    ("energy_wh", file.line.profile.body.energy_wh.into()),
                    ("voters", proven.voters.into()),
                    ("votes", proven.votes.into()),
                    ("dormant", proven.dormant.into()),
                    ("self_attested", proven.is_self_attested().into()),
                    ("steps", steps(&file)),
                ])
            })),
        ),
    ])
}

/// What a program comes to on its way, for whoever looks for a mistake in one.
fn steps(file: &ReceiptFile) -> Json {
    let chain_id = file.genesis.chain_id();
    let header = protocol::canonical(&file.header.body);
    let line = merkle::leaf_hash(&protocol::canonical(&file.line));
    object([
        ("genesis", bytes(&file.genesis)),
        ("chain_id", raw(&chain_id.0)),
        (
            "header_digest",
            raw(&Domain::Header.digest(&chain_id, &header).0),
        ),
        ("header_hash", raw(&file.header.hash().0)),
        ("line_leaf_hash", raw(&line.0)),
        ("charges_root", raw(&file.sections[2].0)),
        ("body_root", raw(&file.header.body.body_root.0)),
        ("anchor_hash", raw(&file.finality.anchor.header.hash().0)),
        (
            "anchor_state_root",
            raw(&file.finality.anchor.header.body.state_root.0),
        ),
        ("votes", list(file.finality.votes.iter().map(bytes))),
    ])
}

/// The receipt of the charge at `index` of the block at `height`, final by the block at `newest`.
fn issue(chain: &Chain, height: u64, index: usize, newest: u64) -> ReceiptFile {
    let blocks = chain.blocks.iter();
    let until = blocks.take_while(|block| block.header.body.height <= newest);
    let mut ballots: Vec<Signed<Ballot>> = Vec::new();
    for ballot in until.flat_map(|block| &block.body.ballots) {
        let is_new = ballots.iter().all(|b| b.body.voter != ballot.body.voter);
        if ballot.body.height >= height && is_new {
            ballots.push(ballot.clone());
        }
    }
    ballots.sort_by_key(|ballot| ballot.body.voter);
    issue_by(chain, (height, index), newest, &ballots)
}

/// The same, by these ballots.
fn issue_by(
    chain: &Chain,
    (height, index): (u64, usize),
    newest: u64,
    ballots: &[Signed<Ballot>],
) -> ReceiptFile {
    let named: Vec<Signed<Header>> = ballots
        .iter()
        .map(|ballot| chain.header(ballot.body.height).clone())
        .collect();
    let finality = FinalityProof::prove(&Sources {
        header: &chain.header(height).body,
        anchor: (chain.header(height - 1), chain.state_at(height - 1)),
        newest: (chain.header(newest), chain.state_at(newest)),
        ballots,
        named: &named,
        log: &chain.log(),
    });
    let finality = finality.expect("it is final");
    receipt_file::issue(&chain.genesis, chain.block(height), index, finality).expect("it is there")
}

/// Of the charge of node 1 with number 4, which is the fleet's.
pub(super) fn direct(chain: &Chain) -> ReceiptFile {
    let mut lines = chain.block(2).body.charges.iter();
    let index = lines.position(|line| line.late).expect("one is late");
    issue(chain, 2, index, 3)
}

fn via_descendant(chain: &Chain) -> ReceiptFile {
    issue(chain, 4, 0, 6)
}

pub(super) fn with_closing(chain: &Chain) -> ReceiptFile {
    issue(chain, 8, 0, 10)
}

fn last_of_log(chain: &Chain) -> ReceiptFile {
    let ballots = [1, 2, 3].map(|voter| chain.ballot(voter, 14));
    issue_by(chain, (13, 0), 14, &ballots)
}

/// A file that proves nothing, and why.
pub(super) struct Refused {
    what: &'static str,
    rule: &'static str,
    bytes: Vec<u8>,
    key: PublicKey,
}

impl Refused {
    /// Asked for as this provider's.
    pub(super) fn of(mut self, key: PublicKey) -> Self {
        self.key = key;
        self
    }
}

pub(super) fn refused(chain: &Chain) -> Json {
    let mut cases = flipped(chain);
    cases.extend(shapes(chain));
    cases.extend(lenient(chain));
    cases.extend(ways(chain));
    cases.extend(votes(chain));
    cases.extend(closings(chain));
    cases.extend(lying_receipts::refused(chain));
    let judged = cases.into_iter().map(|case| {
        let read = ReceiptFile::from_bytes(&case.bytes);
        let reason = match read.and_then(|file| file.verify(Some(&case.key))) {
            Err(reason) => reason.to_string(),
            Ok(proven) => panic!("{} proves {proven:?}", case.what),
        };
        object([
            ("what", case.what.into()),
            ("rule", case.rule.into()),
            ("provider_key", raw(&case.key.0)),
            ("file", raw(&case.bytes)),
            ("reason", reason.into()),
        ])
    });
    object([
        (
            "what",
            "Receipt files that prove nothing: the rule of the document that each breaks, and what \
             this project's program says. Where a file breaks several rules the first counts; \
             another program's words may differ."
                .into(),
        ),
        ("receipts", list(judged)),
    ])
}

pub(super) fn case(what: &'static str, rule: &'static str, bytes: Vec<u8>) -> Refused {
    let key = chain::provider().public();
    Refused {
        what,
        rule,
        bytes,
        key,
    }
}

/// One byte changed, found by what is written there.
fn flipped(chain: &Chain) -> Vec<Refused> {
    let file = direct(chain);
    let flip = |what, rule, part: Vec<u8>, byte: usize| {
        let mut bytes = file.to_bytes();
        let place = position(&bytes, &part) + byte;
        bytes[place] ^= 1;
        case(what, rule, bytes)
    };
    let line = protocol::canonical(&file.line);
    let vote = &file.finality.votes[0];
    let genesis = protocol::canonical(&file.genesis);
    vec![
        flip(
            "The first byte: not a receipt file",
            "R1",
            file.to_bytes(),
            0,
        ),
        flip("The version of the format", "R1", file.to_bytes(), 7),
        flip(
            "The chain's interval: another chain id, so that no signature holds",
            "R4",
            genesis,
            40,
        ),
        flip("The charge's energy", "R5", line.clone(), 108),
        flip(
            "The signature of the charge's node",
            "R5",
            line.clone(),
            203,
        ),
        flip("Whether it came late", "R5", line.clone(), 204),
        flip("What the payer owes", "R5", line, 205),
        flip(
            "The root of the records section",
            "R5",
            file.sections[0].0.to_vec(),
            0,
        ),
        flip(
            "The state root in the block's header",
            "R4",
            file.header.body.state_root.0.to_vec(),
            0,
        ),
        flip(
            "The signature of the block's header",
            "R4",
            file.header.signature.0.to_vec(),
            63,
        ),
        flip(
            "The number of voters that the anchor's totals tell",
            "R7",
            protocol::canonical(&file.finality.anchor.totals),
            0,
        ),
        flip(
            "The key of a voter's parent",
            "R8",
            protocol::canonical(&vote.parent),
            5,
        ),
        flip(
            "The signature of a ballot",
            "R8",
            vote.ballot.signature.0.to_vec(),
            0,
        ),
    ]
}

/// Where `part` begins.
fn position(bytes: &[u8], part: &[u8]) -> usize {
    let mut windows = bytes.windows(part.len());
    windows
        .position(|window| window == part)
        .expect("it is part of it")
}

fn shapes(chain: &Chain) -> Vec<Refused> {
    let file = direct(chain);
    let bytes = file.to_bytes();
    let mut flag = bytes.clone();
    flag[position(&bytes, &protocol::canonical(&file.line)) + 204] = 2;
    let other = case("Asked for another provider's", "R3", bytes.clone())
        .of(KeyPair::from_seed(&[42; 32]).public());
    let mut index = file.clone();
    index.index += 1;
    vec![
        case(
            "Cut short by a byte",
            "R2",
            bytes[..bytes.len() - 1].to_vec(),
        ),
        case("A byte too many", "R2", [bytes.as_slice(), &[0]].concat()),
        case("A truth value of 2", "R2", flag),
        other,
        case("Another position in the block", "R5", index.to_bytes()),
    ]
}

/// What a check that is not strict takes for signed.
fn lenient(chain: &Chain) -> Vec<Refused> {
    let mut longer = direct(chain);
    longer.header.signature = crypto::with_order_added(&longer.header.signature);
    let mut purpose = direct(chain);
    purpose.header.signature = chain::provider().sign(
        Domain::Ballot,
        &chain.genesis.chain_id(),
        &protocol::canonical(&purpose.header.body),
    );
    vec![
        case(
            "The header's signature with the group's order added to its second half",
            "R4",
            longer.to_bytes(),
        ),
        case(
            "The header signed for the purpose of a ballot",
            "R4",
            purpose.to_bytes(),
        ),
        case(
            "A provider's key of small order, and what a lenient check takes for its signatures",
            "R4",
            of_weak_provider(chain).to_bytes(),
        )
        .of(crypto::neutral()),
        case(
            "A voter's parent with a key of small order, and what a lenient check takes for its \
             ballot; the provider signed the headers",
            "R8",
            of_weak_voter(chain).to_bytes(),
        ),
    ]
}

/// Under the neutral element as the provider's key; the voters are real.
fn of_weak_provider(chain: &Chain) -> ReceiptFile {
    let mut file = direct(chain);
    file.genesis.provider_key = crypto::neutral();
    let chain_id = file.genesis.chain_id();
    file.header.signature = crypto::over_neutral_key();
    file.finality.anchor.header.signature = crypto::over_neutral_key();
    for vote in &mut file.finality.votes {
        let voter = u8::try_from(vote.ballot.body.voter.0).expect("few voters");
        vote.ballot = Signed::new(vote.ballot.body.clone(), &chain::node(voter), &chain_id);
    }
    file
}

/// The provider says before the block that node 2 has the neutral element as its key.
fn of_weak_voter(chain: &Chain) -> ReceiptFile {
    let mut file = direct(chain);
    let mut state = chain.state_at(1).clone();
    let node = state.nodes.get_mut(&NodeId(2)).expect("it is enrolled");
    node.key = crypto::neutral();
    let mut before = chain.header(1).body.clone();
    before.state_root = state.root();
    let anchor = &mut file.finality.anchor;
    anchor.header = sign(before);
    anchor.way = state
        .way(&Leaf::Totals(anchor.totals.clone()))
        .expect("it is there");
    let mut own = file.header.body.clone();
    own.previous = anchor.header.hash();
    file.header = sign(own);
    for vote in &mut file.finality.votes {
        let voter = vote.ballot.body.voter;
        let number = u8::try_from(voter.0).expect("few voters");
        let ballot = Ballot {
            header: file.header.hash(),
            ..vote.ballot.body.clone()
        };
        vote.ballot = Signed::new(ballot, &chain::node(number), &chain.genesis.chain_id());
        vote.group = group_leaf(&state, voter);
        vote.parent = StateLeaf::of_node(&state, NodeId(voter.0)).expect("it is there");
        if voter == GroupId(2) {
            vote.ballot.signature = crypto::over_neutral_key();
        }
    }
    file
}

pub(super) fn sign(header: Header) -> Signed<Header> {
    Signed::new(header, &chain::provider(), &chain::genesis().chain_id())
}

/// Ways to a state root that do not lead there.
fn ways(chain: &Chain) -> Vec<Refused> {
    let beyond = |way: &Way| 1 << way.path.len();
    let direct = |what, rule, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = direct(chain);
        change(&mut file);
        case(what, rule, file.to_bytes())
    };
    let mut dormant = with_closing(chain);
    let way = &mut closing(&mut dormant).dormant[0].way;
    way.turns |= beyond(way);
    let mut closed = with_closing(chain);
    closing(&mut closed).anchor.way.turns |= 1;
    vec![
        direct(
            "A turn in the totals' way that is never taken",
            "R7",
            &|file| {
                let way = &mut file.finality.anchor.way;
                way.turns |= beyond(way);
            },
        ),
        direct("A wrong turn in the totals' way", "R7", &|file| {
            file.finality.anchor.way.turns |= 1;
        }),
        direct(
            "A turn in a voter's way that is never taken",
            "R8",
            &|file| {
                let way = &mut file.finality.votes[0].group.way;
                way.turns |= beyond(way);
            },
        ),
        direct("A wrong turn in a voter's way", "R8", &|file| {
            file.finality.votes[0].group.way.turns ^= 1;
        }),
        direct(
            "A hash too few in the way of a voter's parent",
            "R8",
            &|file| {
                file.finality.votes[0].parent.way.path.pop();
            },
        ),
        direct(
            "A hash too many in the way of a voter's parent",
            "R8",
            &|file| {
                let way = &mut file.finality.votes[0].parent.way;
                way.path.push(way.path[0]);
            },
        ),
        direct("Voter and parent in each other's place", "R8", &|file| {
            let vote = &mut file.finality.votes[0];
            std::mem::swap(&mut vote.group, &mut vote.parent);
        }),
        direct("Another node's leaf as the voter's parent", "R8", &|file| {
            let state = chain.state_at(1);
            let parent = StateLeaf::of_node(state, NodeId(2)).expect("it is there");
            file.finality.votes[0].parent = parent;
        }),
        case(
            "A turn in a dormant voter's way that is never taken",
            "R9",
            dormant.to_bytes(),
        ),
        case(
            "A wrong turn in the way of the closing header's totals",
            "R9",
            closed.to_bytes(),
        ),
    ]
}

fn votes(chain: &Chain) -> Vec<Refused> {
    let change = |what, rule, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = direct(chain);
        change(&mut file);
        case(what, rule, file.to_bytes())
    };
    let descendant = |what, rule, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = via_descendant(chain);
        change(&mut file);
        case(what, rule, file.to_bytes())
    };
    vec![
        change("One vote of three", "R10", &|file| {
            file.finality.votes.pop();
        }),
        change("No vote at all", "R10", &|file| file.finality.votes.clear()),
        change("A vote counted twice", "R8", &|file| {
            let vote = file.finality.votes[0].clone();
            file.finality.votes.insert(0, vote);
        }),
        change("Votes that are not sorted", "R8", &|file| {
            file.finality.votes.reverse();
        }),
        change("The anchor is not the header before", "R7", &|file| {
            file.finality.anchor.header = chain.header(3).clone();
        }),
        change("A ballot for another header", "R8", &|file| {
            let vote = &mut file.finality.votes[0];
            vote.ballot = chain.ballot(1, 3);
        }),
        change("A ballot of another voter's parent", "R8", &|file| {
            let ballot = chain.ballot(1, 2).body;
            let vote = &mut file.finality.votes[0];
            vote.ballot = Signed::new(ballot, &chain::node(2), &chain.genesis.chain_id());
        }),
        change("A voter's leaf of a later state", "R8", &|file| {
            let state = chain.state_at(2);
            file.finality.votes[0].group = group_leaf(state, GroupId(1));
        }),
        descendant("A descendant without a path", "R8", &|file| {
            let vote = file
                .finality
                .votes
                .iter_mut()
                .find(|v| v.descendant.is_some());
            let vote = vote.expect("one is");
            vote.descendant = None;
        }),
        descendant("A path in the log that is another's", "R8", &|file| {
            for descendant in file
                .finality
                .votes
                .iter_mut()
                .filter_map(|v| v.descendant.as_mut())
            {
                descendant.log_path.reverse();
            }
        }),
        descendant(
            "A descendant that the provider did not sign",
            "R8",
            &|file| {
                for descendant in file
                    .finality
                    .votes
                    .iter_mut()
                    .filter_map(|v| v.descendant.as_mut())
                {
                    descendant.header.signature.0[0] ^= 1;
                }
            },
        ),
    ]
}

fn closings(chain: &Chain) -> Vec<Refused> {
    let change = |what, rule, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = with_closing(chain);
        change(&mut file);
        case(what, rule, file.to_bytes())
    };
    vec![
        change("Without its closing header", "R10", &|file| {
            file.finality.closing = None;
        }),
        change(
            "Two dormant voters left out: two votes of four",
            "R10",
            &|file| {
                closing(file).dormant.truncate(1);
            },
        ),
        change("A closing header that was changed", "R9", &|file| {
            closing(file).anchor.header.body.time.0 += 1;
        }),
        change(
            "A closing header a second before the end of the dispute period",
            "R9",
            &|file| {
                let closed = file.header.body.time.0 + u64::from(chain::DISPUTE_S) - 1;
                reseal(file, |header| header.time.0 = closed);
            },
        ),
        change(
            "A closing header at the end of the dispute period, when nobody was dormant",
            "R9",
            &|file| {
                let closed = file.header.body.time.0 + u64::from(chain::DISPUTE_S);
                reseal(file, |header| header.time.0 = closed);
            },
        ),
        change(
            "The block's own header as the closing one, which is no descendant",
            "R9",
            &|file| closing(file).anchor.header = chain.header(8).clone(),
        ),
        change("Dormant voters that are not sorted", "R9", &|file| {
            closing(file).dormant.reverse();
        }),
        change("A dormant voter counted twice", "R9", &|file| {
            let leaf = closing(file).dormant[0].clone();
            closing(file).dormant.insert(0, leaf);
        }),
        change("A node's leaf instead of a voter's", "R9", &|file| {
            closing(file).dormant[0] = leaf(chain.state_at(10), |l| matches!(l, Leaf::Node(..)));
        }),
        change(
            "Who confirmed the block shown as dormant, long after, with its vote left out",
            "R9",
            &|file| {
                reseal(file, |header| header.time.0 += 1_000_000);
                file.finality.votes.remove(0);
                closing(file)
                    .dormant
                    .insert(0, group_leaf(chain.state_at(10), GroupId(1)));
            },
        ),
        change("Both vote and dormant", "R9", &|file| {
            let before = chain.state_at(7);
            let ballot = chain.ballot(3, 8);
            file.finality.votes.push(Vote {
                group: group_leaf(before, GroupId(3)),
                parent: leaf(before, |l| matches!(l, Leaf::Node(id, _) if id.0 == 3)),
                ballot,
                descendant: None,
            });
        }),
    ]
}

pub(super) fn closing(file: &mut ReceiptFile) -> &mut receipt_file::Closing {
    file.finality.closing.as_mut().expect("it has one")
}

/// Changes the closing header, and has the provider sign it.
fn reseal(file: &mut ReceiptFile, change: impl FnOnce(&mut Header)) {
    let chain_id = file.genesis.chain_id();
    let header = &mut closing(file).anchor.header;
    change(&mut header.body);
    *header = Signed::new(header.body.clone(), &chain::provider(), &chain_id);
}

fn leaf(state: &State, is_it: impl Fn(&Leaf) -> bool) -> StateLeaf {
    let leaf = state.leaves().find(is_it).expect("it is there");
    let way = state.way(&leaf).expect("it is there");
    StateLeaf { leaf, way }
}

pub(super) fn group_leaf(state: &State, group: GroupId) -> StateLeaf {
    StateLeaf::of_group(state, group).expect("it is there")
}
