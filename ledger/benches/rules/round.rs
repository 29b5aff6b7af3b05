//! One round at the provider: processor time of everything but the sending itself.

use std::time::Duration;

use bench_report::{Effort, Row};
use ledger::store::Store;

use crate::crowd::Crowd;
use crate::peer::{Signatures, in_turn, number};

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let (groups, charges) = (effort.pick(1_000, 3), effort.pick(10_000, 30));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&directory.path().join("store.redb")).expect("opens");
    let mut crowd = Crowd::new(store, groups, charges / groups);
    // The first round brings every grant along, the second the first ballots for charges.
    let first = crowd.round(charges);
    let work = crowd.round(charges);
    let part = |what: &str, spent: Duration| Row::plain(what, spent.as_secs_f64(), "s");
    let what = format!("round, {groups} groups, {charges} charges");
    // A charge, its acknowledgement, and of each group a group block and a ballot.
    let peer = Signatures::new(2 * (charges + groups));
    let (_, bare) = in_turn(1, &peer, || ());
    vec![
        Row::at_most(what, work.total().as_secs_f64(), 2.0, "s"),
        Row::beside(
            "  beside its signatures checked once",
            work.total().as_secs_f64(),
            bare.as_secs_f64(),
            "s",
        ),
        part("  charges taken in", work.intake),
        part("  acknowledgements", work.acks),
        part("  group blocks and the block sealed", work.sealing),
        part("  ballots", work.ballots),
        part("a round in which each charge brings a grant", first.total()),
        Row::plain(
            "bytes sent in the round",
            number(work.sent_bytes) / 1e6,
            "MB",
        ),
    ]
}
