//! Programs from crates.io, installed below `target` by the step that needs them.

use std::path::PathBuf;

use crate::command::{prints, run};
use crate::workspace::Workspace;

/// A cargo subcommand, pinned, so that a new release does not fail a change that has nothing to do
/// with it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Tool {
    /// The program, installed first if this version is not there.
    pub(crate) fn program(&self, workspace: &Workspace) -> anyhow::Result<PathBuf> {
        let program = workspace.target("tools/bin").join(self.name);
        let version = format!("{} {}", self.name, self.version);
        if !prints(workspace.command(&program).arg("--version"), &version) {
            self.install(workspace)?;
        }
        Ok(program)
    }

    fn install(&self, workspace: &Workspace) -> anyhow::Result<()> {
        println!(
            "installing {} {} into target/tools, once; one to two minutes",
            self.name, self.version
        );
        run(workspace
            .command("cargo")
            .args(["install", "--locked", self.name])
            .args(["--version", self.version, "--force", "--root"])
            .arg(workspace.target("tools"))
            // Unoptimised it builds in a third of the time, and runs for seconds only.
            .arg("--debug")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // Its hundreds of crates need not stay among ours.
            .env_remove("CARGO_TARGET_DIR"))
    }
}
