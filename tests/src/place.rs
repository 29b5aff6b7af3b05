//! One test's corner of the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use meter_drivers::simulator::{SimulatedMeter, Simulator};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

/// A directory, a loopback address of its own and a runtime; clones share it.
#[derive(Clone, Debug)]
pub struct Place {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    host: String,
    runtime: Runtime,
    directory: TempDir,
}

impl Place {
    /// A place where `program` is the crashpoint program.
    #[must_use]
    pub fn new(program: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the system gives threads");
        Self {
            inner: Arc::new(Inner {
                program: PathBuf::from(program),
                host: host(),
                runtime,
                directory: tempfile::tempdir().expect("a temporary directory"),
            }),
        }
    }

    /// An address that nobody else on this machine uses: a port that was free here once is free
    /// again after a restart, whatever other tests do meanwhile.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// A path in the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.directory.path().join(name)
    }

    /// Where async parts of a test run.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        self.inner.runtime.handle()
    }

    /// The program as `role`, which is `gateway` or `provider`.
    #[must_use]
    pub fn command(&self, role: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.inner.program);
        command.arg(role).args(args).stdin(Stdio::null());
        // The default level is part of what the tests look at.
        command.env_remove("CHARGE_LOG").env_remove("CRASHPOINT");
        command
    }

    /// Another program of the workspace, built beside ours.
    ///
    /// # Panics
    /// Where it was not built.
    #[must_use]
    pub fn sibling(&self, name: &str) -> PathBuf {
        let path = self.inner.program.with_file_name(name);
        assert!(
            path.exists(),
            "{name} is not built; run cargo build --workspace --all-features --all-targets"
        );
        path
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn run(&self, role: &str, args: &[&str]) -> Output {
        let output = self.command(role, args).output();
        output.expect("the program starts")
    }

    /// The only line that a command which has to fail says.
    ///
    /// # Panics
    /// Where it does not fail with code 1 and one line on stderr.
    #[track_caller]
    #[must_use]
    pub fn refusal(&self, role: &str, args: &[&str]) -> String {
        let output = self.run(role, args);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{said}");
        let line = said.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "one line, not:\n{said}");
        assert!(line.starts_with(&format!("charge-{role}: ")), "{line}");
        line.to_owned()
    }

    /// Starts a simulated SDM630 that draws nothing and shows `energy_wh`.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn simulated_meter(&self, serial: u32, energy_wh: u64) -> Simulator {
        let meter = SimulatedMeter {
            serial,
            energy_mwh: energy_wh * 1000,
            ..SimulatedMeter::default()
        };
        let started = self
            .runtime()
            .block_on(Simulator::bind("127.0.0.1:0", meter));
        started.expect("a free port")
    }

    /// Writes a file into the directory.
    ///
    /// # Panics
    /// Where the disk refuses.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the temporary directory is writable");
        path
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str()
        .expect("temporary directories have plain names")
}

/// 127.0.0.0/8 is all loopback on Linux. The process id keeps test programs apart that run at the
/// same time, the counter tests of one program.
fn host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 1 to 254 in the first part: 127.0.0.1 is everybody's.
    let first = 1 + number % 254;
    format!("127.{first}.{high}.{}", low.max(1))
}
