//! What reading meters costs: beside libmodbus, which asks for the same registers, and by how many
//! there are.
//!
//! `cargo xtask bench [NAME]` runs them.

mod driver;
mod gateway;
mod libmodbus;
mod requests;

use bench_report::Bench;

const BENCHES: [Bench; 3] = [
    Bench::new("meter requests", requests::run),
    Bench::new("meter driver", driver::run),
    Bench::new("meters at a gateway", gateway::run),
];

fn main() {
    if driver::client_of(std::env::args()).is_none() {
        bench_report::main(&BENCHES);
    }
}
