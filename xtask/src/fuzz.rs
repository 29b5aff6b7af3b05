//! `cargo xtask fuzz`: every decoder of bytes from outside, driven by libFuzzer.
//!
//! Its short form in `cargo xtask test` is the fuzz crate's own test, which needs neither the
//! fuzzer nor a second build of everything.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::command::run as run_command;
use crate::tools::Tool;
use crate::workspace::Workspace;

const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};

/// The program of `fuzz` that drives all targets.
const PROGRAM: &str = "decoders";

/// How much is tried.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// How long each target runs, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The targets; all without (they are the folders of fuzz/corpus)
    targets: Vec<String>,
}

/// Builds with coverage instrumentation and runs the targets one after the other; stops at the
/// first that fails.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let known = targets(&workspace.path("fuzz/corpus"))?;
    let wanted = match settings.targets.as_slice() {
        [] => &known,
        named => named,
    };
    for target in wanted {
        ensure!(
            known.contains(target),
            "no target {target:?}; there are {}",
            known.join(", ")
        );
    }
    let cargo_fuzz = CARGO_FUZZ.program(&workspace)?;
    // First and by itself, so that an error of the compiler is not taken for a finding.
    run_command(&mut cargo_fuzz_command(&workspace, &cargo_fuzz, "build"))?;
    for target in wanted {
        println!("\n== {target}, {} s ==", settings.seconds);
        fuzz(&workspace, &cargo_fuzz, target, settings.seconds)?;
    }
    Ok(())
}

fn targets(corpora: &Path) -> anyhow::Result<Vec<String>> {
    let folders =
        fs::read_dir(corpora).with_context(|| format!("cannot read {}", corpora.display()))?;
    let mut names = folders
        .map(|folder| Ok(folder?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn fuzz(
    workspace: &Workspace,
    cargo_fuzz: &Path,
    target: &str,
    seconds: u32,
) -> anyhow::Result<()> {
    let committed = workspace.path("fuzz/corpus").join(target);
    // What is found goes on in the next run, as long as the same is committed: what was signed for
    // another version of the small chain would be taken for a forgery.
    let version = fingerprint(&committed)?;
    let grown = workspace.target("fuzz/corpus");
    let grown = grown.join(format!("{target}-{version:016x}"));
    let failing = workspace.target("fuzz/failing").join(target);
    for folder in [&grown, &failing] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut command = cargo_fuzz_command(workspace, cargo_fuzz, "run");
    command
        .env("CHARGE_FUZZ_TARGET", target)
        .arg(&grown)
        .arg(committed)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", failing.display()))
        // An input that takes ten seconds stops a link; one that takes a gigabyte stops a box.
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    run_command(&mut command).with_context(|| {
        format!(
            "the input is in {}; `cargo run --package fuzz -- replay {target} FILE` repeats it",
            failing.display()
        )
    })
}

/// The same for the same files.
fn fingerprint(folder: &Path) -> anyhow::Result<u64> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.insert(path, bytes);
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(hasher.finish())
}

/// `cargo fuzz build` or `run` without the sanitizers, which need a nightly compiler; coverage does
/// not.
fn cargo_fuzz_command(workspace: &Workspace, cargo_fuzz: &Path, what: &str) -> Command {
    let mut command = workspace.command(cargo_fuzz);
    command
        .args([what, "--fuzz-dir", "fuzz", "--sanitizer", "none"])
        .arg("--target-dir")
        .arg(workspace.target("fuzz"))
        .arg(PROGRAM)
        // A backtrace with names is worth more here than link-time optimisation.
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "false");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_corpus_has_another_fingerprint() -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("fingerprint-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let after = |name: &str, bytes: &[u8]| {
            fs::write(folder.join(name), bytes)?;
            fingerprint(&folder)
        };
        let (one, two, same) = (after("a", b"1")?, after("b", b"")?, after("b", b"")?);
        let changed = after("a", b"2")?;
        fs::remove_dir_all(&folder)?;
        assert_eq!(two, same);
        assert_ne!(one, two);
        assert_ne!(two, changed);
        Ok(())
    }
}
