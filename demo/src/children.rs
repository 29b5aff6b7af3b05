//! The processes of the demo. Each dies with the value that stands for it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const STARTUP: Duration = Duration::from_secs(20);

/// A running provider or gateway.
pub(crate) struct Process {
    name: String,
    // Killed when it is dropped.
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts this program again as `role`; its log goes to `log`.
    pub(crate) fn start(name: &str, role: &str, config: &Path, log: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log).context("cannot make a log file")?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let stdout = child.stdout.take().expect("it is piped");
        Ok(Self {
            name: name.to_owned(),
            _child: child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Waits for the line that begins with `prefix` and gives what follows.
    pub(crate) async fn line(&mut self, prefix: &str) -> anyhow::Result<String> {
        let found = tokio::time::timeout(STARTUP, async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(rest) = line.strip_prefix(prefix) {
                    return Ok(rest.to_owned());
                }
            }
            bail!("the {} ended", self.name)
        });
        found
            .await
            .unwrap_or_else(|_| bail!("the {} does not start", self.name))
    }
}

/// Runs this program as `role` to its end and gives what it printed.
pub(crate) async fn run(role: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .arg(role)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
