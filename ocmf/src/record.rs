//! A record: `OCMF|{payload}|{signature}`, kept as it was written.

use std::fmt;
use std::ops::Range;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::error::{ParseError, shortened};
use crate::json::{Object, depth};
use crate::payload::Payload;

/// The longest record that is read, in bytes. One with 96 quarter-hours has some 12,000.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// How deep its JSON may be nested. The format needs three levels.
pub const MAX_DEPTH: usize = 16;

const HEADER: &str = "OCMF|";

/// A record of signed meter data, byte for byte as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    text: String,
    payload_at: Range<usize>,
    /// Where the signature section ends, and with it what the format calls a record.
    ends_at: usize,
    payload: Payload,
    signature: Signature,
    appended_key: Option<String>,
}

/// The signature section as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `SA`: the algorithm's name; `None` is [`Algorithm::DEFAULT`](crate::Algorithm::DEFAULT).
    pub algorithm: Option<String>,
    /// `SE`: `hex` or `base64`; `None` is hex.
    pub encoding: Option<String>,
    /// `SM`: the type of the signature; `None` is `application/x-der`.
    pub mime_type: Option<String>,
    /// `SD`: the signature.
    pub data: String,
    /// Fields that the format does not have: keys and values as they are written.
    pub other: Vec<(String, String)>,
}

impl Record {
    /// Reads a record.
    ///
    /// White space around it is no part of it. Bars within the JSON's texts are texts, although the
    /// format forbids them: nothing keeps a tariff's name from having one. What follows a third bar
    /// is a key that somebody appended, see [`appended_key`](Self::appended_key).
    ///
    /// # Errors
    /// Names the field and what is accepted there.
    ///
    /// # Source
    /// OCMF 1.3.1, section "Sections".
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Err(ParseError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        let Some(after_header) = text.strip_prefix(HEADER) else {
            return Err(ParseError::Header {
                found: shortened(text),
            });
        };
        let (payload, rest) = section("payload", after_header)?;
        let Some(rest) = rest else {
            return Err(ParseError::Section {
                section: "signature",
                problem: "missing".to_owned(),
            });
        };
        let (signature, appended) = section("signature", rest)?;
        Ok(Self {
            payload_at: HEADER.len()..HEADER.len() + payload.len(),
            payload: Payload::read(payload)?,
            ends_at: HEADER.len() + payload.len() + 1 + signature.len(),
            signature: Signature::read(signature)?,
            appended_key: appended.map(|key| key.trim().to_owned()),
            text: text.to_owned(),
        })
    }

    /// The record as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The record as it was written, without a key that somebody appended.
    #[must_use]
    pub fn sections(&self) -> &str {
        self.text[..self.ends_at].trim_end()
    }

    /// The bytes that are signed: all between the first bar and the second.
    #[must_use]
    pub fn signed_bytes(&self) -> &[u8] {
        self.text[self.payload_at.clone()].as_bytes()
    }

    /// SHA-256 over the signed bytes: what tells one record from another.
    ///
    /// The whole text does not: the same payload has many valid signatures, because ECDSA accepts
    /// (r, s) and (r, n − s), and anybody can make the one from the other. Keep this hash to bill a
    /// record once.
    #[must_use]
    pub fn payload_hash(&self) -> [u8; 32] {
        Sha256::digest(self.signed_bytes()).into()
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What it was signed with.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The key that stands behind a third bar, as QR codes for the transparency software have it.
    ///
    /// It proves nothing: whoever alters a record can sign it with a key of his own and append that.
    #[must_use]
    pub fn appended_key(&self) -> Option<&str> {
        self.appended_key.as_deref()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text says it all, but names who charged: not for logs.
        f.debug_struct("Record")
            .field("pagination", &self.payload.pagination)
            .field("meter_serial", &self.payload.meter_serial)
            .finish_non_exhaustive()
    }
}

impl Signature {
    fn read(text: &str) -> Result<Self, ParseError> {
        let mut fields = Object::new(String::new(), text)?;
        let Some(data) = fields.take_text("SD")? else {
            return Err(ParseError::Missing {
                field: "SD".to_owned(),
                accepted: "the signature in hex or base64",
            });
        };
        Ok(Self {
            algorithm: fields.take_text("SA")?,
            encoding: fields.take_text("SE")?,
            mime_type: fields.take_text("SM")?,
            data,
            other: fields.rest(),
        })
    }
}

/// Splits a section off: all up to the bar behind its JSON object, and what follows that bar.
fn section<'a>(
    section: &'static str,
    text: &'a str,
) -> Result<(&'a str, Option<&'a str>), ParseError> {
    let malformed = |problem: String| ParseError::Section { section, problem };
    if !text.trim_start().starts_with('{') {
        return Err(malformed(format!(
            "not a JSON object: {:?}",
            shortened(text)
        )));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(_)) => {}
        Some(Err(error)) => return Err(malformed(error.to_string())),
        None => return Err(malformed("empty".to_owned())),
    }
    let (object, rest) = text.split_at(values.byte_offset());
    if depth(object) > MAX_DEPTH {
        return Err(ParseError::TooDeep {
            section,
            limit: MAX_DEPTH,
        });
    }
    match rest.trim_start().strip_prefix('|') {
        Some(following) => {
            let ends_at = text.len() - following.len() - '|'.len_utf8();
            Ok((&text[..ends_at], Some(following)))
        }
        None if rest.trim().is_empty() => Ok((text, None)),
        None => Err(malformed(format!(
            "followed by {:?} instead of a bar",
            shortened(rest.trim_start())
        ))),
    }
}
