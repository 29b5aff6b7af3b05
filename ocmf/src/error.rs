//! Why a text is no record, and why a record proves nothing.

use crate::algorithm::Curve;

/// Why a text cannot be read as OCMF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// More than [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
    #[error("record of {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// It does not begin with `OCMF|`.
    #[error("no OCMF record: it begins with {found:?} instead of \"OCMF|\"")]
    Header {
        /// What it begins with, shortened.
        found: String,
    },
    /// A section is missing, empty or followed by something that is no bar.
    #[error("{section} section: {problem}; a record is OCMF|{{payload}}|{{signature}}")]
    Section {
        /// `payload` or `signature`.
        section: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// JSON is nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("{section} section nested deeper than {limit} levels")]
    TooDeep {
        /// `payload` or `signature`.
        section: &'static str,
        /// The deepest that is read.
        limit: usize,
    },
    /// A field holds what it cannot hold.
    #[error("{field} is {found}; accepted: {accepted}")]
    Field {
        /// The field's key, with its place: `RD[1].TM`.
        field: String,
        /// What it holds, shortened.
        found: String,
        /// What would be read.
        accepted: &'static str,
    },
    /// A field that every record has is not there.
    #[error("{field} is missing; accepted: {accepted}")]
    Missing {
        /// The field's key, with its place.
        field: String,
        /// What would be read.
        accepted: &'static str,
    },
    /// Two fields of one object have the same key, so that two readers could read two records.
    #[error("{field} is there twice")]
    Twice {
        /// The field's key, with its place.
        field: String,
    },
    /// More elements than any meter signs at once.
    #[error("{field} has more than {limit} elements")]
    TooMany {
        /// The array's or object's key, with its place.
        field: String,
        /// The most that are read.
        limit: usize,
    },
}

/// Why a signature does not prove a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The algorithm is none that this crate computes. The record may be carried, not verified.
    #[error("signature algorithm {algorithm:?} not supported; supported: {supported}")]
    AlgorithmNotSupported {
        /// `SA` as it stands in the record, shortened.
        algorithm: String,
        /// The curves and hashes that are.
        supported: &'static str,
    },
    /// `SE` names an encoding that the format does not have.
    #[error("signature encoding {encoding:?} not supported; supported: hex, base64")]
    EncodingNotSupported {
        /// `SE` as it stands in the record, shortened.
        encoding: String,
    },
    /// `SM` names a type that the format does not have.
    #[error("signature type {mime_type:?} not supported; supported: application/x-der")]
    MimeTypeNotSupported {
        /// `SM` as it stands in the record, shortened.
        mime_type: String,
    },
    /// `SD` is not what `SE` and `SM` say.
    #[error("SD is no signature: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key is of another curve than the algorithm.
    #[error("the key is of {key}, the signature of {signature}; use the key of this meter")]
    OtherCurve {
        /// The key's curve.
        key: Curve,
        /// The algorithm's curve.
        signature: Curve,
    },
    /// The key did not sign these bytes: altered, or signed by somebody else.
    #[error("the signature does not belong to this payload and key")]
    DoesNotVerify,
}

/// Why a text is no public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither hex nor base64.
    #[error("public key is neither hex nor base64")]
    Encoding,
    /// Longer than any key.
    #[error("public key of {bytes} characters; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// A point without a curve, and nobody said which.
    #[error("public key is a bare point; name its curve, or give the key as SubjectPublicKeyInfo")]
    CurveUnknown,
    /// Not of the shape of a key.
    #[error(
        "no public key: {problem}; accepted: DER SubjectPublicKeyInfo with a named curve, SEC 1 point"
    )]
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A curve that the format does not name.
    #[error("public key of the curve {oid}; supported: {supported}")]
    CurveNotSupported {
        /// The curve's object identifier.
        oid: String,
        /// The curves that are.
        supported: &'static str,
    },
    /// The numbers are no point of the curve.
    #[error("public key is no point of {curve}")]
    NotOnCurve {
        /// The curve it is said to be of.
        curve: Curve,
    },
    /// The key names another curve than the caller.
    #[error("public key is of {found}, not of {expected}")]
    OtherCurve {
        /// The curve it names.
        found: Curve,
        /// The curve the caller named.
        expected: Curve,
    },
}

/// `text`, shortened to what a log line takes.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
