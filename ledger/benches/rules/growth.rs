//! How cost grows: with the charges of a chain, with its groups, and with the chargers it knows.

use std::time::Duration;

use bench_report::{Effort, Row};
use ledger::store::Store;
use ledger::{State, apply};
use protocol::canonical;

use crate::clock;
use crate::crowd::{Crowd, Work};
use crate::peer::number;

/// Charges in a round at most, as the provider has it.
const ROUND: usize = 10_000;

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let largest = |full| effort.pick(full, 10);
    let mut rows = vec![Row::head("charges in 100 groups, rounds of 1,000: each")];
    for charges in tens(100, largest(100_000)) {
        rows.extend(measure(charges, 100, 10, charges, 1_000));
    }
    rows.push(Row::head("groups, 10,000 charges in one round: each"));
    for groups in tens(1, largest(10_000)) {
        let charges = effort.pick(ROUND, 10);
        let chargers = (charges / groups).min(100);
        rows.extend(measure(groups, groups, chargers, charges, charges));
    }
    rows.push(Row::head("chargers known, 100 charges in a round: each"));
    for chargers in tens(100, largest(100_000)) {
        rows.extend(measure(chargers, 100, chargers / 100, 1_000, 100));
    }
    rows
}

/// A million charges in a hundred full rounds.
pub(crate) fn million(effort: Effort) -> Vec<Row> {
    let charges = effort.pick(100 * ROUND, 10);
    let mut rows = vec![Row::head("charges in 100 groups, rounds of 10,000: each")];
    rows.extend(measure(charges, 100, 10, charges, effort.pick(ROUND, 10)));
    rows
}

fn tens(from: usize, to: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(from.min(to)), |n| Some(n * 10)).take_while(move |n| *n <= to)
}

/// Processor time and bytes of each charge, at the provider and where the chain is verified.
fn measure(
    size: usize,
    groups: usize,
    chargers: usize,
    charges: usize,
    in_round: usize,
) -> Vec<Row> {
    let store = Store::in_memory().expect("memory is there");
    let mut crowd = Crowd::new(store, groups, chargers.max(1));
    let enrolled = crowd.blocks().len();
    let mut work = Work::default();
    let mut left = charges;
    while left > 0 {
        let now = left.min(in_round);
        work.add(&crowd.round(now));
        left -= now;
    }
    let blocks = crowd.blocks();
    let mut verified = Duration::ZERO;
    let mut state = State::new(crowd.genesis.clone());
    for (height, block) in blocks.iter().enumerate() {
        let mut spent = Duration::ZERO;
        state = clock::charge(&mut spent, || apply(&state, block).expect("it is valid"));
        if height >= enrolled {
            verified += spent;
        }
    }
    let bytes: usize = blocks[enrolled..].iter().map(|b| canonical(b).len()).sum();
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / number(charges);
    vec![
        Row::plain(format!("{size}: provider"), micros(work.total()), "µs"),
        Row::plain("    of it sealing", micros(work.sealing), "µs"),
        Row::plain(
            "    ballots, each group and round",
            work.ballots.as_secs_f64() * 1e6 / number(groups * (blocks.len() - enrolled)),
            "µs",
        ),
        Row::plain("    verified by a full node", micros(verified), "µs"),
        Row::plain("    in the chain", number(bytes) / number(charges), "B"),
    ]
}
