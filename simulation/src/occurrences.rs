//! What has to occur in many runs: a fault or a lie that never does is not tried, and what nobody
//! ever finds may be found by nobody.

use crate::lies;
use crate::tally::Tally;

/// All but the lies that stand in tables.
const PLAIN: [&str; 32] = [
    "charge final, with its receipt file",
    "charge held",
    "charge metered",
    "charger blocked",
    "charger leaves its group",
    "charger moves to another group",
    "clock set wrong",
    "conviction recorded by the provider",
    "crash after a sync",
    "crash before or in a sync",
    "crash between batches",
    "crash between effects",
    "deputy named",
    "found: a broken receipt",
    "found: a conviction in a block",
    "found: an invalid block",
    "found: two headers for a height",
    "frame doubled",
    "frame lost within a link",
    "frame out of order",
    "gateway left for good",
    "lie: a crowd approves unseen",
    "lie: a crowd confirms only what is final",
    "lie: a crowd keeps silent",
    "lie: a parent's grant is not signed by it",
    "lie: a stranger writes into a link",
    "link broken",
    "meter exchanged",
    "partition",
    "slow disk",
    "slow link",
    "voters pick one of two stories",
];

fn all() -> impl Iterator<Item = &'static str> {
    PLAIN.into_iter().chain(lies::names())
}

/// What never occurred in runs with these counts.
#[must_use]
pub fn missing(tally: &Tally) -> Vec<&'static str> {
    all().filter(|what| tally.of(what) == 0).collect()
}

/// What occurred and is not expected to: its name is not in the list.
#[must_use]
pub fn unlisted(tally: &Tally) -> Vec<&'static str> {
    let is_listed = |what: &'static str| all().any(|listed| listed == what);
    let names = tally.iter().map(|(what, _)| what);
    names.filter(|what| !is_listed(what)).collect()
}
