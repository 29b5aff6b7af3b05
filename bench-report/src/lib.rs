//! What benchmarks print: each figure beside its limit or its peer of the same run.
//!
//! [`main`] runs the benchmarks of one program, or those whose name holds a word that is given. With
//! `--short` each runs at a tiny size, so that a change that breaks one is noticed; its rates then
//! mean nothing.
#![warn(missing_docs)]

mod row;

pub use row::Row;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Only that it runs.
    Short,
    /// Enough to tell something.
    Full,
}

impl Effort {
    /// `full`, or `short` where only that it runs matters.
    #[must_use]
    pub fn pick(self, full: usize, short: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

/// One benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub run: fn(Effort) -> Vec<Row>,
    /// It takes several minutes, and runs only when it is asked for.
    pub is_long: bool,
}

impl Bench {
    /// One that always runs.
    #[must_use]
    pub const fn new(name: &'static str, run: fn(Effort) -> Vec<Row>) -> Self {
        Self {
            name,
            run,
            is_long: false,
        }
    }
}

/// Runs what the command line asks for, and prints the table.
pub fn main(benches: &[Bench]) {
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
    let is_asked = |bench: &&Bench| match names.is_empty() {
        true => !bench.is_long || effort == Effort::Short,
        false => names.iter().any(|name| bench.name.contains(name.as_str())),
    };
    let mut over = 0;
    for bench in benches.iter().filter(is_asked) {
        println!("\n{}", bench.name);
        for row in (bench.run)(effort) {
            println!("  {row}");
            over += usize::from(row.is_over());
        }
    }
    if effort == Effort::Full {
        println!("\n{over} over their limit");
    }
}
