//! Bytes of what travels and of what stays.

use bench_report::{Effort, Row};
use borsh::BorshSerialize;
use ledger::store::Store;
use protocol::canonical;

use crate::crowd::{Crowd, profile};
use crate::peer::number;

const CHARGERS: usize = 10;

pub(crate) fn run(effort: Effort) -> Vec<Row> {
    let groups = effort.pick(200, 3);
    let store = Store::in_memory().expect("memory is there");
    let mut crowd = Crowd::new(store, groups, CHARGERS);
    let signed = profile(&crowd.submissions(1)[0]).1;
    let header = crowd.blocks().pop().expect("the enrolments").header;
    // Every charger's grant is in the state from its first charge on, so one round of charges by
    // all of them makes it as large as it gets.
    let mut crowd = Crowd::new(
        Store::in_memory().expect("memory is there"),
        groups,
        CHARGERS,
    );
    crowd.round(groups * CHARGERS);
    let first = state_bytes(&crowd);
    crowd.round(groups * CHARGERS);
    let later = state_bytes(&crowd);
    let limit = groups * (CHARGERS * 128 + 128 + 2 * 160);
    vec![
        Row::at_most("header, signed", length(&header), 320.0, "B"),
        Row::at_most("charge profile, signed", length(&signed), 256.0, "B"),
        Row::at_most(
            format!("state of {groups} groups, {} chargers", groups * CHARGERS),
            number(first),
            number(limit),
            "B",
        ),
        Row::at_most(
            "the same after twice the charges",
            number(later),
            number(limit),
            "B",
        ),
    ]
}

fn state_bytes(crowd: &Crowd) -> usize {
    let leaves = crowd.state().leaves();
    leaves.map(|leaf| canonical(&leaf).len()).sum()
}

fn length<T: BorshSerialize>(value: &T) -> f64 {
    number(canonical(value).len())
}
