//! What comes in over a link.

use tokio::sync::mpsc;

use crate::rpc::{CallError, CallErrorCode, Frame, Json, MessageId};

/// Something the peer did.
#[derive(Debug)]
pub enum Event {
    /// It calls; answer through the responder. Boxed, so that an idle link's queue stays small.
    Call(Box<IncomingCall>),
    /// It sent a binary message (only with [`BinaryFrames::Deliver`](super::BinaryFrames)).
    Binary(Vec<u8>),
    /// The link has ended; nothing follows.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// A call of the peer.
#[derive(Debug)]
pub struct IncomingCall {
    /// What is asked for.
    pub action: String,
    /// A JSON object, as it came.
    pub payload: Json,
    /// Answers the call.
    pub responder: Responder,
}

/// Answers one call; dropped unused, it answers `InternalError`.
#[derive(Debug)]
pub struct Responder {
    id: MessageId,
    // Room for the answer is reserved before the call is delivered, so answering never waits.
    place: Option<mpsc::OwnedPermit<Box<Frame>>>,
}

impl Responder {
    pub(super) fn new(id: MessageId, place: mpsc::OwnedPermit<Box<Frame>>) -> Self {
        Self {
            id,
            place: Some(place),
        }
    }

    /// Sends the answer; without effect where the link is gone.
    pub fn answer(mut self, answer: Result<Json, CallError>) {
        self.send(answer);
    }

    /// Leaves the call unanswered, where a standard demands that.
    pub fn ignore(mut self) {
        self.place = None;
    }

    fn send(&mut self, answer: Result<Json, CallError>) {
        let Some(place) = self.place.take() else {
            return;
        };
        let id = self.id.clone();
        place.send(Box::new(match answer {
            Ok(payload) => Frame::CallResult { id, payload },
            Err(error) => Frame::CallError { id, error },
        }));
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.send(Err(CallError::new(
            CallErrorCode::InternalError,
            "the call was dropped without an answer",
        )));
    }
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    ByUs,
    /// The peer closed it in good order.
    ByPeer {
        /// The WebSocket close code, where it gave one.
        code: Option<u16>,
        /// Its words.
        reason: String,
    },
    /// The connection broke, or the peer broke the WebSocket protocol.
    Broken {
        /// The transport's words.
        error: String,
    },
    /// Nothing came for two ping intervals.
    Silent,
    /// The peer left what we sent unread.
    Stalled,
    /// The peer sent a message over the size limit.
    TooLarge,
}
