//! A whole chain: verified from its first block on, and on disk.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bench_report::{Effort, Row};
use ledger::block::{Block, Record};
use ledger::store::{Store, Table, Write};
use ledger::{State, apply};
use protocol::{Genesis, canonical, decode};

use crate::crowd::Crowd;
use crate::peer::{Signatures, in_turn, number, rate};

/// How often the chain is written to measure its space.
const COPIES: usize = 16;
/// Charges of each group in a round, from the design's limit down to the fewest.
const PER_GROUP: [usize; 3] = [8, 2, 1];

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let groups = effort.pick(100, 2);
    let rounds = effort.pick(20, 2);
    let mut rows = Vec::new();
    for charges in PER_GROUP {
        let store = Store::in_memory().expect("memory is there");
        let mut crowd = Crowd::new(store, groups, charges);
        for _ in 0..rounds {
            crowd.round(groups * charges);
        }
        let blocks = crowd.blocks();
        rows.extend(size(&blocks, charges));
        rows.push(verification(&crowd.genesis, &blocks, effort, charges));
    }
    rows
}

fn size(blocks: &[Block], per_group: usize) -> [Row; 2] {
    // Enrolments, tariff and the first round, which brings every charger's grant: one a month.
    let steady = &blocks[3..];
    let profiles: usize = steady
        .iter()
        .map(|block| block.body.charges.len() * 204)
        .sum();
    let bytes: usize = steady.iter().map(|block| canonical(block).len()).sum();
    // So often that what the file has in reserve does not count.
    let on_disk = on_disk(steady, COPIES) / COPIES;
    let what = |what: &str| format!("{what}, {per_group} a group and round, by its profiles");
    let row = |name: &str, bytes: usize| match per_group {
        8.. => Row::at_most(what(name), number(bytes) / number(profiles), 1.25, ""),
        _ => Row::plain(what(name), number(bytes) / number(profiles), ""),
    };
    [row("chain's bytes", bytes), row("chain on disk", on_disk)]
}

/// Disk space that a store takes for `copies` of `blocks`, one after another.
fn on_disk(blocks: &[Block], copies: usize) -> usize {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let store = Store::open(&path).expect("opens");
    let empty = used(&path);
    let all = std::iter::repeat_n(blocks, copies).flatten();
    for (height, block) in (0_u64..).zip(all) {
        let write = Write::put(Table("blocks"), height.to_be_bytes(), block);
        store.commit(&[write]).expect("the disk takes it");
    }
    drop(store);
    used(&path) - empty
}

fn used(path: &Path) -> usize {
    let metadata = std::fs::metadata(path).expect("it was created");
    usize::try_from(metadata.blocks() * 512).expect("fits")
}

fn verification(genesis: &Genesis, blocks: &[Block], effort: Effort, per_group: usize) -> Row {
    let bytes: Vec<Vec<u8>> = blocks.iter().map(canonical).collect();
    let signatures: usize = blocks.iter().map(signatures).sum();
    let peer = Signatures::new(signatures);
    let times = effort.pick(9, 1);
    let (spent, bare) = in_turn(times, &peer, || {
        let mut state = State::new(genesis.clone());
        for bytes in &bytes {
            let block: Block = decode(bytes).expect("it was written so");
            state = apply(&state, &block).expect("it is valid");
        }
    });
    Row::rate(
        format!("chain verified, {per_group} a group and round, signatures"),
        rate(signatures, spent),
        rate(signatures, bare),
        0.8,
    )
}

/// Signatures in a block, its header's included.
fn signatures(block: &Block) -> usize {
    let body = &block.body;
    let is_grant = |record: &&Record| matches!(record, Record::Grant(_));
    let grants = body.records.iter().filter(is_grant).count();
    1 + grants + body.group_blocks.len() + body.charges.len() + body.ballots.len()
}
