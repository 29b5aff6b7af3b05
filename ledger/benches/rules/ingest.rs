//! Charges taken in by the provider: checked, synced, and only then answered with a receipt.

use std::time::Duration;

use bench_report::{Effort, Row};
use ledger::store::Store;

use crate::clock;
use crate::crowd::{Crowd, receipts};
use crate::peer::{Signatures, rate};

/// Charges in one sync.
const BATCH: usize = 1_000;

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&directory.path().join("store.redb")).expect("opens");
    let (groups, chargers) = (effort.pick(100, 2), effort.pick(10, 1));
    let batch = effort.pick(BATCH, 4);
    let mut crowd = Crowd::new(store, groups, chargers);
    let first = measure(&mut crowd, batch, 1);
    // From here on every grant is known.
    crowd.round(groups * chargers);
    let known = measure(&mut crowd, batch, effort.pick(8, 1));
    vec![
        Row::rate("durable ingest, grants known", known.0, known.1, 0.6),
        Row::beside(
            "durable ingest, each with a new grant",
            first.0,
            first.1,
            "/s",
        ),
    ]
}

/// Charges per second, and what one check and one signature alone would reach: by the wall clock,
/// because waiting for the disk counts.
fn measure(crowd: &mut Crowd, batch: usize, times: usize) -> (f64, f64) {
    let peer = Signatures::new(batch);
    let (mut fastest, mut bare) = (Duration::MAX, Duration::MAX);
    for _ in 0..times {
        let submissions = crowd.submissions(batch);
        let mut spent = Duration::ZERO;
        let effects = clock::pass(&mut spent, || crowd.drive(submissions));
        fastest = fastest.min(spent);
        assert_eq!(
            receipts(&effects).len(),
            batch,
            "every charge gets a receipt"
        );
        let mut spent = Duration::ZERO;
        clock::pass(&mut spent, || peer.check_and_sign());
        bare = bare.min(spent);
    }
    (rate(batch, fastest), rate(batch, bare))
}
