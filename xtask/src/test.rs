//! `cargo xtask test`: every check of a change.

use crate::command::run as run_command;
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{bench, licences, meter_faults, modbus_peers, node_peers, patches, peers, simulate};

/// Runs all steps, the quick ones first, stops at the first that fails, and prints how long each
/// took.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::default();
    run_steps(&Workspace::find()?, &mut steps)?;
    println!("{steps}");
    Ok(())
}

fn run_steps(workspace: &Workspace, steps: &mut Steps) -> anyhow::Result<()> {
    steps.run("format", || {
        run_command(workspace.command("cargo").args(["fmt", "--all", "--check"]))
    })?;
    // Early, so that nobody waits for minutes to be told what is missing.
    steps.run("programs that meters are tried against", || {
        modbus_peers::provide()
    })?;
    steps.run("clippy", || {
        run_command(
            workspace
                .cargo_all("clippy")
                .args(["--all-targets", "--", "-D", "warnings"]),
        )
    })?;
    steps.run("licences, bans, sources", || licences::check(workspace))?;
    steps.run("documentation", || {
        run_command(
            workspace
                .cargo_all("doc")
                .arg("--no-deps")
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    steps.run("build", || run_command(&mut workspace.build()))?;
    steps.run("unit tests", || {
        run_command(workspace.cargo_all("test").args(["--lib", "--bins"]))
    })?;
    steps.run("doc tests", || {
        run_command(workspace.cargo_all("test").arg("--doc"))
    })?;
    steps.run("faults at meters, few", || meter_faults::short(workspace))?;
    steps.run("simulated runs", || simulate::short(workspace))?;
    steps.run("patches", || patches::all_apply(workspace))?;
    steps.run("benchmarks, tiny", || bench::short(workspace))?;
    let python = steps.run("Python peers", || peers::python(workspace))?;
    let node = steps.run("Node peers", || node_peers::modules(workspace))?;
    steps.run("integration and end-to-end tests", || {
        run_command(
            workspace
                .cargo_all("test")
                .args(["--test", "*"])
                .env(peers::PYTHON_VARIABLE, &python)
                .env(node_peers::MODULES_VARIABLE, &node),
        )
    })
}
