//! Receipt files of blocks that are final without the dormant: what they prove, and that none of
//! it can be changed.

mod support;

use ledger::apply::apply;
use ledger::block::{Ballot, Header};
use ledger::receipt_file::{Closing, ReceiptError, ReceiptFile, StateLeaf, Vote};
use ledger::state::{Leaf, State};
use protocol::{GroupId, Hash, Signed, UnixSeconds};
use support::{Network, provider_key, site, wh};

const DORMANCY_S: u32 = 1_200;
const DISPUTE_S: u32 = 300;

/// A receipt that needed three of five voters to be dormant, and the network at that moment.
fn receipt() -> (Network, ReceiptFile) {
    let mut net = Network::with_silent_crowd(DORMANCY_S, DISPUTE_S);
    net.charge("household", "HOME-1", wh(11_000));
    net.run_rounds(2);
    // Silent, too, and no voter of that block.
    net.add_gateway("late", site("LATE", &["LATE"], &[]), &["LATE"]);
    net.settle();
    net.cut_link("late");
    net.run_rounds(u64::from(DORMANCY_S) / 60);
    let file = net.receipts("household").remove(0);
    let proven = file
        .verify(Some(&net.genesis.provider_key))
        .expect("it verifies");
    assert_eq!((proven.voters, proven.votes, proven.dormant), (5, 2, 3));
    (net, file)
}

/// The state after the block at `height`.
fn state_at(net: &Network, height: u64) -> State {
    let blocks = net.blocks().into_iter();
    let until = blocks.take_while(|block| block.header.body.height <= height);
    until.fold(State::new(net.genesis.clone()), |state, block| {
        apply(&state, &block).expect("valid")
    })
}

fn group_leaf(state: &State, group: GroupId) -> StateLeaf {
    StateLeaf::of_group(state, group).expect("it is there")
}

fn voter(leaf: &StateLeaf) -> GroupId {
    match leaf.leaf {
        Leaf::Group(id, _) => id,
        _ => panic!("no voter"),
    }
}

fn closing(file: &mut ReceiptFile) -> &mut Closing {
    file.finality.closing.as_mut().expect("it needed one")
}

/// Changes the closing header, and lets the provider sign it.
fn reseal(net: &Network, file: &mut ReceiptFile, change: impl FnOnce(&mut Header)) {
    let header = &mut closing(file).anchor.header;
    change(&mut header.body);
    *header = Signed::new(
        header.body.clone(),
        &provider_key(),
        &net.genesis.chain_id(),
    );
}

/// Adds a voter to the dormant, in its place.
fn add_dormant(net: &Network, file: &mut ReceiptFile, group: &str) {
    let state = state_at(net, closing(file).anchor.header.body.height);
    let added = group_leaf(&state, net.group(group));
    let dormant = &mut closing(file).dormant;
    dormant.push(added);
    dormant.sort_by_key(voter);
}

#[track_caller]
fn check(change: impl FnOnce(&Network, &mut ReceiptFile), expected: ReceiptError) {
    let (net, mut file) = receipt();
    change(&net, &mut file);
    assert_eq!(file.verify(None), Err(expected));
}

#[test]
fn no_byte_of_it_can_be_changed() {
    let (net, file) = receipt();
    let bytes = file.to_bytes();
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[position] ^= flip;
            let read = ReceiptFile::from_bytes(&changed);
            let verified = read.and_then(|file| file.verify(Some(&net.genesis.provider_key)));
            assert!(verified.is_err(), "byte {position} ^ {flip:#x}");
        }
    }
}

#[test]
fn without_its_dormant_voters_the_votes_are_too_few() {
    let not_final = |votes, voters| ReceiptError::NotFinal { votes, voters };
    check(|_, file| file.finality.closing = None, not_final(2, 5));
    check(|_, file| closing(file).dormant.clear(), not_final(2, 5));
    let one_less = |_: &Network, file: &mut ReceiptFile| {
        closing(file).dormant.pop();
        file.finality.votes.pop();
    };
    check(one_less, not_final(1, 3));
}

#[test]
fn the_closing_header_is_a_descendant_signed_by_the_provider() {
    check(
        |_, file| closing(file).anchor.header.body.time.0 += 1,
        ReceiptError::Signature("header that ends the dispute period"),
    );
    let not_ours = ReceiptError::Votes;
    check(
        |_, file| {
            let own = file.header.clone();
            closing(file).anchor.header = own;
        },
        not_ours.clone(),
    );
    check(
        |net, file| reseal(net, file, |header| header.log_root = Hash::ZERO),
        not_ours.clone(),
    );
    check(
        |net, file| reseal(net, file, |header| header.state_root = Hash::ZERO),
        not_ours.clone(),
    );
    check(|_, file| closing(file).log_path.clear(), not_ours.clone());
    check(|_, file| closing(file).anchor.totals.voters += 1, not_ours);
}

