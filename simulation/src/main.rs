//! `simulate`: runs seeds on all cores and prints what occurred.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use simulation::{Outcome, Tally, missing, simulate};

/// Runs the rules of node and provider in virtual time, among faults and liars
#[derive(Parser)]
struct Settings {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints every event of the first seed, and runs no other
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    // A panic inside a run is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if settings.trace {
        let outcome = simulate(settings.from, true);
        return report(&outcome);
    }
    let batch = run_all(&settings);
    println!("{}", table(&batch.tally));
    println!(
        "{} seeds from {}, {} events, {:.1} ms a seed, trace {:016x}",
        batch.done,
        settings.from,
        batch.steps,
        batch.took.as_secs_f64() * 1_000.0
            / f64::from(u32::try_from(batch.done).unwrap_or(u32::MAX)),
        batch.trace
    );
    match &batch.failed {
        Some(outcome) => report(outcome),
        None => complain_of_missing(&batch),
    }
}

/// So many seeds hold everything that can occur.
const ENOUGH: u64 = 2_000;

fn complain_of_missing(batch: &Batch) -> ExitCode {
    let missing = missing(&batch.tally);
    if missing.is_empty() || batch.done < ENOUGH {
        return ExitCode::SUCCESS;
    }
    println!("never occurred: {}", missing.join("; "));
    ExitCode::FAILURE
}

/// What many runs came to.
#[derive(Default)]
struct Batch {
    done: u64,
    steps: u64,
    // By the clock, over all seeds.
    took: Duration,
    tally: Tally,
    // The traces of all seeds, in one number that no order changes.
    trace: u64,
    // The lowest seed that broke a promise.
    failed: Option<Outcome>,
}

impl Batch {
    fn take(&mut self, outcome: Outcome, took: Duration) {
        self.done += 1;
        self.took += took;
        self.steps += outcome.steps;
        self.tally.add(&outcome.tally);
        let first = outcome.trace.0[..8].try_into().expect("eight bytes");
        self.trace ^= u64::from_le_bytes(first);
        let is_first = |failed: &Outcome| outcome.seed < failed.seed;
        if outcome.violation.is_some() && self.failed.as_ref().is_none_or(is_first) {
            self.failed = Some(outcome);
        }
    }
}

fn run_all(settings: &Settings) -> Batch {
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let batch = Mutex::new(Batch::default());
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                // Seeds are given out in order, so the lowest that fails is always among those run.
                while !has_failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= settings.seeds {
                        break;
                    }
                    let begun = now();
                    let outcome = simulate(settings.from + number, false);
                    let took = begun.elapsed();
                    has_failed.fetch_or(outcome.violation.is_some(), Ordering::Relaxed);
                    batch.lock().expect("nobody panics").take(outcome, took);
                }
            });
        }
    });
    batch.into_inner().expect("nobody panics")
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long runs take, from outside"
)]
fn now() -> Instant {
    Instant::now()
}

fn table(tally: &Tally) -> String {
    let rows = tally.iter();
    let rows: Vec<String> = rows
        .map(|(what, count)| format!("{what:<60}{count:>8}"))
        .collect();
    rows.join("\n")
}

fn report(outcome: &Outcome) -> ExitCode {
    let Some(violation) = &outcome.violation else {
        println!(
            "seed {}: all promises kept, trace {}",
            outcome.seed, outcome.trace
        );
        return ExitCode::SUCCESS;
    };
    println!("seed {} breaks: {}", outcome.seed, violation.invariant);
    println!("  {}", violation.what);
    println!("the last events:");
    for line in &outcome.last {
        println!("  {line}");
    }
    println!(
        "every event: cargo xtask simulate --from {} --trace",
        outcome.seed
    );
    ExitCode::FAILURE
}
