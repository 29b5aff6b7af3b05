//! Why a request has no answer, before a meter's name is put to it.

use std::io;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The line could not be opened.
    Unreachable(io::Error),
    /// The line ended.
    Lost(io::Error),
    /// The line was opened anew since; nothing was sent.
    Reopened,
    /// No answer in time.
    Silent { waited: Duration },
    /// The unit, or a gateway for it, refused.
    Exception(u8),
    /// An answer, but to somebody else's request.
    Foreign(String),
    /// An answer with another number of registers.
    WrongLength { received: usize },
    /// Bytes that are no Modbus.
    Garbled(String),
    /// Too many requests wait for the unit already.
    Busy,
}

impl Fault {
    /// Whether the answer may still come.
    pub(super) fn leaves_an_answer_owed(&self) -> bool {
        match self {
            Self::Lost(_)
            | Self::Silent { .. }
            | Self::Foreign(_)
            | Self::WrongLength { .. }
            | Self::Garbled(_) => true,
            // What a gateway says of a unit that it stopped waiting for.
            Self::Exception(code) => *code == GATEWAY_TARGET_FAILED,
            Self::Unreachable(_) | Self::Reopened | Self::Busy => false,
        }
    }
}

/// "Gateway target device failed to respond".
///
/// # Source
/// MODBUS Application Protocol V1.1b3, section 7.
pub(crate) const GATEWAY_TARGET_FAILED: u8 = 11;

/// The same error once more, for everybody who waited for the same line.
pub(super) fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
