//! `charge-provider`: see the library.

use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    provider::main(std::env::args_os(), Arc::new(ledger::store::NoWatch))
}
