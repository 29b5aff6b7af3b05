//! The processes of the demo: this program in other roles. None outlives its parent, whatever ends
//! it.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a child may say nothing where it is to say something.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long a child may take to end in good order.
const GOODBYE: Duration = Duration::from_secs(3);

/// Ends this process at once when its stdin closes: the parent holds the other end, and the system
/// closes it whatever the parent dies of.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        while !matches!(std::io::stdin().read(&mut sink), Ok(0) | Err(_)) {}
        std::process::exit(0);
    });
}

/// Everything that runs. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    running: Arc<Mutex<Vec<Child>>>,
}

/// One running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    id: u32,
    children: Children,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Children {
    /// Starts this program again as `args` say; its log goes to `log`.
    pub(crate) fn start(&self, name: &str, args: &[&str], log: &Path) -> anyhow::Result<Process> {
        let log = std::fs::File::create(log).context("cannot make a log file")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            // Held open for as long as we live; see `end_with_parent`.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C is for the parent, which then stops them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let id = child.id().context("it ended at once")?;
        let stdout = child.stdout.take().expect("it is piped");
        self.with(|running| running.push(child));
        Ok(Process {
            name: name.to_owned(),
            id,
            children: self.clone(),
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Ends all of them at once. What they keep is temporary; there is nothing to save.
    pub(crate) async fn end(&self) {
        for mut child in self.with(std::mem::take) {
            // It may have ended by itself.
            let _ = child.kill().await;
        }
    }

    fn take(&self, id: u32) -> Option<Child> {
        self.with(|running| {
            let place = running.iter().position(|child| child.id() == Some(id))?;
            Some(running.remove(place))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Child>) -> T) -> T {
        // No operation on the list leaves it half done.
        act(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Process {
    /// The next line of its stdout.
    async fn next_line(&mut self) -> anyhow::Result<String> {
        match tokio::time::timeout(PATIENCE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => bail!("{} ended", self.name),
            Ok(Err(error)) => Err(error).with_context(|| format!("cannot read {}", self.name)),
            Err(_) => bail!("{} says nothing", self.name),
        }
    }

    /// Waits for the JSON line that tells an event of that name.
    pub(crate) async fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        loop {
            let event: Value = serde_json::from_str(&self.next_line().await?)?;
            if event["event"] == name {
                return Ok(event);
            }
        }
    }

    /// Waits for the line that begins with `prefix` and gives what follows.
    pub(crate) async fn line(&mut self, prefix: &str) -> anyhow::Result<String> {
        loop {
            if let Some(rest) = self.next_line().await?.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let child = self.children.take(self.id);
        let mut child = child.with_context(|| format!("{} has ended", self.name))?;
        let id = i32::try_from(self.id).context("process ids are positive")?;
        kill(Pid::from_raw(id), Signal::SIGTERM).context("cannot stop it")?;
        if tokio::time::timeout(GOODBYE, child.wait()).await.is_err() {
            child.kill().await?;
            bail!("{} does not stop", self.name);
        }
        Ok(())
    }

    /// Ends it at once.
    pub(crate) async fn end(self) {
        if let Some(mut child) = self.children.take(self.id) {
            // It may have ended by itself.
            let _ = child.kill().await;
        }
    }
}

/// What a command that ran to its end said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs this program as `args` say to its end.
pub(crate) async fn run(args: &[&str]) -> anyhow::Result<Said> {
    let output = Command::new(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(Said {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}
