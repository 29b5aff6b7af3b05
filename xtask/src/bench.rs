//! `cargo xtask bench`: what the rules and the meters cost, beside their limits or peers of the same run.

use crate::command::run as run_command;
use crate::workspace::Workspace;

/// Packages and their benchmarks.
const BENCHES: [(&str, &str); 2] = [("ledger", "rules"), ("tests", "meters")];

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// Only benchmarks whose name holds one of these; without any, all
    names: Vec<String>,
}

/// Builds the benchmarks optimised and prints their table.
///
/// It never fails because something is slow: a machine that does other things at the same time
/// would decide then.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    for (package, bench) in BENCHES {
        run_command(
            workspace
                .command("cargo")
                .args(["bench", "--quiet", "--package", package])
                .args(["--bench", bench, "--"])
                .args(&settings.names),
        )?;
    }
    Ok(())
}

/// Runs each benchmark at a tiny size, in the build that the tests use.
pub(crate) fn short(workspace: &Workspace) -> anyhow::Result<()> {
    for (_, bench) in BENCHES {
        run_command(workspace.cargo_all("bench").args([
            "--profile",
            "dev",
            "--bench",
            bench,
            "--",
            "--short",
        ]))?;
    }
    Ok(())
}
