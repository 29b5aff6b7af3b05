//! Other people's stacks under Python and Node: lines in, JSON lines out.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::Place;
use crate::process::Process;

const PYTHON: &str = "CHARGE_GATEWAY_PEER_PYTHON";
const NODE_MODULES: &str = "CHARGE_GATEWAY_PEER_NODE_MODULES";

/// A script of `tests/peers` that runs.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    /// Everything it said so far.
    said: Vec<Value>,
    /// What of it was not taken yet.
    waiting: Vec<Value>,
}

impl Peer {
    /// Starts a script.
    ///
    /// # Panics
    /// Where no Python with the peers' packages is named.
    #[track_caller]
    #[must_use]
    pub fn start(place: &Place, script: &str, args: &[&str]) -> Self {
        let Some(python) = std::env::var_os(PYTHON) else {
            panic!("{PYTHON} is not set; run cargo xtask test, which installs the Python peers");
        };
        let mut command = Command::new(python);
        command
            .arg(path_of(script))
            .args(args)
            // The repository stays as it is.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Self::run(place, script, command)
    }

    /// Starts a script of Node.
    ///
    /// # Panics
    /// Where no folder with the peers' packages is named.
    #[track_caller]
    #[must_use]
    pub fn start_node(place: &Place, script: &str) -> Self {
        let Some(modules) = std::env::var_os(NODE_MODULES) else {
            panic!(
                "{NODE_MODULES} is not set; run cargo xtask test, which installs the Node peers"
            );
        };
        let mut command = Command::new("node");
        command.arg(path_of(script)).env("NODE_PATH", modules);
        Self::run(place, script, command)
    }

    #[track_caller]
    fn run(place: &Place, script: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        let log = place.path(&format!("{script}.log"));
        Self {
            process: Process::start(script, &mut command, &log),
            said: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Starts a script that listens, and gives its port.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    #[must_use]
    pub fn listening(place: &Place, script: &str, args: &[&str]) -> (Self, u64) {
        let mut peer = Self::start(place, script, args);
        let port = peer.next_with("/port").as_u64().expect("a port");
        (peer, port)
    }

    /// Gives it a line.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        self.process.tell(line);
    }

    /// The next thing it says for which `is_meant` holds. What comes before stays for later calls:
    /// an answer and a call that crossed it on the wire come in either order.
    ///
    /// # Panics
    /// Where it ends or falls silent before.
    #[track_caller]
    pub fn next(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.waiting.iter().position(&is_meant) {
            return self.waiting.remove(place);
        }
        loop {
            let line = self.process.line().expect("the peer runs");
            let said: Value = serde_json::from_str(&line).expect("peers say JSON");
            self.said.push(said.clone());
            if is_meant(&said) {
                return said;
            }
            self.waiting.push(said);
        }
    }

    /// The next thing it says at `pointer`.
    #[track_caller]
    pub fn next_with(&mut self, pointer: &str) -> Value {
        let said = self.next(|said| said.pointer(pointer).is_some());
        said.pointer(pointer).expect("it was looked for").clone()
    }

    /// The payload of the next call it received.
    #[track_caller]
    pub fn next_call(&mut self, action: &str) -> Value {
        self.next(|said| said["action"] == action)["payload"].take()
    }

    /// Gives it a line that is a call, and gives the answer to it.
    #[track_caller]
    pub fn ask(&mut self, line: &str, action: &str) -> Value {
        self.tell(line);
        let answer = self.next(|said| said["answer_to"] == action);
        assert!(answer["error"].is_null(), "{line}: {answer}");
        answer["payload"].clone()
    }

    /// Everything it said so far.
    #[must_use]
    pub fn said(&self) -> &[Value] {
        &self.said
    }
}

fn path_of(script: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(script)
}
