//! A receipt file of an old charge: its size, and how fast it is checked.

use std::collections::BTreeMap;

use bench_report::{Effort, Row};
use ledger::block::{Ballot, Header, VERSION};
use ledger::receipt_file::{Descendant, FinalityProof, ReceiptFile, Sources, issue};
use ledger::store::Store;
use ledger::{State, apply};
use protocol::{Genesis, Hash, Signed, UnixSeconds, canonical};

use crate::crowd::{Crowd, provider_key};
use crate::peer::{Signatures, in_turn, number, rate};

/// Headers in the chain: 2^25, nearly a thousand years of quarters of an hour.
const LOG_LEVELS: u32 = 25;
/// Charges in the receipt's block.
const CHARGES: usize = 1_024;
/// Voters, each of which has one vote in the file.
const GROUPS: usize = 8;

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let bytes = receipt(effort).to_bytes();
    let file = ReceiptFile::from_bytes(&bytes).expect("it was written so");
    let votes = file.finality.votes.len();
    let without = without_votes(&file);
    let each = (bytes.len() - without) / votes;
    let peer = Signatures::new(needed(&file));
    let times = effort.pick(2_000, 2);
    let (spent, bare) = in_turn(times, &peer, || {
        let read = ReceiptFile::from_bytes(&bytes).expect("it was written so");
        let proven = read.verify(Some(&provider_key().public()));
        proven.expect("the receipt proves its charge");
    });
    vec![
        Row::at_most(
            "receipt, 2^25 headers, 1,024 charges a block, no ballots",
            number(without),
            2_560.0,
            "B",
        ),
        Row::plain(
            "each ballot adds, with its voter's leaves",
            number(each),
            "B",
        ),
        Row::rate(
            format!("receipt check, {votes} votes, {} signatures", needed(&file)),
            rate(1, spent),
            rate(1, bare),
            0.8,
        ),
    ]
}

/// Signatures that have to be checked: two headers, those that ballots name, the ballots.
fn needed(file: &ReceiptFile) -> usize {
    let named = file.finality.votes.iter().flat_map(|vote| &vote.descendant);
    let named: BTreeMap<Hash, ()> = named.map(|d| (d.header.hash(), ())).collect();
    2 + named.len() + file.finality.votes.len()
}

/// Bytes of the file with the header that the votes name, and without the votes.
fn without_votes(file: &ReceiptFile) -> usize {
    let mut bare = file.clone();
    let vote = bare.finality.votes.pop().expect("it has votes");
    bare.finality.votes.clear();
    let named = vote
        .descendant
        .expect("the votes are for the newest header");
    bare.to_bytes().len() + canonical(&named).len()
}

/// The receipt of a charge that votes for a header 2^25 later make final.
fn receipt(effort: Effort) -> ReceiptFile {
    let store = Store::in_memory().expect("memory is there");
    let charges = effort.pick(CHARGES, 16);
    let mut crowd = Crowd::new(store, GROUPS, charges / GROUPS);
    crowd.round(charges);
    crowd.round(GROUPS);
    let blocks = crowd.blocks();
    let place = blocks.iter().position(|b| b.body.charges.len() == charges);
    let place = place.expect("the first round's block");
    let before = state_before(&crowd.genesis, &blocks, place);
    let after = apply(&before, &blocks[place]).expect("it is valid");
    let (block, newest) = (&blocks[place], &blocks[place + 1]);
    let headers: Vec<_> = blocks.iter().map(|b| b.header.clone()).collect();
    let log: Vec<Hash> = headers
        .iter()
        .map(|h| ledger::merkle::leaf_hash(&h.hash().0))
        .collect();
    let finality = FinalityProof::prove(&Sources {
        header: &block.header.body,
        anchor: (&headers[place - 1], &before),
        newest: (&newest.header, &after),
        ballots: &newest.body.ballots,
        named: &headers,
        log: &log,
    });
    let finality = finality.expect("all have voted for it");
    let file = issue(&crowd.genesis, block, charges / 2, finality);
    let mut file = file.expect("the block has so many charges");
    let descendant = descendant(&crowd.genesis, &log, &file.header.body);
    let chain_id = crowd.genesis.chain_id();
    for vote in &mut file.finality.votes {
        let key = crowd.key_of(vote.ballot.body.voter);
        let ballot = Ballot {
            voter: vote.ballot.body.voter,
            height: descendant.header.body.height,
            header: descendant.header.hash(),
        };
        vote.ballot = Signed::new(ballot, &key, &chain_id);
        vote.descendant = Some(descendant.clone());
    }
    file
}

fn state_before(genesis: &Genesis, blocks: &[ledger::Block], place: usize) -> State {
    let first = State::new(genesis.clone());
    let apply = |state: State, block| apply(&state, block).expect("it is valid");
    blocks[..place].iter().fold(first, apply)
}

/// A header whose log has 2^25 leaves, of which only the way to `older` is known.
fn descendant(genesis: &Genesis, log: &[Hash], older: &Header) -> Descendant {
    let mut index = older.height - 1;
    let mut root = log[usize::try_from(index).expect("fits")];
    let mut log_path = Vec::new();
    for level in 0..LOG_LEVELS {
        let sibling = Hash::of(&level.to_le_bytes());
        root = match index & 1 {
            0 => Hash::of_parts(&[&[1], &root.0, &sibling.0]),
            _ => Hash::of_parts(&[&[1], &sibling.0, &root.0]),
        };
        index >>= 1;
        log_path.push(sibling);
    }
    let header = Header {
        version: VERSION,
        height: (1 << LOG_LEVELS) + 1,
        previous: Hash::ZERO,
        round: 1 << LOG_LEVELS,
        time: UnixSeconds(40_000_000_000),
        body_root: Hash::ZERO,
        state_root: Hash::ZERO,
        log_root: root,
        charges: 0,
        group_blocks: 0,
        records: 0,
        ballots: 0,
    };
    Descendant {
        header: Signed::new(header, &provider_key(), &genesis.chain_id()),
        log_path,
    }
}
