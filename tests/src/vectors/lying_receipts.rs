//! Receipt files of a provider that signs whatever it likes, and of parents that vote for others:
//! each keeps every rule but one, or just keeps them all.

use ledger::block::{Ballot, Header};
use ledger::merkle::{self, Way, leaf_hash, node_hash};
use ledger::receipt_file::{Closing, Descendant, ReceiptFile, StateLeaf};
use ledger::state::{GroupAccount, Leaf, State};
use protocol::{Domain, GroupId, Hash, NodeId, Signed, UnixSeconds, canonical};

use super::chain::{self, Chain, DISPUTE_S};
use super::crypto;
use super::receipts::{Refused, case, closing, direct, group_leaf, sign, with_closing};

/// When the closing header was sealed.
const CLOSED: u64 = chain::BEGIN + 1_681;

/// Files that just keep every rule.
pub(super) fn kept(chain: &Chain) -> Vec<(&'static str, ReceiptFile)> {
    vec![
        (
            "As the third, but by a provider that dates the block so late that the dispute period \
             ends with the closing header's second.",
            dated(chain, CLOSED - u64::from(DISPUTE_S)),
        ),
        (
            "As the third, but by a provider that dates block and closing header with the last \
             second there is: the end of the dispute period stops there, too.",
            at_the_end_of_time(chain, u64::MAX),
        ),
        (
            "As the first, but by a provider that knew of two voters only before the block.",
            of_two(chain),
        ),
    ]
}

pub(super) fn refused(chain: &Chain) -> Vec<Refused> {
    let mut cases = signatures(chain);
    cases.extend(charges(chain));
    cases.extend(anchors(chain));
    cases.extend(votes(chain));
    cases.extend(closings(chain));
    cases
}

/// What a check that leaves out one half of the points of small order takes for signed.
fn signatures(chain: &Chain) -> Vec<Refused> {
    let chain_id = chain.genesis.chain_id();
    let mut point = direct(chain);
    let digest = Domain::Header.digest(&chain_id, &canonical(&point.header.body));
    point.header.signature = crypto::with_neutral_point(&[1; 32], &digest);
    let mut key = direct(chain);
    key.genesis.provider_key = crypto::neutral();
    let chain_id = key.genesis.chain_id();
    for header in [&mut key.header, &mut key.finality.anchor.header] {
        header.signature = crypto::under_neutral_key();
    }
    for vote in &mut key.finality.votes {
        vote.ballot = by_parent(vote.ballot.body.clone(), &chain_id);
    }
    vec![
        case(
            "The header's signature begins with the neutral element, and the equation holds",
            "R4",
            point.to_bytes(),
        ),
        case(
            "A provider's key of small order, under signatures that begin with another point",
            "R4",
            key.to_bytes(),
        )
        .of(crypto::neutral()),
    ]
}

fn charges(chain: &Chain) -> Vec<Refused> {
    let lines = &chain.block(2).body.charges;
    let leaf = |index: usize| leaf_hash(&canonical(&lines[index]));
    let first = |what, count, path: Hash, root| {
        let mut file = direct(chain);
        file.index = 0;
        file.line = lines[0].clone();
        file.path = vec![path];
        file.sections[2] = root;
        let body_root = merkle::root(&file.sections.map(|root| leaf_hash(&root.0)));
        retell(&mut file, |header| {
            header.charges = count;
            header.body_root = body_root;
        });
        case(what, "R5", file.to_bytes())
    };
    vec![
        first(
            "A path that ends a node below the root of as many charges as the header counts",
            4,
            leaf(1),
            node_hash(&leaf(0), &leaf(1)),
        ),
        first(
            "A path that is longer than to the root of as many charges as the header counts",
            1,
            Hash::ZERO,
            node_hash(&Hash::ZERO, &leaf(0)),
        ),
    ]
}

fn anchors(chain: &Chain) -> Vec<Refused> {
    let mut unsigned = direct(chain);
    unsigned.finality.anchor.header.signature.0[0] ^= 1;
    let mut beside = direct(chain);
    let mut header = chain.header(1).body.clone();
    header.time.0 += 1;
    beside.finality.anchor.header = sign(header);
    let on_way = |what, rule, length: usize| {
        let mut file = direct(chain);
        let anchor = &mut file.finality.anchor;
        anchor.way.path.resize(length, Hash::ZERO);
        let mut root = Leaf::Totals(anchor.totals.clone()).hash();
        for other in &anchor.way.path {
            root = node_hash(&root, other);
        }
        let mut header = anchor.header.body.clone();
        header.state_root = root;
        anchor.header = sign(header);
        let previous = anchor.header.hash();
        retell(&mut file, |header| header.previous = previous);
        case(what, rule, file.to_bytes())
    };
    vec![
        case(
            "The anchor's header, whose hash does not cover its signature, is not signed",
            "R6",
            unsigned.to_bytes(),
        ),
        case(
            "An anchor with the same state beside the header before",
            "R7",
            beside.to_bytes(),
        ),
        on_way(
            "A way of two hashes to a state root that is made for it",
            "R7",
            2,
        ),
        on_way(
            "A way of 64 hashes to a state root that is made for it",
            "R7",
            64,
        ),
        on_way(
            "A way of 63 hashes to a state root that is made for it: as long as a way may be, but \
             the voters are not in that state",
            "R8",
            63,
        ),
    ]
}

