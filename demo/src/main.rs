//! `cargo demo`: a provider and two gateways as processes of their own on loopback, a meter on
//! Modbus TCP, a charger on OCPP 1.6J; one charge, its bill, and a receipt checked offline.
//!
//! This one program is all of them: it starts itself again as `provider` and as `gateway`.

mod attack;
mod charger;
mod children;
mod show;

use std::process::ExitCode;
use std::sync::Arc;

use ledger::store::NoWatch;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let role = args.next();
    let rest = std::iter::once(program).chain(args);
    match role.as_ref().and_then(|role| role.to_str()) {
        Some("provider") => provider::main(rest, Arc::new(NoWatch)),
        Some("gateway") => gateway::main(rest, Arc::new(NoWatch)),
        Some(role) if attack::ROLES.contains(&role) => attack::main(role, rest.skip(1)),
        Some(other) => {
            eprintln!("cargo demo: it takes no arguments, not {other:?}");
            ExitCode::from(2)
        }
        None => watch_the_show(),
    }
}

fn watch_the_show() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let shown = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(show::until_interrupted()));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
