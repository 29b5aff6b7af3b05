//! Questions about idTags, and who waits for their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::node::{Decision, Input, Node};
use ledger::store::Engine;
use protocol::IdTag;
use protocol::message::Status;
use tokio::sync::oneshot;

/// How long a person at an outlet waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Clones share the questions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authorizer {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Decision>>,
}

impl Authorizer {
    /// Asks the node; without an answer in time the idTag is refused.
    pub(crate) async fn decide(&self, engine: &Engine<Node>, id_tag: &IdTag) -> Decision {
        let refused = Decision::Refused(Status::Invalid);
        let (reply, answer) = oneshot::channel();
        let question = self.with(|open| {
            open.next += 1;
            open.waiting.insert(open.next, reply);
            open.next
        });
        let id_tag = id_tag.clone();
        if engine.input(Input::Presented { question, id_tag }).is_err() {
            return refused;
        }
        let decision = tokio::time::timeout(TIMEOUT, answer).await;
        self.with(|open| open.waiting.remove(&question));
        match decision {
            Ok(Ok(decision)) => decision,
            Ok(Err(_)) | Err(_) => refused,
        }
    }

    /// The node answered.
    pub(crate) fn decided(&self, question: u64, decision: Decision) {
        if let Some(reply) = self.with(|open| open.waiting.remove(&question)) {
            // Whoever asked may have given up waiting.
            let _ = reply.send(decision);
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Open) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
