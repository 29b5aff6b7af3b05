//! The `charge-gateway` program.

use std::process::ExitCode;
use std::sync::Arc;

use ledger::store::NoWatch;

fn main() -> ExitCode {
    gateway::main(std::env::args_os(), Arc::new(NoWatch))
}
