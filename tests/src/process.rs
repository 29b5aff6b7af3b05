//! A child process: its lines, its log, its end.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until;

const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of the log that are shown when a test fails.
const SHOWN: usize = 60;

/// A running child. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes to stderr goes to the end of `log`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true).open(log);
        let child = command
            .stdout(Stdio::piped())
            .stderr(file.expect("the temporary directory is writable"))
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the process, or when nobody wants its lines any more.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            lines,
            log: log.to_owned(),
        }
    }

    /// The next line of its stdout; `None` where it ended.
    ///
    /// # Panics
    /// After half a minute of silence.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing", self.name),
        }
    }

    /// Writes a line to its stdin.
    ///
    /// # Panics
    /// Where it has none, or has ended.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its stdin is piped");
        writeln!(stdin, "{line}").expect("it reads its stdin");
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        until(&format!("the end of {name}"), || self.ended())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; then its last lines.
    ///
    /// # Panics
    /// Where it does not end in good order.
    #[track_caller]
    pub fn terminate(mut self) -> Vec<String> {
        let id = i32::try_from(self.id()).expect("process ids are positive");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it runs");
        let status = self.wait();
        assert!(status.success(), "{} ended with {status}", self.name);
        std::iter::from_fn(|| self.lines.recv().ok()).collect()
    }

    /// Whether SIGKILL ended it.
    #[must_use]
    pub fn was_killed(status: ExitStatus) -> bool {
        status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// All that it wrote to stderr, and those before it under the same name.
    ///
    /// # Panics
    /// Where the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log is text")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            // A panic in here would hide the one that is shown.
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let from = lines.len().saturating_sub(SHOWN);
            eprintln!("--- log of {}\n{}", self.name, lines[from..].join("\n"));
        }
    }
}
