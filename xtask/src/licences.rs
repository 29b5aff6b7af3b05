//! Licences, banned crates and sources, checked by cargo-deny against `deny.toml`.

use crate::command::run;
use crate::tools::Tool;
use crate::workspace::Workspace;

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Checks every crate in the build.
///
/// Advisories are left out: their database is a Git repository that changes daily, and a check of
/// a change must give the same answer tomorrow.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let program = CARGO_DENY.program(workspace)?;
    run(workspace
        .command(program)
        .args(["check", "licenses", "bans", "sources"]))
}
