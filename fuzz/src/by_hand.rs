//! The command line: names, corpora, replays.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

#[derive(Parser)]
#[command(name = "decoders", about = "Fuzzing targets without the fuzzer")]
enum Command {
    /// Name every target
    List,
    /// Make the committed corpora anew
    Corpus,
    /// Run a target on files, such as an input that the fuzzer found
    Replay {
        /// The target
        target: String,
        /// The inputs
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::List => fuzz::targets().for_each(|target| println!("{}", target.name)),
        Command::Corpus => fuzz::corpus::write_all().context("cannot write the corpora")?,
        Command::Replay { target, files } => replay(&target, &files)?,
    }
    Ok(())
}

fn replay(target: &str, files: &[PathBuf]) -> anyhow::Result<()> {
    let target = fuzz::target(target)
        .with_context(|| format!("no target {target:?}; `decoders list` names them"))?;
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        target.run(&bytes);
        println!("{}: nothing wrong", file.display());
    }
    Ok(())
}
