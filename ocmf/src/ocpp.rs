//! Signed values as OCPP carries them: from their strings to the record's text and a key.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::error::{KeyError, shortened};
use crate::record::MAX_TEXT_BYTES;

/// The longest string that is read: a record in hex, and room for the object around it.
const MAX_VALUE_BYTES: usize = 2 * MAX_TEXT_BYTES + 8 * 1024;

/// Chargers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signed value taken out of what OCPP carries it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedValue {
    /// The record's text, byte for byte, for [`Record::parse`](crate::Record::parse).
    pub text: String,
    /// The key that the charger sent with it, for
    /// [`PublicKey::from_bytes`](crate::PublicKey::from_bytes).
    ///
    /// It comes by the same way as the record and proves nothing until somebody has compared it with
    /// what is printed on the meter.
    pub claimed_key: Option<Vec<u8>>,
}

/// Why a string of OCPP holds no record that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OcppValueError {
    /// Longer than any record in any encoding.
    #[error("signed value of {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// Another format than OCMF.
    #[error("signed value in {method:?}; supported: OCMF")]
    EncodingMethod {
        /// `encodingMethod`, shortened.
        method: String,
    },
    /// No record, however it is encoded.
    #[error(
        "signed value {found:?} is no OCMF; accepted: the record's text, it in hex or base64, or a SignedMeterValueType as JSON"
    )]
    NoRecord {
        /// What it begins with.
        found: String,
    },
    /// An object that is no `SignedMeterValueType`.
    #[error("signed value is no SignedMeterValueType: {problem}")]
    Object {
        /// What is wrong with it.
        problem: String,
    },
    /// `publicKey` is there and no key.
    #[error("publicKey of the signed value cannot be read")]
    Key(#[source] KeyError),
}

impl SignedValue {
    /// Takes the `value` of a `SampledValue` whose `format` is `SignedData`.
    ///
    /// It is the record's text, that in hex or base64, or a `SignedMeterValueType` of OCPP 2.x as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// # Source
    /// OCPP 1.6, section 7.45 (ValueFormat); Open Charge Alliance, "Signed Meter Values in OCPP",
    /// sections 3.2.1 and 3.2.2; has·to·be calls the first field `signedMeterValue`.
    pub fn from_ocpp16(value: &str) -> Result<Self, OcppValueError> {
        check_length(value)?;
        if !value.trim_start().starts_with('{') {
            return Ok(Self {
                text: record_text(value)?,
                claimed_key: None,
            });
        }
        let object: SignedMeterValue =
            serde_json::from_str(value).map_err(|error| OcppValueError::Object {
                problem: error.to_string(),
            })?;
        Self::from_ocpp2(
            &object.signed_meter_data,
            &object.encoding_method,
            &object.public_key,
        )
    }

    /// Takes the fields of a `SignedMeterValueType`.
    ///
    /// Its `signingMethod` is left out: the record's own `SA` says what it is signed with, and is what
    /// every verifier goes by. An empty `encoding_method` is not told, an empty `public_key` not sent.
    ///
    /// # Errors
    /// What is wrong with them.
    ///
    /// # Source
    /// OCPP 2.0.1, section 2.46 (SignedMeterValueType).
    pub fn from_ocpp2(
        signed_meter_data: &str,
        encoding_method: &str,
        public_key: &str,
    ) -> Result<Self, OcppValueError> {
        check_length(signed_meter_data)?;
        check_length(public_key)?;
        let method = encoding_method.trim();
        if !method.is_empty() && !method.eq_ignore_ascii_case("OCMF") {
            return Err(OcppValueError::EncodingMethod {
                method: shortened(method),
            });
        }
        Ok(Self {
            text: record_text(signed_meter_data)?,
            claimed_key: claimed_key(public_key).map_err(OcppValueError::Key)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedMeterValue {
    #[serde(alias = "signedMeterValue")]
    signed_meter_data: String,
    #[serde(default)]
    encoding_method: String,
    #[serde(default)]
    public_key: String,
}

fn check_length(value: &str) -> Result<(), OcppValueError> {
    match value.len() > MAX_VALUE_BYTES {
        false => Ok(()),
        true => Err(OcppValueError::TooLong {
            bytes: value.len(),
            limit: MAX_VALUE_BYTES,
        }),
    }
}

/// The record's text, out of whichever of its encodings gives one.
fn record_text(value: &str) -> Result<String, OcppValueError> {
    let value = value.trim();
    let is_record = |text: &str| text.trim_start().starts_with("OCMF|");
    if is_record(value) {
        return Ok(value.to_owned());
    }
    let decoded = [hex::decode(value).ok(), BASE64.decode(value).ok()];
    decoded
        .into_iter()
        .flatten()
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .find(|text| is_record(text))
        .ok_or_else(|| OcppValueError::NoRecord {
            found: shortened(value),
        })
}

/// The bytes of a `publicKey`.
///
/// By the application note it is base64 over `oca:base16:asn1:…`; the note's own example has base64
/// over hex, and chargers send hex or base64 of the key as well.
///
/// # Source
/// Open Charge Alliance, "Signed Meter Values in OCPP", sections 3.2.2, 5.2 and 5.3.
fn claimed_key(public_key: &str) -> Result<Option<Vec<u8>>, KeyError> {
    let text: String = public_key.split_whitespace().collect();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(composed) = text.strip_prefix("oca:") {
        return composed_key(composed).map(Some);
    }
    if let Ok(bytes) = hex::decode(&text) {
        return Ok(Some(bytes));
    }
    let bytes = BASE64.decode(&text).map_err(|_| KeyError::Encoding)?;
    let Ok(inner) = std::str::from_utf8(&bytes) else {
        return Ok(Some(bytes));
    };
    let inner = inner.trim();
    match inner.strip_prefix("oca:") {
        Some(composed) => composed_key(composed).map(Some),
        None => Ok(Some(hex::decode(inner).unwrap_or(bytes))),
    }
}

/// The key behind `oca:`: encoding, content type, and the key as it is printed on the meter.
fn composed_key(composed: &str) -> Result<Vec<u8>, KeyError> {
    let malformed = |problem| KeyError::Malformed { problem };
    let mut parts = composed.splitn(3, ':');
    let (Some(encoding), Some(content), Some(printed)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("oca: wants encoding, content type and key"));
    };
    if !content.eq_ignore_ascii_case("asn1") {
        return Err(malformed("its content type is not asn1"));
    }
    match encoding.to_ascii_lowercase().as_str() {
        "base16" => {
            // A label groups its digits as it likes; what is no digit does not count.
            let digits = printed.strip_prefix("0x").unwrap_or(printed);
            let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
            hex::decode(digits).map_err(|_| KeyError::Encoding)
        }
        "base64" => BASE64
            .decode(printed.trim())
            .map_err(|_| KeyError::Encoding),
        _ => Err(malformed("its encoding is neither base16 nor base64")),
    }
}
