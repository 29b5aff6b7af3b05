//! Licences, banned crates and sources, checked by cargo-deny against `deny.toml`.

use crate::command::{prints, run};
use crate::workspace::Workspace;

/// Pinned, so that a new release does not fail a change that has nothing to do with it.
const CARGO_DENY: &str = "0.20.2";

/// Checks every crate in the build; installs cargo-deny below `target` first if it is not there.
///
/// Advisories are left out: their database is a Git repository that changes daily, and a check of
/// a change must give the same answer tomorrow.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let program = workspace.target("tools/bin/cargo-deny");
    let version = format!("cargo-deny {CARGO_DENY}");
    if !prints(workspace.command(&program).arg("--version"), &version) {
        install(workspace)?;
    }
    run(workspace
        .command(&program)
        .args(["check", "licenses", "bans", "sources"]))
}

fn install(workspace: &Workspace) -> anyhow::Result<()> {
    println!("installing cargo-deny {CARGO_DENY} into target/tools, once; one to two minutes");
    run(workspace
        .command("cargo")
        .args([
            "install",
            "--locked",
            "cargo-deny",
            "--version",
            CARGO_DENY,
            "--force",
            "--root",
        ])
        .arg(workspace.target("tools"))
        // Unoptimised it builds in a third of the time, and the check still takes two seconds.
        .arg("--debug")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        // Its 300 crates need not stay among ours.
        .env_remove("CARGO_TARGET_DIR"))
}
