//! `meter-faults`: injects faults on all cores and prints what came of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use meter_drivers::Framing;
use meter_faults::{Tally, run};

/// Faults of one run, which lasts for hours of virtual time.
const FAULTS_A_RUN: usize = 500;

/// Injects faults between meters and their driver, in virtual time; half of them on Modbus TCP and half
/// on RTU
#[derive(Parser)]
struct Settings {
    /// How many faults, at least
    #[arg(long, default_value_t = 100_000)]
    faults: usize,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let began = Instant::now();
    let runs = settings.faults.div_ceil(FAULTS_A_RUN);
    let end = settings.from + u64::try_from(runs).expect("a number of runs");
    let next = AtomicU64::new(settings.from);
    let tallies: Mutex<BTreeMap<&str, Tally>> = Mutex::default();
    let failed = Mutex::new(None);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || failed.lock().expect("no holder panics").is_some() {
                return;
            }
            let (name, framing) = match seed % 2 {
                0 => ("Modbus TCP", Framing::Tcp),
                _ => ("RTU", Framing::Rtu),
            };
            match run(seed, FAULTS_A_RUN, framing) {
                Ok(tally) => {
                    let mut tallies = tallies.lock().expect("no holder panics");
                    tallies.entry(name).or_default().add(&tally);
                }
                Err(problem) => {
                    *failed.lock().expect("no holder panics") = Some((seed, name, problem));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let tallies = tallies.into_inner().expect("no holder panicked");
    for (name, tally) in &tallies {
        print(name, tally);
    }
    if let Some((seed, name, problem)) = failed.into_inner().expect("no holder panicked") {
        println!("\nseed {seed} on {name}: {problem}");
        println!("cargo xtask meter-faults --faults 1 --from {seed} repeats it");
        return ExitCode::FAILURE;
    }
    let faults: usize = tallies
        .values()
        .flat_map(|tally| tally.injected.values())
        .sum();
    println!(
        "\n{faults} faults from seed {}, no wrong reading, each meter read again without a restart; {:.1} s",
        settings.from,
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn print(name: &str, tally: &Tally) {
    println!(
        "\n{name}, {:.1} h of virtual time",
        tally.took.as_secs_f64() / 3_600.0
    );
    for (fault, count) in &tally.injected {
        println!("  {count:>8}  {fault}");
    }
    println!("came of it:");
    for (outcome, count) in &tally.outcomes {
        println!("  {count:>8}  {outcome}");
    }
    println!(
        "after the last fault each meter was read within {:.1} s",
        tally.recovered_in.as_secs_f64()
    );
}
