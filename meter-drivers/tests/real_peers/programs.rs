//! Other people's programs as processes: Python with pymodbus, a C server with libmodbus, socat, mbpoll.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PYTHON: &str = "CHARGE_GATEWAY_PEER_PYTHON";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program; it is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    #[track_caller]
    pub(crate) fn start(mut command: Command, missing: &str) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{missing} ({error})"));
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        }
    }

    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).expect("text");
        assert_ne!(read, 0, "the peer ended; its reason is above");
        line
    }

    #[track_caller]
    pub(crate) fn json(&mut self, key: &str) -> Value {
        let line = self.line();
        let mut said: Value = serde_json::from_str(&line).expect("peers say JSON");
        assert!(said.get(key).is_some(), "{said}");
        said[key].take()
    }

    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("the peer listens");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers")
}

/// pymodbus with some SDM630.
pub(crate) struct Pymodbus(Program);

impl Pymodbus {
    #[track_caller]
    fn start(script: &str, arguments: &[&str]) -> Self {
        let Some(python) = std::env::var_os(PYTHON) else {
            panic!("{PYTHON} is not set; run cargo xtask test, which installs the Python peers");
        };
        let mut command = Command::new(python);
        command
            .arg(peers().join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Self(Program::start(command, "the Python of the peers is gone"))
    }

    /// On `transport` (tcp or rtu-over-tcp), at the address returned.
    #[track_caller]
    pub(crate) fn listening(transport: &str, units: &str) -> (Self, String) {
        Self::listening_at(transport, units, 0)
    }

    /// The same on a port that is known to be free.
    #[track_caller]
    pub(crate) fn listening_at(transport: &str, units: &str, port: u16) -> (Self, String) {
        let port = port.to_string();
        let mut peer = Self::start(
            "modbus_line.py",
            &[transport, "--units", units, "--port", &port],
        );
        let port = peer.0.json("port");
        (peer, format!("127.0.0.1:{port}"))
    }

    /// On a serial port.
    #[track_caller]
    pub(crate) fn on(device: &Path, units: &str) -> Self {
        let path = device.to_str().expect("a plain path");
        let mut peer = Self::start(
            "modbus_line.py",
            &["rtu", "--units", units, "--device", path],
        );
        peer.0.json("device");
        peer
    }

    /// A switched outlet on `transport`, at the address returned.
    #[track_caller]
    pub(crate) fn outlet(transport: &str) -> (Self, String) {
        let mut peer = Self::start("modbus_outlet.py", &[transport, "--energy-wh", "5000"]);
        let port = peer.0.json("port");
        (peer, format!("127.0.0.1:{port}"))
    }

    /// A switched outlet on a serial port.
    #[track_caller]
    pub(crate) fn outlet_on(device: &Path) -> Self {
        let path = device.to_str().expect("a plain path");
        let arguments = ["rtu", "--energy-wh", "5000", "--device", path];
        let mut peer = Self::start("modbus_outlet.py", &arguments);
        peer.0.json("device");
        peer
    }

    /// Tells it a line, and gives what it says of `key`.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str, key: &str) -> Value {
        self.0.tell(line);
        self.0.json(key)
    }

    #[track_caller]
    pub(crate) fn set(&mut self, unit: u8, name: &str, value: u64) {
        self.0.tell(&format!("{unit} {name} {value}"));
        assert_eq!(self.0.json(name), value);
    }
}

/// The C server of `tests/peers`, built with libmodbus. It ends with its stdin.
pub(crate) fn libmodbus(folder: &TempDir, arguments: &[&str]) -> (Program, u16) {
    let program = folder.path().join("modbus_server");
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libmodbus"])
        .output();
    let flags = flags.ok().filter(|output| output.status.success());
    let flags = flags.expect("libmodbus is missing: apt-get install libmodbus-dev pkg-config gcc");
    let flags = String::from_utf8(flags.stdout).expect("flags are text");
    let built = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(peers().join("modbus_server.c"))
        .args(flags.split_whitespace())
        .status()
        .expect("cc is missing: apt-get install gcc");
    assert!(built.success(), "the C server does not build");
    let mut command = Command::new(&program);
    command.args(arguments);
    let mut server = Program::start(command, "it was just built");
    let ready = server.line();
    let port = ready.trim().strip_prefix("ready ").expect("it is ready");
    (server, port.parse().expect("a port"))
}

/// Two serial ports with a wire between them: socat's pseudo terminals.
pub(crate) struct Wire {
    _socat: Program,
    pub(crate) ours: PathBuf,
    pub(crate) theirs: PathBuf,
}

impl Wire {
    #[track_caller]
    pub(crate) fn lay(folder: &TempDir) -> Self {
        let ours = folder.path().join("ours");
        let theirs = folder.path().join("theirs");
        let end = |path: &Path| format!("pty,rawer,link={}", path.display());
        let mut command = Command::new("socat");
        command.args([end(&ours), end(&theirs)]);
        let socat = Program::start(command, "socat is missing: apt-get install socat");
        let begun = Instant::now();
        while !(ours.exists() && theirs.exists()) {
            assert!(begun.elapsed() < PATIENCE, "socat opens no terminals");
            std::thread::yield_now();
        }
        Self {
            _socat: socat,
            ours,
            theirs,
        }
    }
}

/// What mbpoll prints.
#[track_caller]
pub(crate) fn mbpoll(arguments: &[&str]) -> String {
    let output = Command::new("mbpoll")
        .args(arguments)
        .output()
        .expect("mbpoll is missing: apt-get install mbpoll");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "mbpoll {arguments:?}: {text}{errors}"
    );
    text
}
