//! Three attackers, each a role of this program and part of no shipped one: a parent that alters
//! its group's charges, a crowd of Sybil voters, a provider that alters what is submitted to it.
//!
//! Each tells on stdout what it does, one JSON object a line, and ends when its stdin does.

mod altering_parent;
mod arguments;
mod colluding_provider;
mod forgery;
mod link;
mod node;
#[cfg(test)]
mod scene;
mod stored_chain;
mod sybils;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use arguments::Arguments;
use protocol::UnixMillis;
use serde_json::Value;

/// The names of the attackers' roles.
pub(crate) const ROLES: [&str; 3] = ["altering-parent", "sybils", "colluding-provider"];

/// Runs one attacker until it fails or its stdin ends.
pub(crate) fn main(role: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    std::thread::spawn(end_with_stdin);
    match attack(role, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo demo {role}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn attack(role: &str, args: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let arguments = Arguments::parse(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match role {
            "altering-parent" => altering_parent::run(&arguments).await,
            "sybils" => sybils::run(&arguments).await,
            "colluding-provider" => colluding_provider::run(&arguments).await,
            _ => anyhow::bail!("it is none of {ROLES:?}"),
        }
    })
}

/// Whoever started the attacker holds its stdin, so that it cannot outlive the scene.
fn end_with_stdin() {
    // An unreadable stdin is as good as an ended one.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::process::exit(0);
}

/// Tells what the attacker did.
fn say(what: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading.
    let _ = writeln!(out, "{what}");
    let _ = out.flush();
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX))
}
