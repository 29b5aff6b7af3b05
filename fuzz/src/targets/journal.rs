//! The journal of messages that the central system has not confirmed, as it is read after a restart.
//!
//! An input is its entries, one a line. The central system then takes all of them.

use std::sync::LazyLock;

use ocpp_bridge::v16::charge_point::{Journal, JournalError, MemoryJournal, RunError};
use tokio::runtime::Runtime;

use super::charge_point::{BOOT, converse};
use super::{Corpus, runtime, texts};

/// Boot, the status of both connectors, then an answer that suits StartTransaction and one that suits
/// the others, in turn.
const ANSWERS: [&str; 7] = [BOOT, "{}", "{}", STARTED, "{}", STARTED, "{}"];
const STARTED: &str = r#"{"idTagInfo":{"status":"Accepted"},"transactionId":42}"#;

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = run(text) {
        let is_refused = matches!(error, RunError::Journal(JournalError::Unreadable { .. }));
        assert!(is_refused, "{error}");
    }
}

fn run(text: &str) -> Result<(), RunError> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    RUNTIME.block_on(async {
        let mut journal = MemoryJournal::default();
        for line in text.lines() {
            journal.append(line.to_owned()).await?;
        }
        converse(journal, ANSWERS.into_iter()).await.map(|_| ())
    })
}

const WHOLE: &str = r#"{"Start":{"charge":7,"connector":1,"id_tag":"FLEET-1","at":1800000000000,"register":10000}}
{"Meter":{"charge":7,"connector":1,"observation":{"at":1800000060000,"register":10100,"power":11000}}}
{"Stop":{"charge":7,"id_tag":null,"at":1800000900000,"register":12000,"reason":"EvDisconnected","detail":[]}}"#;

const STARTED_BEFORE: &str = r#"{"Known":{"charge":7,"connector":1,"transaction_id":42}}
{"Stop":{"charge":7,"id_tag":"FLEET-1","at":1800000900000,"register":12000,"reason":"Local","detail":[{"at":1800000060000,"register":null,"power":null}]}}"#;

pub(super) fn corpus() -> Corpus {
    texts([WHOLE, STARTED_BEFORE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_read() {
        for text in [WHOLE, STARTED_BEFORE] {
            run(text).expect("entries as they are written");
        }
    }
}
