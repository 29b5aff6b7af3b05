//! The identity in the path of a WebSocket handshake.

use protocol::link::identity;

use super::{Corpus, texts};

const PREFIX: &str = "/ocpp/";

pub(super) fn check(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(found) = identity(path, PREFIX) {
        let encoded = found.bytes().map(|byte| format!("%{byte:02X}"));
        let path = format!("{PREFIX}{}", encoded.collect::<String>());
        assert_eq!(identity(&path, PREFIX), Some(found), "encoded again");
    }
}

pub(super) fn corpus() -> Corpus {
    texts(["/ocpp/CP-1", "/ocpp/CP%201%2F%C3%A4", "/ocpp/%", "/other"])
}
