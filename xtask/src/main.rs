//! The project's own commands, run as `cargo xtask …`.
//!
//! They need Rust and Git; what else a step needs it installs below `target` (as root also Debian
//! packages, where they are missing), or it says what is missing and how to get it. `test` is what CI
//! runs, `prove` and `fuzz` the runs that take too long for that, `bench` what the rules cost,
//! `record` shows the demo to those who only read the README.

mod bench;
mod command;
mod fuzz;
mod licences;
mod meter_faults;
mod modbus_peers;
mod node_peers;
mod patches;
mod peers;
mod prove;
mod record;
mod simulate;
mod steps;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks the workspace")]
enum Task {
    /// Every check of a change, exactly as CI runs them
    Test,
    /// The heavy runs: rules removed under the simulator, kills at random points, an hour of charging
    Prove(prove::Settings),
    /// Runs of node and provider in virtual time, among faults and liars
    Simulate(simulate::Settings),
    /// Faults between meters and their driver: no wrong reading, and recovery without a restart
    MeterFaults(meter_faults::Settings),
    /// What the rules cost, beside their limits
    Bench(bench::Settings),
    /// Films the demo for the README: docs/demo.svg
    Record,
    /// Coverage-guided fuzzing of every decoder of bytes from outside
    Fuzz(fuzz::Settings),
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Test => test::run(),
        Task::Prove(settings) => prove::run(&settings),
        Task::Simulate(settings) => simulate::run(&settings),
        Task::MeterFaults(settings) => meter_faults::run(&settings),
        Task::Bench(settings) => bench::run(&settings),
        Task::Record => record::run(),
        Task::Fuzz(settings) => fuzz::run(&settings),
    };
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    // Not returned from `main`: with RUST_BACKTRACE set, as it often is in CI, anyhow would bury
    // the failed command line under our own backtrace.
    eprintln!("\nfailed: {failure:#}");
    ExitCode::FAILURE
}