fn votes(chain: &Chain) -> Vec<Refused> {
    let change = |what, change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = direct(chain);
        change(&mut file);
        case(what, "R8", file.to_bytes())
    };
    let chain_id = chain.genesis.chain_id();
    let vote = |body: Ballot, signer| Signed::new(body, &chain::node(signer), &chain_id);
    vec![
        change(
            "Another node's leaf as the voter's parent, with a ballot which that node signed",
            &|file| {
                let taken = &mut file.finality.votes[0];
                let state = chain.state_at(1);
                taken.parent = StateLeaf::of_node(state, NodeId(3)).expect("it is there");
                taken.ballot = vote(chain.ballot(1, 2).body, 3);
            },
        ),
        change(
            "A second vote of one group, whose parent signed it with another voter's number",
            &|file| {
                let taken = &mut file.finality.votes[1];
                taken.ballot = vote(chain.ballot(3, 2).body, 2);
            },
        ),
        change(
            "A node's leaf as the voter, beside a genuine parent",
            &|file| {
                let taken = &mut file.finality.votes[0];
                taken.group = taken.parent.clone();
            },
        ),
        change("A group's leaf as the parent of a genuine voter", &|file| {
            let taken = &mut file.finality.votes[0];
            taken.parent = taken.group.clone();
        }),
        change(
            "A ballot with the header's hash and another height",
            &|file| {
                let mut body = chain.ballot(1, 2).body;
                body.height = 3;
                file.finality.votes[0].ballot = vote(body, 1);
            },
        ),
        change(
            "A ballot with the header's height and another hash",
            &|file| {
                let mut body = chain.ballot(1, 2).body;
                body.header = Hash::ZERO;
                file.finality.votes[0].ballot = vote(body, 1);
            },
        ),
        case(
            "A block at height 0, whose header stands first in the log of a descendant",
            "R8",
            at_height_0(chain).to_bytes(),
        ),
    ]
}

fn closings(chain: &Chain) -> Vec<Refused> {
    let change = |what, rule, mut file: ReceiptFile, change: &dyn Fn(&mut ReceiptFile)| {
        change(&mut file);
        case(what, rule, file.to_bytes())
    };
    let keep = |_: &mut ReceiptFile| {};
    vec![
        change(
            "A path in the closing header's log that leads elsewhere",
            "R9",
            with_closing(chain),
            &|file| closing(file).log_path[0] = Hash::ZERO,
        ),
        change(
            "All dormant, a second before the end of the dispute period",
            "R9",
            dated(chain, CLOSED - u64::from(DISPUTE_S) + 1),
            &keep,
        ),
        change(
            "A dispute period beyond the last second there is, and a closing header before that",
            "R9",
            at_the_end_of_time(chain, u64::MAX - 1),
            &keep,
        ),
        change(
            "A closing header a second before two of the voters are dormant",
            "R9",
            with_closing(chain),
            &|file| {
                let mut header = closing(file).anchor.header.body.clone();
                header.time.0 -= 1;
                closing(file).anchor.header = sign(header);
            },
        ),
        case(
            "A dormant voter whose last ballot is so late that it is dormant beyond the last \
             second there is",
            "R9",
            with_dormant(chain, |group| group.last_ballot = UnixSeconds(u64::MAX)).to_bytes(),
        ),
        case(
            "A dormant voter that the block itself enrolled",
            "R9",
            with_dormant(chain, |group| group.voter_since = 8).to_bytes(),
        ),
        case(
            "A dormant voter that voted for the block, and whose vote is not in the file",
            "R9",
            with_dormant(chain, |group| group.voted_height = 8).to_bytes(),
        ),
        case(
            "More dormant voters than there are voters",
            "R10",
            more_dormant_than_voters(chain).to_bytes(),
        ),
    ]
}

fn by_parent(ballot: Ballot, chain_id: &Hash) -> Signed<Ballot> {
    let parent = u8::try_from(ballot.voter.0).expect("few voters");
    Signed::new(ballot, &chain::node(parent), chain_id)
}

