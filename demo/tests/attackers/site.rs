//! This program as a provider and as attackers, in a temporary directory.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "\
state_dir = \"provider\"
listen = \"127.0.0.1:0\"
operator_listen = \"127.0.0.1:0\"
[chain]
interval_s = 1
witnesses = 8
currency = \"EUR\"
test = true
[tariff]
price_per_kwh = \"0.40\"
owner_credit_per_kwh = \"0.30\"
";

/// A provider's configuration and state directory.
pub(crate) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        site.write("provider.toml", CONFIG);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("writable");
        self.path(name).to_str().expect("text").to_owned()
    }

    fn provider_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        // A crowd that shouts fills the log with warnings.
        command.env("CHARGE_LOG", "error");
        command.arg("provider").args(args);
        command.arg("--config").arg(self.path("provider.toml"));
        command
    }

    fn ask_provider(&self, args: &[&str]) -> String {
        let output = self.provider_command(args).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn token(&self, group: &str) -> String {
        let printed = self.ask_provider(&["token", "create", "--group", group]);
        printed.trim().to_owned()
    }

    pub(crate) fn start_provider(&self) -> RunningProvider<'_> {
        let process = Process::start(&mut self.provider_command(&["run"]));
        let address = process.line();
        let address = address.strip_prefix("listening for gateways on ");
        let url = format!("{}/billing", address.expect("the first line tells it"));
        // The second one tells the operator API: from here on commands are answered.
        process.line();
        RunningProvider {
            site: self,
            url,
            _process: process,
        }
    }

    pub(crate) fn attacker(
        &self,
        role: &str,
        provider: &RunningProvider<'_>,
        args: &[(&str, &str)],
    ) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        command.arg(role).args(["--url", &provider.url]);
        for (name, value) in args {
            command.args([name, value]);
        }
        Process::start(&mut command)
    }

    /// A provider that takes the place of one that was stopped.
    pub(crate) fn colluding_provider(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        command.arg("colluding-provider").arg("--state-dir");
        command.arg(self.path("provider"));
        command.args(["--listen", "127.0.0.1:0"]);
        Process::start(&mut command)
    }
}

/// The provider's process.
pub(crate) struct RunningProvider<'a> {
    site: &'a Site,
    pub(crate) url: String,
    // Killed when it is dropped.
    _process: Process,
}

impl RunningProvider<'_> {
    pub(crate) fn height(&self) -> u64 {
        let chain = self.site.ask_provider(&["chain", "show", "--json"]);
        let chain: Value = serde_json::from_str(&chain).expect("JSON");
        chain["height"].as_u64().expect("a height")
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = child.expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the process, or when nobody wants its lines any more.
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says a line")
    }

    /// The next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let event: Value = serde_json::from_str(&self.line()).expect("JSON");
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Closes the process's stdin; whether it ended well within `patience`.
    pub(crate) fn close_stdin(&mut self, patience: Duration) -> bool {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
