//! What the tools are tried on: other people's programs on a line, and the program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tests::{Peer, Place, Process, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");
const LINE: &str = "meter_line.py";

pub(crate) fn place() -> Place {
    Place::new(PROGRAM)
}

/// What `charge-gateway meters` said, and how it ended.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

/// Runs `charge-gateway meters` to its end.
pub(crate) fn meters(place: &Place, args: &[&str]) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = place.run("gateway", &[&["meters"], args].concat());
    Said {
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
        code: status.code(),
    }
}

impl Said {
    /// What it said, where it ended well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

/// Starts `charge-gateway meters` for as long as it is kept.
pub(crate) fn running(place: &Place, name: &str, args: &[&str]) -> Process {
    let mut command = place.command("gateway", &[&["meters"], args].concat());
    Process::start(name, &mut command, &place.path(&format!("{name}.log")))
}

/// `charge-gateway meters simulate` that has said where it serves.
pub(crate) fn simulating(place: &Place, args: &[&str]) -> (Process, String) {
    let mut process = running(place, "simulate", &[&["simulate"], args].concat());
    let first = process.line().expect("it runs");
    assert!(first.starts_with("SIMULATION"), "{first}");
    loop {
        let line = process.line().expect("it says where it serves");
        if let Some(at) = line.strip_prefix("simulating on ") {
            let at = at
                .split(['(', ';', ' '])
                .next()
                .expect("a place")
                .to_owned();
            return (process, at);
        }
    }
}

/// A file of `tests/meters`.
pub(crate) fn expected(meter: &str) -> Value {
    let text = std::fs::read_to_string(file(meter)).expect("it is there");
    serde_json::from_str::<Value>(&text).expect("JSON")["expect"].take()
}

fn file(meter: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("meters");
    folder.join(format!("{meter}.json"))
}

fn named(units: &[(u8, &str)]) -> Vec<String> {
    let named = units.iter();
    named
        .map(|(unit, meter)| format!("{unit}={}", file(meter).display()))
        .collect()
}

/// pymodbus with these meters on Modbus TCP, and where.
pub(crate) fn over_tcp(place: &Place, units: &[(u8, &str)], spoilt: &[&str]) -> (Peer, String) {
    let units = named(units);
    let units = units.iter().map(String::as_str);
    let args: Vec<&str> = ["tcp"]
        .into_iter()
        .chain(units)
        .chain(spoilt.iter().copied())
        .collect();
    let (peer, port) = Peer::listening(place, LINE, &args);
    (peer, format!("127.0.0.1:{port}"))
}

/// Two serial ports with a wire between them: socat's pseudo terminals.
pub(crate) struct Wire {
    _socat: Process,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Wire {
    #[track_caller]
    pub(crate) fn lay(place: &Place) -> Self {
        let path = |name| place.path(name).display().to_string();
        let (ours, theirs) = (path("ours"), path("theirs"));
        let mut command = Command::new("socat");
        command
            .args([&ours, &theirs].map(|path| format!("pty,rawer,link={path}")))
            .stdin(Stdio::null());
        let socat = Process::start("socat", &mut command, &place.path("socat.log"));
        until("socat's terminals", || {
            (Path::new(&ours).exists() && Path::new(&theirs).exists()).then_some(())
        });
        Self {
            _socat: socat,
            ours,
            theirs,
        }
    }

    /// pymodbus with these meters at the other end.
    pub(crate) fn with(&self, place: &Place, units: &[(u8, &str)], spoilt: &[&str]) -> Peer {
        let units = named(units);
        let units = units.iter().map(String::as_str);
        // argparse wants what is many before what is named.
        let mut args = vec!["rtu"];
        args.extend(units.chain(["--device", &self.theirs]));
        args.extend(spoilt);
        let mut peer = Peer::start(place, LINE, &args);
        peer.next_with("/device");
        peer
    }
}

/// What mbpoll reads: the f32 at input `address` of unit 1, high word first.
pub(crate) fn mbpoll(mode: &[&str], at: &str, address: u16) -> String {
    let register = (address + 1).to_string();
    let output = Command::new("mbpoll")
        .args(["-a", "1", "-t", "3:float", "-B", "-r", &register, "-1"])
        .args(mode)
        .arg(at)
        .output()
        .expect("mbpoll is missing: apt-get install mbpoll");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = said
        .lines()
        .find(|line| line.starts_with(&format!("[{register}]:")));
    let value = value.and_then(|line| line.split_whitespace().last());
    value.unwrap_or_else(|| panic!("mbpoll: {said}")).to_owned()
}
