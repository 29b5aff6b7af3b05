//! A text that is no frame, and what its sender is told.

use super::{CallError, CallErrorCode, Frame, MessageId};

/// What is wrong with a text that should be a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Over the size limit.
    #[error("the frame has {bytes} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Nested too deeply.
    #[error("the frame nests deeper than {limit} levels")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// Not JSON, or no JSON array.
    #[error("a frame is a JSON array")]
    NotAnArray,
    /// The first element is not 2, 3 or 4.
    #[error("a frame starts with message type 2, 3 or 4")]
    UnknownMessageType,
    /// The second element is no string of 1 to 36 characters.
    #[error("a message id is a string of 1 to 36 characters")]
    BadMessageId,
    /// Elements are missing or left over.
    #[error("the frame has {found} elements instead of {expected}")]
    WrongLength {
        /// Elements found.
        found: usize,
        /// Elements that this message type has.
        expected: usize,
    },
    /// The action is no string of 1 to 64 characters.
    #[error("an action is a string of 1 to 64 characters")]
    BadAction,
    /// The payload is neither an object nor null.
    #[error("a payload is a JSON object")]
    PayloadNotAnObject,
    /// Code or description of a CALLERROR is no string.
    #[error("error code and description are strings")]
    BadErrorCode,
}

/// A text that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// The call's id, where it could be read.
    pub id: Option<MessageId>,
    /// What is wrong.
    pub reason: Reason,
    is_answer: bool,
}

impl Malformed {
    pub(super) fn without_id(reason: Reason) -> Self {
        Self {
            id: None,
            reason,
            is_answer: false,
        }
    }

    pub(super) fn call(id: MessageId, reason: Reason) -> Self {
        Self {
            id: Some(id),
            reason,
            is_answer: false,
        }
    }

    pub(super) fn answer_frame(reason: Reason) -> Self {
        Self {
            id: None,
            reason,
            is_answer: true,
        }
    }

    /// The CALLERROR that the sender gets.
    ///
    /// `None` for broken answers, because two peers would complain about each other's complaints
    /// for ever, and for message types that this version does not know, which the standard says to
    /// ignore. Where the id is unreadable the CALLERROR carries `-1`: 1.6 names no id for that, and
    /// 2.0.1 settled on this one.
    ///
    /// # Source
    /// OCPP-J 1.6, section 4.1.3 (unknown message types); OCPP-J 2.0.1, section 4.2.3 (id `-1`).
    #[must_use]
    pub fn answer(&self) -> Option<Frame> {
        if self.is_answer {
            return None;
        }
        let code = match self.reason {
            Reason::UnknownMessageType => return None,
            Reason::TooLong { .. } | Reason::TooDeep { .. } => CallErrorCode::GenericError,
            Reason::NotAnArray
            | Reason::BadMessageId
            | Reason::WrongLength { .. }
            | Reason::BadAction
            | Reason::PayloadNotAnObject
            | Reason::BadErrorCode => CallErrorCode::FormationViolation,
        };
        Some(Frame::CallError {
            id: self.id.clone().unwrap_or_else(MessageId::unreadable),
            error: CallError::new(code, &self.reason.to_string()),
        })
    }
}