/// Changes the block's header; provider and voters sign it, and the closing header follows it.
fn retell(file: &mut ReceiptFile, change: impl FnOnce(&mut Header)) {
    let chain_id = file.genesis.chain_id();
    change(&mut file.header.body);
    file.header = sign(file.header.body.clone());
    for vote in &mut file.finality.votes {
        let mut ballot = vote.ballot.body.clone();
        ballot.header = file.header.hash();
        vote.ballot = by_parent(ballot, &chain_id);
    }
}

/// Has the log of the closing header hold the block's header, as it may have been changed.
fn relog(chain: &Chain, file: &mut ReceiptFile, time: u64) {
    let index = usize::try_from(file.header.body.height - 1).expect("few blocks");
    let mut log = chain.log();
    log[index] = leaf_hash(&file.header.hash().0);
    let Closing {
        anchor, log_path, ..
    } = closing(file);
    let mut header = anchor.header.body.clone();
    log.truncate(usize::try_from(header.height - 1).expect("few blocks"));
    header.log_root = merkle::root(&log);
    header.time = UnixSeconds(time);
    *log_path = merkle::path(&log, index).expect("it is there");
    anchor.header = sign(header);
}

/// With a closing header, and the block dated so.
fn dated(chain: &Chain, time: u64) -> ReceiptFile {
    let mut file = with_closing(chain);
    retell(&mut file, |header| header.time = UnixSeconds(time));
    relog(chain, &mut file, CLOSED);
    file
}

fn at_the_end_of_time(chain: &Chain, closed: u64) -> ReceiptFile {
    let mut file = with_closing(chain);
    retell(&mut file, |header| header.time = UnixSeconds(u64::MAX));
    relog(chain, &mut file, closed);
    file
}

/// The closing header's state says of the last dormant voter what it likes.
fn with_dormant(chain: &Chain, change: impl FnOnce(&mut GroupAccount)) -> ReceiptFile {
    let mut file = with_closing(chain);
    let mut state = chain.state_at(10).clone();
    change(state.groups.get_mut(&GroupId(5)).expect("it is there"));
    show_dormant(&mut file, &state);
    file
}

/// Shows the closing header with another state, and the same voters in it.
fn show_dormant(file: &mut ReceiptFile, state: &State) {
    let Closing {
        anchor, dormant, ..
    } = closing(file);
    let mut header = anchor.header.body.clone();
    header.state_root = state.root();
    anchor.header = sign(header);
    anchor.way = totals_way(state);
    anchor.totals = state.totals();
    for leaf in dormant {
        let Leaf::Group(group, _) = leaf.leaf else {
            panic!("{leaf:?} is no group");
        };
        *leaf = group_leaf(state, group);
    }
}

fn totals_way(state: &State) -> Way {
    let totals = Leaf::Totals(state.totals());
    state.way(&totals).expect("it is always there")
}

/// The header before the block has another state, in which the voters are shown.
fn show_voters(file: &mut ReceiptFile, state: &State) {
    let anchor = &mut file.finality.anchor;
    let mut header = anchor.header.body.clone();
    header.state_root = state.root();
    anchor.header = sign(header);
    anchor.totals = state.totals();
    anchor.way = totals_way(state);
    let previous = anchor.header.hash();
    for vote in &mut file.finality.votes {
        let voter = vote.ballot.body.voter;
        vote.group = group_leaf(state, voter);
        vote.parent = StateLeaf::of_node(state, NodeId(voter.0)).expect("it is there");
    }
    retell(file, |header| header.previous = previous);
}

/// Voters 1 and 2 alone.
fn two_voters(state: &State) -> State {
    let mut two = state.clone();
    for group in [3, 4, 5].map(GroupId) {
        two.groups.remove(&group);
    }
    two
}

fn of_two(chain: &Chain) -> ReceiptFile {
    let mut file = direct(chain);
    show_voters(&mut file, &two_voters(chain.state_at(1)));
    file
}

/// Two voters before the block, and three more that are said to have been there later.
fn more_dormant_than_voters(chain: &Chain) -> ReceiptFile {
    let mut file = with_closing(chain);
    show_voters(&mut file, &two_voters(chain.state_at(7)));
    relog(chain, &mut file, CLOSED);
    file
}

/// Its votes name a descendant whose log holds its header alone.
fn at_height_0(chain: &Chain) -> ReceiptFile {
    let mut file = direct(chain);
    retell(&mut file, |header| header.height = 0);
    let mut later = chain.header(3).body.clone();
    later.height = 2;
    later.log_root = leaf_hash(&file.header.hash().0);
    let later = sign(later);
    for vote in &mut file.finality.votes {
        let ballot = Ballot {
            voter: vote.ballot.body.voter,
            height: 2,
            header: later.hash(),
        };
        vote.ballot = by_parent(ballot, &file.genesis.chain_id());
        vote.descendant = Some(Descendant {
            header: later.clone(),
            log_path: Vec::new(),
        });
    }
    file
}
