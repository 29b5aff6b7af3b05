//! What a CALLERROR says.

use std::fmt;

use serde_json::value::RawValue;

use super::{Json, empty};

/// The longest description, in characters; longer ones are cut.
const DESCRIPTION_MAX_CHARS: usize = 255;

/// Why a call was refused.
///
/// # Source
/// OCPP-J 1.6, table 7 (error codes), spelled as there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallErrorCode {
    /// The action is not known.
    NotImplemented,
    /// The action is known, but not supported here.
    NotSupported,
    /// The receiver failed; the same call may succeed later.
    InternalError,
    /// The payload is incomplete.
    ProtocolError,
    /// A security issue stopped the call.
    SecurityError,
    /// The payload does not have the action's structure.
    FormationViolation,
    /// A field has a value that it must not have.
    PropertyConstraintViolation,
    /// A field occurs too seldom or too often.
    OccurenceConstraintViolation,
    /// A field has a value of the wrong type.
    TypeConstraintViolation,
    /// Anything else.
    GenericError,
    /// A code that this version does not name, kept so that it can be passed on.
    Other(String),
}

impl CallErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::InternalError => "InternalError",
            Self::ProtocolError => "ProtocolError",
            Self::SecurityError => "SecurityError",
            Self::FormationViolation => "FormationViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::OccurenceConstraintViolation => "OccurenceConstraintViolation",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
            Self::GenericError => "GenericError",
            Self::Other(name) => name,
        }
    }

    /// The code with this name; every name is one.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        const NAMED: [CallErrorCode; 10] = [
            CallErrorCode::NotImplemented,
            CallErrorCode::NotSupported,
            CallErrorCode::InternalError,
            CallErrorCode::ProtocolError,
            CallErrorCode::SecurityError,
            CallErrorCode::FormationViolation,
            CallErrorCode::PropertyConstraintViolation,
            CallErrorCode::OccurenceConstraintViolation,
            CallErrorCode::TypeConstraintViolation,
            CallErrorCode::GenericError,
        ];
        NAMED
            .into_iter()
            .find(|code| code.name() == name)
            .unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

/// A refusal: code, one line for people, details for programs.
#[derive(Clone, Debug)]
pub struct CallError {
    /// Why.
    pub code: CallErrorCode,
    /// One line for people, at most 255 characters, possibly empty.
    pub description: String,
    /// Details, `{}` where there are none.
    pub details: Json,
}

impl CallError {
    /// A refusal without details; a description over 255 characters is cut there.
    #[must_use]
    pub fn new(code: CallErrorCode, description: &str) -> Self {
        Self {
            code,
            description: description.chars().take(DESCRIPTION_MAX_CHARS).collect(),
            details: empty(),
        }
    }

    /// The same refusal with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Box<RawValue>) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.description)
    }
}

impl std::error::Error for CallError {}
