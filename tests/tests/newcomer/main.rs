//! What somebody reads who does it for the first time: each mistake is answered in one line that
//! says what happened, to what, and what to do.

mod fakes;
mod running;
mod startup;

use tests::config::{self, Gateway};
use tests::{Place, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");

fn running_provider(place: &Place) -> Server {
    let mut provider = Server::provider(place, &config::provider());
    provider.start();
    provider
}

/// A gateway at `links`, with nothing to measure.
fn gateway(place: &Place, name: &str, links: &str, token: &str) -> Server {
    let config = Gateway::new(links, token).group(name, &["HOME-CAR"]);
    Server::gateway(place, name, config.text())
}

/// A gateway that nobody has to answer.
fn lonely_gateway(place: &Place) -> Server {
    gateway(place, "household", "127.0.0.1:1", "none")
}

fn token(provider: &Server, group: &str) -> String {
    let printed = provider.command(&["token", "create", "--group", group]);
    printed.trim().to_owned()
}
