//! What has to occur in many runs: a fault or a lie that never does is not tried, and what nobody
//! ever finds may be found by nobody.

use crate::lies;
use crate::tally::Tally;

/// What many runs hold, but for the lies that stand in tables.
const PLAIN: [&str; 47] = [
    "Authorize answered by the parent directly",
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
    "found: evidence, shown by neighbours",
    "found: two headers for a height",
    "found: two headers, by neighbours",
    "frame doubled",
    "frame lost within a link",
    "frame out of order",
    "gateway left for good",
    "gateway replaced, from a backup",
    "gateway replaced, its disk empty",
    "gateways linked with each other",
    "header lost between gateways",
    "join put off by a provider that listens",
    "lie: a crowd approves unseen",
    "lie: a crowd confirms only what is final",
    "lie: a crowd keeps silent",
    "lie: a neighbour forges a header",
    "lie: a neighbour invents evidence",
    "lie: a parent's grant is not signed by it",
    "lie: a stranger writes into a link",
    "lie: the provider names its camp only",
    "link broken",
    "meter exchanged",
    "partition",
    "provider restored from a backup",
    "refused: a neighbour's false evidence",
    "refused: a neighbour's foreign header",
    "restored provider takes a block back",
    "slow disk",
    "slow link",
    "voters pick one of two stories",
];

/// What takes several coincidences: it may be missing from thousands of runs.
const RARE: [&str; 6] = [
    "found by the provider: its two headers",
    "operator has it go on unheard",
    "restored provider contradicts a header it was not told of",
    "restored provider contradicts a receipt it was not told of",
    "restored provider contradicts itself: its operator let it",
    "round held up: a promised charge is not here",
];

fn expected() -> impl Iterator<Item = &'static str> {
    PLAIN.into_iter().chain(lies::names())
}

/// What never occurred in runs with these counts.
#[must_use]
pub fn missing(tally: &Tally) -> Vec<&'static str> {
    expected().filter(|what| tally.of(what) == 0).collect()
}

/// What occurred and is in no list.
#[must_use]
pub fn unlisted(tally: &Tally) -> Vec<&'static str> {
    let is_listed = |what: &'static str| expected().chain(RARE).any(|listed| listed == what);
    let names = tally.iter().map(|(what, _)| what);
    names.filter(|what| !is_listed(what)).collect()
}
