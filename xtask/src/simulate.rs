//! `cargo xtask simulate`: seeds of the simulator.

use crate::command::run as run_command;
use crate::workspace::Workspace;

/// Seeds that `cargo xtask test` runs.
const SHORT_RUN: u64 = 2_000;

/// Which seeds.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// How many seeds
    #[arg(long, default_value_t = SHORT_RUN)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints every event of the first seed, and runs no other
    #[arg(long)]
    trace: bool,
}

/// Runs the seeds; fails with the first that breaks a promise.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let (seeds, from) = (settings.seeds.to_string(), settings.from.to_string());
    let mut arguments = vec!["--seeds", &seeds, "--from", &from];
    if settings.trace {
        arguments.push("--trace");
    }
    simulate(&Workspace::find()?, &arguments)
}

/// The step of `cargo xtask test`.
pub(crate) fn short(workspace: &Workspace) -> anyhow::Result<()> {
    simulate(workspace, &["--seeds", &SHORT_RUN.to_string()])
}

fn simulate(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = workspace.command("cargo");
    command.arg("run").args(PROGRAM).arg("--").args(arguments);
    run_command(&mut command)
}

/// Selects the simulator among cargo's packages, in a profile of its own: optimised, with the
/// checks that a release leaves out.
pub(crate) const PROGRAM: [&str; 6] = [
    "--quiet",
    "--profile=simulation",
    "--package",
    "simulation",
    "--bin",
    "simulate",
];
