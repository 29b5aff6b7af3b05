//! The OCPP-J frame: a call, its result or its error, as one JSON array in one text message.
//!
//! Both worlds use it: OCPP 1.6J and the billing protocol. Payloads stay raw JSON, so what only
//! passes through leaves byte for byte as it came.
//!
//! ```
//! use protocol::rpc::{Frame, Limits};
//!
//! let text = r#"[2,"19223201","Heartbeat",{}]"#;
//! let frame = Frame::parse(text, &Limits::default()).expect("a well-formed call");
//! assert_eq!(frame.to_string(), text);
//!
//! let garbage = Frame::parse("hello", &Limits::default()).expect_err("no JSON array");
//! let answer = garbage.answer().expect("garbage is answered");
//! assert!(answer.to_string().starts_with(r#"[4,"-1","FormationViolation""#));
//! ```
//!
//! # Source
//! OCPP-J 1.6, section 4 (RPC framework).

mod call_error;
mod malformed;

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

pub use call_error::{CallError, CallErrorCode};
pub use malformed::{Malformed, Reason};

/// A payload as it stands on the wire: checked to be JSON, not interpreted.
pub type Json = Box<RawValue>;

/// The longest message id, in characters (a UUID fits).
pub const MESSAGE_ID_MAX_CHARS: usize = 36;

/// The longest action name, in characters.
pub const ACTION_MAX_CHARS: usize = 64;

/// The payload without content, `{}`.
#[must_use]
pub fn empty() -> Json {
    RawValue::from_string("{}".to_owned()).expect("{} is JSON")
}

/// How much of a peer's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text of a frame, in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of arrays and objects, the frame's own array included.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024,
            max_depth: 16,
        }
    }
}

/// Names a call, so that its answer finds it: 1 to 36 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The id that a CALLERROR carries where the call's own could not be read.
    #[must_use]
    pub fn unreadable() -> Self {
        Self("-1".to_owned())
    }

    /// Takes `text` as an id, or `None` where it is empty or longer than 36 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let chars = text.chars().take(MESSAGE_ID_MAX_CHARS + 1).count();
        (1..=MESSAGE_ID_MAX_CHARS)
            .contains(&chars)
            .then(|| Self(text.to_owned()))
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for MessageId {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One RPC message.
#[derive(Clone, Debug)]
pub enum Frame {
    /// `[2, id, action, payload]`
    Call {
        /// Chosen by the caller.
        id: MessageId,
        /// What is asked for.
        action: String,
        /// A JSON object.
        payload: Json,
    },
    /// `[3, id, payload]`
    CallResult {
        /// The call's id.
        id: MessageId,
        /// A JSON object.
        payload: Json,
    },
    /// `[4, id, code, description, details]`
    CallError {
        /// The call's id.
        id: MessageId,
        /// What went wrong.
        error: CallError,
    },
}

impl Frame {
    /// Reads one frame and nothing else.
    ///
    /// A `null` payload is read as `{}`: OCPP-J allows both for "nothing".
    ///
    /// # Errors
    /// `Malformed`, which knows what the peer must be told.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, Malformed> {
        if text.len() > limits.max_bytes {
            return Err(Malformed::without_id(Reason::TooLong {
                bytes: text.len(),
                limit: limits.max_bytes,
            }));
        }
        let elements: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|_| Malformed::without_id(Reason::NotAnArray))?;
        let message_type = elements.first().map_or("", |element| element.get());
        match message_type {
            "2" => parse_call(&elements, text, limits),
            "3" => parse_result(&elements, text, limits),
            "4" => parse_error(&elements, text, limits),
            _ => Err(Malformed::without_id(Reason::UnknownMessageType)),
        }
    }

    /// The id of the call this frame is, or answers.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        match self {
            Self::Call { id, .. } | Self::CallResult { id, .. } | Self::CallError { id, .. } => id,
        }
    }
}