#[test]
fn the_dispute_period_is_over_at_the_closing_header() {
    let (_, file) = receipt();
    let over = UnixSeconds(file.header.body.time.0 + u64::from(DISPUTE_S));
    let closed = UnixSeconds(over.0 - 1);
    check(
        |net, file| reseal(net, file, |header| header.time = closed),
        ReceiptError::Disputable { closed },
    );
    // At the end of it nobody had been silent for long enough.
    check(
        |net, file| reseal(net, file, |header| header.time = over),
        ReceiptError::Votes,
    );
}

#[test]
fn a_dormant_voter_is_counted_once() {
    let twice = |_: &Network, file: &mut ReceiptFile| {
        let again = closing(file).dormant[0].clone();
        closing(file).dormant.insert(0, again);
    };
    check(twice, ReceiptError::Votes);
    let unsorted = |_: &Network, file: &mut ReceiptFile| closing(file).dormant.swap(0, 1);
    check(unsorted, ReceiptError::Votes);
}

#[test]
fn a_voter_that_is_awake_is_not_dormant() {
    check(
        |net, file| {
            file.finality
                .votes
                .retain(|v| v.ballot.body.voter != net.group("FLEET"));
            add_dormant(net, file, "FLEET");
        },
        ReceiptError::Votes,
    );
}

/// Long after the block every voter is dormant, those that confirmed it, too.
fn close_much_later(net: &Network, file: &mut ReceiptFile) {
    reseal(net, file, |header| header.time.0 += 1_000_000);
}

#[test]
fn who_confirmed_the_block_is_not_counted_as_dormant() {
    let (net, mut file) = receipt();
    close_much_later(&net, &mut file);
    file.verify(None).expect("so far nothing is wrong");
    check(
        |net, file| {
            close_much_later(net, file);
            add_dormant(net, file, "FLEET");
        },
        ReceiptError::Votes,
    );
    check(
        |net, file| {
            close_much_later(net, file);
            file.finality
                .votes
                .retain(|v| v.ballot.body.voter != net.group("FLEET"));
            add_dormant(net, file, "FLEET");
        },
        ReceiptError::Votes,
    );
}

#[test]
fn who_votes_after_the_closing_header_counts_on_one_side_only() {
    let (net, mut file) = receipt();
    let one = net.group("ONE");
    let before = state_at(&net, file.finality.anchor.header.body.height);
    let parent = before.groups[&one].parent;
    let ballot = Ballot {
        voter: one,
        height: file.header.body.height,
        header: file.header.hash(),
    };
    file.finality.votes.push(Vote {
        group: group_leaf(&before, one),
        parent: StateLeaf::of_node(&before, parent).expect("it is there"),
        ballot: Signed::new(ballot, &net.gateway("one").key, &net.genesis.chain_id()),
        descendant: None,
    });
    file.finality
        .votes
        .sort_by_key(|vote| vote.ballot.body.voter);
    assert_eq!(file.verify(None), Err(ReceiptError::Votes));
    closing(&mut file).dormant.retain(|leaf| voter(leaf) != one);
    let proven = file.verify(None).expect("it verifies");
    assert_eq!((proven.votes, proven.dormant), (3, 2));
}

#[test]
fn who_enrolled_after_the_block_is_no_voter_of_it() {
    check(
        |net, file| {
            close_much_later(net, file);
            add_dormant(net, file, "LATE");
        },
        ReceiptError::Votes,
    );
}

#[test]
fn what_is_no_voter_is_not_dormant() {
    check(
        |net, file| {
            let state = state_at(net, closing(file).anchor.header.body.height);
            let (first, _) = state.nodes.first_key_value().expect("enrolled");
            let node = StateLeaf::of_node(&state, *first).expect("it is there");
            closing(file).dormant[0] = node;
        },
        ReceiptError::Votes,
    );
    check(
        |net, file| {
            // As it was before the closing header.
            let state = state_at(net, file.header.body.height);
            closing(file).dormant[0] = group_leaf(&state, net.group("ONE"));
        },
        ReceiptError::Votes,
    );
}
