//! The built program on free ports in a temporary directory.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A state directory and the configuration of a provider on it.
pub(crate) struct Site {
    pub(crate) directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        site.configure("interval_s = 900", "interval_s = 1");
        site
    }

    /// Writes the example's configuration on loopback with free ports, and one line changed.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let text = include_str!("../../charge-provider.example.toml")
            .replace("/var/lib/charge-provider", "state")
            .replace("0.0.0.0:9650", "127.0.0.1:0")
            .replace("127.0.0.1:9651", "127.0.0.1:0")
            .replace("test = false", "test = true");
        assert!(text.contains(from), "{from} is in the example");
        std::fs::write(self.config(), text.replace(from, to)).expect("writes");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("provider.toml")
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join("state").join(name)
    }

    /// Runs a command to its end; one that has none, such as a provider that should not have
    /// started, is killed.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let mut child = command(args, &self.config())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("it is ours").is_none() {
            if Instant::now() > deadline {
                child.kill().expect("it runs");
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().expect("it ended")
    }

    /// The only line of a command that has to fail.
    #[track_caller]
    pub(crate) fn refusal(&self, args: &[&str]) -> String {
        let output = self.command(args);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{said}");
        let line = said.strip_suffix('\n').expect("a line");
        assert!(line.starts_with("charge-provider: "), "{line}");
        assert!(!line.contains('\n'), "one line: {line}");
        line.to_owned()
    }

    /// What a command that has to succeed prints.
    #[track_caller]
    pub(crate) fn printed(&self, args: &[&str]) -> String {
        let output = self.command(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn token(&self, group: &str) -> String {
        let printed = self.printed(&["token", "create", "--group", group]);
        printed.trim().to_owned()
    }

    pub(crate) fn start(&self) -> Running {
        Running::start(&mut command(&["run"], &self.config()))
    }
}

fn command(args: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_charge-provider"));
    command
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null());
    command
}

/// A running provider; killed when it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Running {
    /// A provider that the system lets write files of so many bytes, rounded up to 512.
    pub(crate) fn with_file_limit(site: &Site, bytes: u64) -> Self {
        let script = format!(
            "trap '' XFSZ; ulimit -f {}; exec \"$@\"",
            bytes.div_ceil(512)
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_charge-provider")])
            .args(["run", "--config"])
            .arg(site.config());
        Self::start(&mut shell)
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().map(|line| line.expect("text"));
        let Some(first) = first else {
            let mut said = String::new();
            let mut stderr = child.stderr.take().expect("piped");
            stderr.read_to_string(&mut said).expect("text");
            panic!("the provider does not start: {said}");
        };
        let address = first
            .strip_prefix("listening for gateways on ")
            .expect("the first line tells the address");
        let second = lines.next().expect("a second line").expect("text");
        assert!(second.starts_with("operator API on http://127.0.0.1:"));
        Self {
            url: format!("{address}/billing"),
            child,
        }
    }

    /// Asks the process to stop, waits, and gives all that it wrote to stderr.
    pub(crate) fn stop(mut self) -> String {
        let id = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(id),
            nix::sys::signal::Signal::SIGTERM,
        )
        .expect("it runs");
        let (code, said) = self.ended();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Waits until the process ends by itself; its exit code and all that it wrote to stderr.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut said).expect("text");
        let status = self.child.wait().expect("it ends");
        (status.code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
