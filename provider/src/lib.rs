//! The service provider's shell: sockets, disk, clock, configuration and command line around
//! [`ledger::Provider`], which holds the rules.
//!
//! One thread, the engine, owns the rules and what they store. Around it:
//!
//! - `links` takes nodes in and reads what they send; `handshake` proves who they are;
//! - `fanout` carries the engine's decisions to the links;
//! - `store` opens the state directory's database;
//! - `operator` serves the operator API, `client` calls it for the command line;
//! - `bill` adds a group's bill up and writes it as a table;
//! - `evidence` lists who is convicted of what.
//!
//! What it leaves out: TLS (put a proxy in front), tariffs other than flat ones, an operator's
//! console.
//!
//! Types to meet first: [`Config`], [`main`], the whole program as a function. It is a library so
//! that a demo or a crash test can run it inside its own process:
//!
//! ```
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! let code = provider::main(["charge-provider", "--version"].map(Into::into), Arc::new(ledger::store::NoWatch));
//! assert_eq!(code, ExitCode::SUCCESS);
//! ```

mod api;
mod bill;
mod cli;
mod client;
pub mod config;
mod error;
mod evidence;
mod fanout;
mod handshake;
mod links;
mod operator;
mod run;
mod state_dir;
mod store;

pub use cli::main;
pub use config::{Config, ConfigError};
