//! Signed meter values: carried as the charger sent them, read by somebody else.

use protocol::UnixMillis;
use serde::{Deserialize, Serialize};

/// A signed value of a charge, its bytes unchanged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedMeterValue {
    /// The time of the meter value that it came in. The signed time is in the signed data.
    pub at: UnixMillis,
    /// When in the charge it was taken, as the charger says.
    pub context: SignedContext,
    /// What came.
    pub data: SignedData,
}

/// When in a charge a signed value was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedContext {
    /// At its begin.
    Begin,
    /// At its end.
    End,
    /// While it went on, or the charger does not say.
    Other,
}

/// Signed data in the shape that the OCPP version has for it. No OCPP version says what is in
/// them: that is the meter's format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedData {
    /// One text, as OCPP 1.6 has it.
    Text(String),
    /// The fields of OCPP 2.x.
    Fields {
        /// `signedMeterData`.
        data: String,
        /// `signingMethod`; empty where it is not told.
        signing_method: String,
        /// `encodingMethod`; empty where it is not told.
        encoding_method: String,
        /// `publicKey`; empty where it is not sent.
        public_key: String,
    },
}

impl SignedData {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Fields {
                data,
                signing_method,
                encoding_method,
                public_key,
            } => data.len() + signing_method.len() + encoding_method.len() + public_key.len(),
        }
    }

    /// True where there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// It names who charged: not for logs.
impl std::fmt::Debug for SignedData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedData({} bytes)", self.len())
    }
}

impl std::fmt::Debug for SignedMeterValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedMeterValue")
            .field("at", &self.at)
            .field("context", &self.context)
            .field("data", &self.data)
            .finish()
    }
}
