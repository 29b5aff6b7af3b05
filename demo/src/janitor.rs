//! Removes the temporary state when the demo is gone, also where it was killed.
//!
//! The demo does that itself when it ends in good order. For all other ends there is a janitor: a
//! process that makes the directory, holds one end of a pipe and waits until the other is closed,
//! which the system does whatever the demo dies of.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::JANITOR;

/// What the demo says when there is nothing left to do.
const DONE: u8 = b'.';
const PAUSE: Duration = Duration::from_millis(50);
/// A child that starts while its parent dies may make the directory anew; after this time without
/// one there is none left.
const QUIET: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A temporary directory and the process that watches over it.
#[derive(Debug)]
pub(crate) struct Watched {
    directory: PathBuf,
    janitor: Child,
}

impl Watched {
    /// Starts a janitor, which makes a directory for this user only.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let mut janitor = Command::new(std::env::current_exe()?)
            .arg(JANITOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is not for it: it is needed then.
            .process_group(0)
            .spawn()
            .context("cannot start the janitor")?;
        let stdout = janitor.stdout.take().expect("it is piped");
        let mut directory = String::new();
        BufReader::new(stdout).read_line(&mut directory)?;
        let made = directory.strip_suffix('\n');
        let made = made.context("there is no place for temporary files")?;
        Ok(Self {
            directory: PathBuf::from(made),
            janitor,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Removes the directory and sends the janitor home.
    pub(crate) fn remove(mut self) -> anyhow::Result<()> {
        let removed = std::fs::remove_dir_all(&self.directory);
        if removed.is_ok()
            && let Some(stdin) = &mut self.janitor.stdin
        {
            // A janitor that was killed needs no word.
            let _ = stdin.write_all(&[DONE]);
        }
        // Waiting closes its stdin first: where the directory is still there, it removes it now.
        self.janitor.wait()?;
        removed.with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

/// The janitor's process.
pub(crate) fn main() -> ExitCode {
    let made = tempfile::Builder::new().prefix("charge-demo-").tempdir();
    let directory = match made {
        Ok(made) => made.keep(),
        Err(error) => {
            eprintln!("cargo demo: {error}; set TMPDIR to a directory that you may write to");
            return ExitCode::FAILURE;
        }
    };
    // A demo that is gone by now has closed the pipe, too.
    let _ = writeln!(std::io::stdout(), "{}", directory.display());
    let mut said = Vec::new();
    // Whatever ends the reading, the demo is gone.
    let _ = std::io::stdin().read_to_end(&mut said);
    if said.contains(&DONE) || remove(&directory) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Removes the directory until it stays away; `false` where that does not happen.
fn remove(directory: &Path) -> bool {
    let begun = Instant::now();
    let mut gone_since = None;
    while begun.elapsed() < PATIENCE {
        if directory.exists() {
            gone_since = None;
            // Children that are about to end may still write; the next round gets it.
            let _ = std::fs::remove_dir_all(directory);
        } else if gone_since.get_or_insert_with(Instant::now).elapsed() >= QUIET {
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_comes_back_is_removed_again() {
        let made = tempfile::tempdir().expect("a temporary directory").keep();
        let again = made.clone();
        let late_child = std::thread::spawn(move || {
            while again.exists() {
                std::thread::yield_now();
            }
            std::fs::create_dir_all(again.join("gateway")).expect("it is made anew");
        });
        assert!(remove(&made));
        late_child.join().expect("it made the directory");
        assert!(!made.exists());
    }
}
