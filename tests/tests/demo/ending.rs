//! Whatever ends the demo, no process and no file of it is left.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::{Place, Process, until};

use crate::{PROGRAM, demo, temporary};

/// Starts the demo, waits until all of its processes run, and gives it.
fn in_the_middle(place: &Place) -> Process {
    let mut command = demo(place, &["--json"]);
    command.stdin(Stdio::piped());
    let mut process = Process::start("demo", &mut command, &place.path("demo.log"));
    loop {
        let line = process.line().expect("it tells its story");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        // The last of the gateways has joined.
        if event["name"] == "the-parent-vouches" {
            return process;
        }
    }
}

fn signal(process: &Process, signal: Signal) {
    let id = i32::try_from(process.id()).expect("process ids are positive");
    kill(Pid::from_raw(id), signal).expect("it runs");
}

/// The processes that hold the directory in their command line or environment. All of the demo's
/// do: it is their temporary directory.
fn processes_of(directory: &Path) -> Vec<u32> {
    let directory = directory.to_str().expect("a plain path").as_bytes();
    let holds = |file: &str| {
        let read = std::fs::read(file).unwrap_or_default();
        read.windows(directory.len()).any(|part| part == directory)
    };
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        holds(&format!("/proc/{id}/cmdline")) || holds(&format!("/proc/{id}/environ"))
    })
    .collect()
}

fn files_in(directory: &Path) -> usize {
    std::fs::read_dir(directory).expect("it is there").count()
}

#[track_caller]
fn nothing_is_left(place: &Place) {
    let directory = temporary(place);
    until("the end of all its processes", || {
        processes_of(&directory).is_empty().then_some(())
    });
    until("the end of all its files", || {
        (files_in(&directory) == 0).then_some(())
    });
}

#[test]
fn after_a_kill_no_process_and_no_file_is_left() {
    let place = Place::new(PROGRAM);
    let mut process = in_the_middle(&place);
    let directory = temporary(&place);
    // The demo, its janitor, a provider, three gateways and the first attacker.
    assert_eq!(processes_of(&directory).len(), 7);
    assert_eq!(files_in(&directory), 1);
    process.kill();
    nothing_is_left(&place);
}

#[test]
fn ctrl_c_ends_all_of_it_and_is_no_success() {
    let place = Place::new(PROGRAM);
    let mut process = in_the_middle(&place);
    signal(&process, Signal::SIGINT);
    let status = process.wait();
    assert_eq!(status.code(), Some(130));
    nothing_is_left(&place);
}

#[test]
fn what_is_kept_runs_until_ctrl_c() {
    let place = Place::new(PROGRAM);
    let mut command = demo(&place, &["--fast", "--json", "--keep"]);
    let mut process = Process::start("demo", &mut command, &place.path("demo.log"));
    let mut addresses = BTreeMap::new();
    while !addresses.contains_key("to end it all") {
        let line = process.line().expect("it goes on");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == "address" {
            let text = |key: &str| event[key].as_str().expect("text").to_owned();
            addresses.insert(text("name"), text("address"));
        }
    }
    let state = &addresses["state"];
    assert!(Path::new(state).join("provider.toml").exists());
    for address in [&addresses["A's meter"], &addresses["C's meter"]] {
        TcpStream::connect(address).expect("the meter listens");
    }
    signal(&process, Signal::SIGINT);
    assert_eq!(
        process.wait().code(),
        Some(0),
        "all that was shown was true"
    );
    nothing_is_left(&place);
}

#[test]
fn a_terminal_that_closes_ends_all_of_it() {
    let place = Place::new(PROGRAM);
    let mut process = in_the_middle(&place);
    signal(&process, Signal::SIGHUP);
    let status = process.wait();
    assert!(!status.success() && status.signal().is_none(), "{status}");
    nothing_is_left(&place);
}
