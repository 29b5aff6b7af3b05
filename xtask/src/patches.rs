//! The simulator can fail: each patch in `simulation/patches` removes one rule from a copy of the
//! workspace, and some seed must notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::command::run;
use crate::simulate::PROGRAM;
use crate::workspace::Workspace;

/// Applies each patch, or each of those named, to a copy and prints the first of `seeds` seeds that
/// catches it.
pub(crate) fn run_all(workspace: &Workspace, seeds: u32, names: &[String]) -> anyhow::Result<()> {
    let tree = workspace.target("prove/tree");
    copy(workspace, &tree)?;
    let mut patches = patches(workspace)?;
    let stem = |patch: &PathBuf| {
        let stem = patch.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    if !names.is_empty() {
        let known: Vec<String> = patches.iter().map(stem).collect();
        let unknown = names.iter().find(|name| !known.contains(name));
        ensure!(unknown.is_none(), "there is no patch {unknown:?}");
        patches.retain(|patch| names.contains(&stem(patch)));
    }
    let mut missed = Vec::new();
    println!("{:<26}{:>6}  broken promise", "patch", "seed");
    for patch in &patches {
        let name = stem(patch);
        apply(&tree, patch, &[])?;
        let caught = build(workspace, &tree).and_then(|()| simulate(workspace, &tree, seeds));
        apply(&tree, patch, &["--reverse"])?;
        match caught.with_context(|| format!("patch {name}"))? {
            Some((seed, promise)) => println!("{name:<26}{seed:>6}  {promise}"),
            None => {
                println!("{name:<26}     –  caught by none of {seeds} seeds");
                missed.push(name);
            }
        }
    }
    ensure!(
        missed.is_empty(),
        "rules go unnoticed: {}",
        missed.join(", ")
    );
    Ok(())
}

/// The step of `cargo xtask test`: a patch that does not apply any more proves nothing.
pub(crate) fn all_apply(workspace: &Workspace) -> anyhow::Result<()> {
    for patch in patches(workspace)? {
        let mut check = workspace.command("git");
        run(check.args(["apply", "-C1", "--check"]).arg(&patch))
            .with_context(|| format!("{} does not apply", patch.display()))?;
    }
    Ok(())
}

fn patches(workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
    let mut patches: Vec<PathBuf> = fs::read_dir(workspace.path("simulation/patches"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    patches.sort();
    Ok(patches)
}

/// Copies what Git tracks, as it is on disk.
fn copy(workspace: &Workspace, tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    let listed = workspace.command("git").args(["ls-files", "-z"]).output()?;
    ensure!(listed.status.success(), "git ls-files failed");
    for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let to = tree.join(name);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(workspace.path(name), to).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}

fn apply(tree: &Path, patch: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("git")
        .current_dir(tree)
        // The copy lies below the repository, whose files are not meant.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree))
        .args(["apply", "-C1"])
        .args(arguments)
        .arg(patch))
}

fn cargo(workspace: &Workspace, tree: &Path, subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", workspace.target("prove/build"))
        // A rule that is gone leaves names unused.
        .env("RUSTFLAGS", "--cap-lints=allow")
        .arg(subcommand)
        .args(PROGRAM);
    command
}

fn build(workspace: &Workspace, tree: &Path) -> anyhow::Result<()> {
    run(&mut cargo(workspace, tree, "build"))
}

/// The seed that breaks a promise, and which; `None` where none does.
fn simulate(
    workspace: &Workspace,
    tree: &Path,
    seeds: u32,
) -> anyhow::Result<Option<(u64, String)>> {
    let output = cargo(workspace, tree, "run")
        .args(["--", "--seeds", &seeds.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let caught = text.lines().find_map(parse);
    ensure!(
        output.status.success() || caught.is_some(),
        "the simulator failed without a seed:\n{text}"
    );
    Ok(caught)
}

/// Reads the line `seed N breaks: PROMISE`.
fn parse(line: &str) -> Option<(u64, String)> {
    let (seed, promise) = line.strip_prefix("seed ")?.split_once(" breaks: ")?;
    Some((seed.parse().ok()?, promise.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_broken_promise_is_read_and_no_other() {
        let read = parse("seed 17 breaks: heads only extend");
        assert_eq!(read, Some((17, "heads only extend".to_owned())));
        assert_eq!(parse("seed 17: all promises kept"), None);
        assert_eq!(parse("2000 seeds from 0"), None);
    }
}
