//! What the rules cost: sizes, and rates beside what bounds them in the same run.
//!
//! `cargo xtask bench [NAME]` runs them all but the million, or those whose name holds NAME. With
//! `--short` each runs at a tiny size, so that a change that breaks one is noticed; its rates then
//! mean nothing.

mod chain;
mod clock;
mod crowd;
mod growth;
mod ingest;
mod peer;
mod receipt;
mod round;
mod sizes;
mod table;

use table::Row;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Short,
    Full,
}

impl Effort {
    /// `full`, or `short` where only that it runs matters.
    fn pick(self, full: usize, short: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

type Bench = fn(Effort) -> Vec<Row>;

/// Takes several minutes, and runs only when it is asked for.
const MILLION: &str = "million";

const BENCHES: [(&str, Bench); 7] = [
    ("sizes", sizes::run),
    ("receipt", receipt::run),
    ("chain", chain::run),
    ("ingest", ingest::run),
    ("round", round::run),
    ("growth", growth::run),
    (MILLION, growth::million),
];

fn main() {
    let mut names = Vec::new();
    let mut effort = Effort::Full;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--short" => effort = Effort::Short,
            // Cargo says so to every benchmark.
            "--bench" => {}
            name => names.push(name.to_owned()),
        }
    }
    let is_asked = |bench: &str| match names.is_empty() {
        true => bench != MILLION || effort == Effort::Short,
        false => names.iter().any(|name| bench.contains(name.as_str())),
    };
    let mut over = 0;
    for (name, bench) in BENCHES.iter().filter(|(name, _)| is_asked(name)) {
        println!("\n{name}");
        for row in bench(effort) {
            println!("  {row}");
            over += usize::from(row.is_over());
        }
    }
    if effort == Effort::Full {
        println!("\n{over} over their limit");
    }
}