fn parse_call(elements: &[&RawValue], text: &str, limits: &Limits) -> Result<Frame, Malformed> {
    let id = read_id(elements).ok_or_else(|| Malformed::without_id(Reason::BadMessageId))?;
    let refuse = |reason| Malformed::call(id.clone(), reason);
    let &[_, _, action, payload] = elements else {
        return Err(refuse(Reason::WrongLength {
            found: elements.len(),
            expected: 4,
        }));
    };
    check_depth(text, limits).map_err(refuse)?;
    let action = read_string(action)
        .filter(|name| (1..=ACTION_MAX_CHARS).contains(&name.chars().count()))
        .ok_or_else(|| refuse(Reason::BadAction))?;
    let payload = read_payload(payload).ok_or_else(|| refuse(Reason::PayloadNotAnObject))?;
    Ok(Frame::Call {
        id,
        action,
        payload,
    })
}

fn parse_result(elements: &[&RawValue], text: &str, limits: &Limits) -> Result<Frame, Malformed> {
    let id = read_id(elements).ok_or_else(|| Malformed::answer_frame(Reason::BadMessageId))?;
    let &[_, _, payload] = elements else {
        return Err(Malformed::answer_frame(Reason::WrongLength {
            found: elements.len(),
            expected: 3,
        }));
    };
    check_depth(text, limits).map_err(Malformed::answer_frame)?;
    let payload =
        read_payload(payload).ok_or_else(|| Malformed::answer_frame(Reason::PayloadNotAnObject))?;
    Ok(Frame::CallResult { id, payload })
}

fn parse_error(elements: &[&RawValue], text: &str, limits: &Limits) -> Result<Frame, Malformed> {
    let id = read_id(elements).ok_or_else(|| Malformed::answer_frame(Reason::BadMessageId))?;
    check_depth(text, limits).map_err(Malformed::answer_frame)?;
    let (code, description, details) = match *elements {
        [_, _, code, description, details] => (code, description, details.to_owned()),
        // Some charge points leave the details out; a lost error would cost a whole timeout.
        [_, _, code, description] => (code, description, empty()),
        _ => {
            return Err(Malformed::answer_frame(Reason::WrongLength {
                found: elements.len(),
                expected: 5,
            }));
        }
    };
    let (Some(code), Some(description)) = (read_string(code), read_string(description)) else {
        return Err(Malformed::answer_frame(Reason::BadErrorCode));
    };
    let error = CallError::new(CallErrorCode::from_name(&code), &description).with_details(details);
    Ok(Frame::CallError { id, error })
}

fn read_id(elements: &[&RawValue]) -> Option<MessageId> {
    MessageId::parse(&read_string(elements.get(1)?)?)
}

fn read_string(element: &RawValue) -> Option<String> {
    serde_json::from_str(element.get()).ok()
}

fn read_payload(element: &RawValue) -> Option<Json> {
    match element.get() {
        "null" => Some(empty()),
        text if text.starts_with('{') => Some(element.to_owned()),
        _ => None,
    }
}

/// Counts brackets outside strings; `text` is known to be JSON.
fn check_depth(text: &str, limits: &Limits) -> Result<(), Reason> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits.max_depth {
            return Err(Reason::TooDeep {
                limit: limits.max_depth,
            });
        }
    }
    Ok(())
}

impl fmt::Display for Frame {
    /// The frame's text on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call {
                id,
                action,
                payload,
            } => write!(f, "[2,{},{},{payload}]", quoted(&id.0), quoted(action)),
            Self::CallResult { id, payload } => write!(f, "[3,{},{payload}]", quoted(&id.0)),
            Self::CallError { id, error } => write!(
                f,
                "[4,{},{},{},{}]",
                quoted(&id.0),
                quoted(error.code.name()),
                quoted(&error.description),
                error.details
            ),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// Writes a message type of ours as a payload.
///
/// # Panics
/// Where `payload` refuses to serialise, which no struct of plain fields does.
#[must_use]
pub fn to_json<T: Serialize>(payload: &T) -> Json {
    serde_json::value::to_raw_value(payload).expect("a struct of plain fields is always JSON")
}

#[cfg(test)]
mod tests;
