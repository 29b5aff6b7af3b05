//! `cargo xtask prove`: the runs that take too long for every change.
//!
//! Kills and soak have a short form in `cargo xtask test`: the same test, without the variable set
//! here.

use crate::command::run as run_command;
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{patches, peers};

/// How much is proven.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// How often provider or gateway is killed at a random point
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long the processes run under charging, in minutes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Seeds that each rule's absence must show in
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
    /// Only removes rules, one by one, under the simulator
    #[arg(long)]
    only_patches: bool,
    /// Only removes this rule: the name of a file in simulation/patches; may be repeated
    #[arg(long, requires = "only_patches")]
    patch: Vec<String>,
}

/// Runs the heavy tests one after the other and prints how long each took.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let mut steps = Steps::default();
    steps.run("rules removed under the simulator", || {
        patches::run_all(&workspace, settings.seeds, &settings.patch)
    })?;
    if settings.only_patches {
        println!("{steps}");
        return Ok(());
    }
    steps.run("build", || run_command(&mut workspace.build()))?;
    let python = steps.run("Python peers", || peers::python(&workspace))?;
    let heavy = |test: &str, variable: &str, value: u32| {
        run_command(
            workspace
                .cargo_all("test")
                .args(["--test", test, "--", "--nocapture"])
                .env(peers::PYTHON_VARIABLE, &python)
                .env(variable, value.to_string()),
        )
    };
    steps.run("kills", || {
        heavy("kill", "CHARGE_GATEWAY_KILL_RUNS", settings.runs)
    })?;
    steps.run("soak", || {
        heavy("soak", "CHARGE_GATEWAY_SOAK_MINUTES", settings.minutes)
    })?;
    println!("{steps}");
    Ok(())
}
