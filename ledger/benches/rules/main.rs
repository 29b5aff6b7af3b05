//! What the rules cost: sizes, and rates beside what bounds them in the same run.
//!
//! `cargo xtask bench [NAME]` runs them all but the million, or those whose name holds NAME.

mod chain;
mod clock;
mod crowd;
mod growth;
mod ingest;
mod peer;
mod receipt;
mod round;
mod sizes;

use bench_report::Bench;

const BENCHES: [Bench; 7] = [
    Bench::new("sizes", sizes::run),
    Bench::new("receipt", receipt::run),
    Bench::new("chain", chain::run),
    Bench::new("ingest", ingest::run),
    Bench::new("round", round::run),
    Bench::new("growth", growth::run),
    Bench {
        is_long: true,
        ..Bench::new("million", growth::million)
    },
];

fn main() {
    bench_report::main(&BENCHES);
}
