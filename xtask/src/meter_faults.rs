//! `cargo xtask meter-faults`: faults between meters and their driver, in virtual time.

use crate::command::run as run_command;
use crate::workspace::Workspace;

/// Faults that `cargo xtask test` injects.
const SHORT_RUN: u64 = 10_000;

/// How many.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// How many faults, at least
    #[arg(long, default_value_t = 100_000)]
    faults: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Injects them; fails with the first wrong reading.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    inject(&Workspace::find()?, settings.faults, settings.from)
}

/// The step of `cargo xtask test`.
pub(crate) fn short(workspace: &Workspace) -> anyhow::Result<()> {
    inject(workspace, SHORT_RUN, 0)
}

fn inject(workspace: &Workspace, faults: u64, from: u64) -> anyhow::Result<()> {
    let mut command = workspace.command("cargo");
    command
        .args(["run", "--quiet", "--profile=simulation"])
        .args(["--package", "meter-faults", "--bin", "meter-faults", "--"])
        .args(["--faults", &faults.to_string()])
        .args(["--from", &from.to_string()]);
    run_command(&mut command)
}
