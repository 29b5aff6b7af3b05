//! What the demo shows is true, and nothing of it is left behind.
//!
//! `story` runs it once, with `--fast --json`, and rebuilds the chain from the blocks it printed;
//! `claims` and `attacks` check every claim against that chain; `ending` kills it; `surroundings`
//! runs it as somebody who has no terminal, no rights and no free default port.

mod attacks;
mod claims;
mod ending;
mod story;
mod surroundings;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::Place;

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");

/// The demo, which keeps its temporary state in a directory of `place`.
fn demo(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(place.sibling("demo"));
    command
        .args(args)
        .env("TMPDIR", temporary(place))
        .env_remove("CHARGE_LOG")
        .stdin(Stdio::null());
    command
}

/// Where the demo of `place` may leave nothing.
fn temporary(place: &Place) -> PathBuf {
    let path = place.path("temporary");
    std::fs::create_dir_all(&path).expect("the place is writable");
    path
}
