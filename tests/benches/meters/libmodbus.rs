//! libmodbus as a meter and as a reader: C programs of `tests/peers`, built here.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a reader's readings took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor time, user's and system's.
    pub(crate) processor: Duration,
    /// Time that passed.
    pub(crate) wall: Duration,
}

/// A running program; it is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// The first line that it printed.
    pub(crate) said: String,
}

impl Program {
    /// Starts it and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let mut said = String::new();
        let read = BufReader::new(stdout).read_line(&mut said);
        assert_ne!(read.expect("text"), 0, "{command:?} said nothing");
        Self { child, said }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds a program of `tests/peers` into `folder`.
pub(crate) fn build(folder: &Path, name: &str) -> PathBuf {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libmodbus"])
        .output();
    let flags = flags.ok().filter(|output| output.status.success());
    let flags = flags.expect("libmodbus is missing: apt-get install libmodbus-dev pkg-config gcc");
    let flags = String::from_utf8(flags.stdout).expect("flags are text");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(name);
    let program = folder.join(name);
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(source.with_extension("c"))
        .args(flags.split_whitespace())
        .status()
        .expect("cc is missing: apt-get install gcc");
    assert!(built.success(), "{name} does not build");
    program
}

/// Runs a reader to its end; it prints nanoseconds of processor time and of time passed.
pub(crate) fn measure(reader: &mut Command) -> Cost {
    let program = Program::start(reader);
    let mut nanoseconds = program.said.split_whitespace().map(|number| {
        let number = number.parse().expect("a count of nanoseconds");
        Duration::from_nanos(number)
    });
    let mut next = || nanoseconds.next().expect("two counts");
    Cost {
        processor: next(),
        wall: next(),
    }
}
