//! `cargo demo`: a provider and three gateways as processes of their own on loopback, meters on
//! Modbus TCP, an OCPP 1.6J charge point, and attackers. A fleet and a household are billed for
//! what was charged at somebody else's outlet; everything that is shown was seen and checked.
//!
//! This one program is all of them: it starts itself again in other roles, which come as its first
//! argument. `provider` and `gateway` are the shipped programs, whole.

mod args;
mod attack;
mod children;
mod claims;
mod http;
mod janitor;
mod scenes;
mod show;
mod stage;
mod view;
mod wire;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use ledger::store::NoWatch;

use crate::args::Arguments;

/// A role that ends with the process that started it.
const LEASHED: &str = "leashed";
const JANITOR: &str = "janitor";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let role = args.get(1).and_then(|role| role.to_str());
    match role {
        Some(LEASHED) => {
            children::end_with_parent();
            play(without_first(&args)).unwrap_or(ExitCode::from(2))
        }
        Some(JANITOR) => janitor::main(),
        _ => play(args.clone()).unwrap_or_else(|| show::run(Arguments::parse())),
    }
}

/// Plays the role that the first argument names, if it names one.
fn play(args: Vec<OsString>) -> Option<ExitCode> {
    let rest = without_first(&args);
    match args.get(1)?.to_str()? {
        "provider" => Some(provider::main(rest, Arc::new(NoWatch))),
        "gateway" => Some(gateway::main(rest, Arc::new(NoWatch))),
        role if attack::ROLES.contains(&role) => Some(attack::main(role, rest.into_iter().skip(1))),
        _ => None,
    }
}

/// The program's name and everything after its first argument.
fn without_first(args: &[OsString]) -> Vec<OsString> {
    let name = args.first().cloned();
    name.into_iter()
        .chain(args.iter().skip(2).cloned())
        .collect()
}
