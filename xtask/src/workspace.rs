//! Where things are, and the cargo commands that several tasks share.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// The workspace's folders.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that `cargo xtask` was called in.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set; start this program as `cargo xtask`")?;
        let root = Path::new(&package)
            .parent()
            .context("xtask has no folder above it")?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |folder| root.join(folder));
        Ok(Self {
            root: root.to_owned(),
            target,
        })
    }

    /// A path below the root.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A path below the folder that holds everything built or downloaded.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.target.join(below)
    }

    /// `program`, to be started in the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo SUBCOMMAND` for every crate with every feature.
    ///
    /// All steps build this one selection. With another one, such as a single package, cargo would
    /// choose other features for shared dependencies and compile them a second time.
    pub(crate) fn cargo_all(&self, subcommand: &str) -> Command {
        let mut command = self.command("cargo");
        command.args([subcommand, "--workspace", "--all-features"]);
        command
    }

    /// Builds all that the test steps run, among it the programs that end-to-end tests start.
    pub(crate) fn build(&self) -> Command {
        let mut command = self.cargo_all("build");
        command.arg("--all-targets");
        command
    }
}
