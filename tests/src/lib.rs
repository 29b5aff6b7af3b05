//! The harness of the end-to-end tests: real processes on loopback, in temporary directories.
//!
//! A [`Place`] is one test's corner of the machine. In it run [`Server`]s, which are gateways and
//! providers as processes of their own (`crashpoint`, see its file), [`Peer`]s, which are other
//! people's OCPP and Modbus stacks under Python, and [`Charger`]s, OCPP charge points that repeat
//! what was not answered. Whatever a test started ends with it, and its log is shown if it failed.
//!
//! What it leaves out: rules and expectations. Those are in the tests.

mod charger;
pub mod config;
mod http;
mod money;
mod peer;
mod place;
mod process;
mod server;
pub mod vectors;
mod wait;

pub use charger::{Charger, seconds_ago};
pub use money::{amount, credit};
pub use peer::Peer;
pub use place::Place;
pub use process::Process;
pub use server::Server;
pub use wait::{is_true_within, until};
