//! The peer under test, as a case sees it.

use protocol::link::{Connection, Event, Link};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use serde_json::{Map, Value};

use crate::answer::Shape;
use crate::failure::Failure;

/// A central system that we are connected to as a charge point.
pub(crate) struct CentralSystem {
    link: Link,
}

impl CentralSystem {
    /// Takes over `connection`. What the central system asks for on its own is refused, so that it
    /// cannot disturb a case that does not ask for it.
    pub(crate) fn new(connection: Connection) -> Self {
        let mut events = connection.events;
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Call(call) = event {
                    let refusal = CallError::new(
                        CallErrorCode::NotSupported,
                        "a conformance run is in progress, and this case does not need the call",
                    );
                    call.responder.answer(Err(refusal));
                }
            }
        });
        Self {
            link: connection.link,
        }
    }

    /// Calls, and checks the answer against `shape`.
    pub(crate) async fn call(
        &self,
        action: &str,
        payload: &Value,
        shape: &Shape,
    ) -> Result<Map<String, Value>, Failure> {
        let answer = self.link.call(action, to_json(payload)).await;
        let answer = answer.map_err(|failure| shape.failure("an answer", &failure.to_string()))?;
        shape.check(answer.get())
    }

    pub(crate) async fn close(self) {
        self.link.close().await;
    }
}
