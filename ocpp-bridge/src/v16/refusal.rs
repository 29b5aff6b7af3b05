//! Why a call is refused, and the one place that turns this into a CALLERROR.

use protocol::rpc::{CallError, CallErrorCode};

use super::schema::{SchemaError, Violation};

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer's mistake: the payload is not as the standard says.
    #[error("{0}")]
    Schema(#[from] SchemaError),
    /// No such action in OCPP 1.6.
    #[error("{action} is not an action of OCPP 1.6")]
    UnknownAction {
        /// As the peer wrote it.
        action: String,
    },
    /// An action of OCPP 1.6 that is not carried out here.
    #[error("{action} is not supported here")]
    NotSupported {
        /// As the peer wrote it.
        action: String,
    },
    /// Our own trouble; the same call may succeed later.
    #[error("cannot carry this out now: {why}")]
    Unavailable {
        /// For people.
        why: String,
    },
    /// The host refuses what the call asks for; asking again does not help.
    #[error("{why}")]
    Rejected {
        /// For people.
        why: String,
    },
}

impl Refusal {
    /// The code that the peer gets.
    ///
    /// # Source
    /// OCPP-J 1.6, table 7.
    #[must_use]
    pub fn code(&self) -> CallErrorCode {
        match self {
            Self::Schema(error) => match error.violation {
                Violation::NotAnObject => CallErrorCode::FormationViolation,
                Violation::Missing | Violation::TooFew { .. } => {
                    CallErrorCode::OccurenceConstraintViolation
                }
                Violation::WrongType { .. } | Violation::NotATime => {
                    CallErrorCode::TypeConstraintViolation
                }
                Violation::TooLong { .. } | Violation::NotAllowed | Violation::OutOfRange => {
                    CallErrorCode::PropertyConstraintViolation
                }
            },
            Self::UnknownAction { .. } => CallErrorCode::NotImplemented,
            Self::NotSupported { .. } => CallErrorCode::NotSupported,
            Self::Unavailable { .. } => CallErrorCode::InternalError,
            Self::Rejected { .. } => CallErrorCode::GenericError,
        }
    }

    /// The CALLERROR that the peer gets.
    #[must_use]
    pub fn to_call_error(&self) -> CallError {
        CallError::new(self.code(), &self.to_string())
    }
}
