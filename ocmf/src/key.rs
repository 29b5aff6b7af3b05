//! Public keys, in the forms they come in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode};
use spki::{AlgorithmIdentifier, ObjectIdentifier, SubjectPublicKeyInfo};

use crate::algorithm::{CURVES, Curve};
use crate::curves::is_on_curve;
use crate::error::KeyError;

/// The longest text that is read as a key, in characters.
const MAX_KEY_TEXT: usize = 2_500;

/// `id-ecPublicKey`.
///
/// # Source
/// RFC 5480, section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

type Info<'a> = SubjectPublicKeyInfo<AnyRef<'a>, BitStringRef<'a>>;

/// A meter's public key: a point that was checked to be on its curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    /// SEC 1: 4, x, y, or 2 or 3 and x.
    point: Vec<u8>,
}

impl PublicKey {
    /// Reads a key in hex or base64, white space anywhere in it.
    ///
    /// A key is a DER `SubjectPublicKeyInfo` with a named curve, or a SEC 1 point (uncompressed,
    /// compressed, or x and y without the 4 before them), which needs the `curve` from elsewhere:
    /// that of the record's algorithm.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str, curve: Option<Curve>) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_TEXT {
            return Err(KeyError::TooLong {
                bytes: text.len(),
                limit: MAX_KEY_TEXT,
            });
        }
        let text: String = text.split_whitespace().collect();
        // Hex first: hex digits are base64's too, but DER in base64 begins with an M.
        let bytes = hex::decode(&text)
            .ok()
            .or_else(|| STANDARD.decode(&text).ok());
        Self::from_bytes(&bytes.ok_or(KeyError::Encoding)?, curve)
    }

    /// Reads a key as [`parse`](Self::parse) does, without its text encoding.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_bytes(bytes: &[u8], curve: Option<Curve>) -> Result<Self, KeyError> {
        // 0x30 is the tag of a DER sequence and no tag of a point.
        if bytes.first() == Some(&0x30)
            && let Ok(info) = Info::from_der(bytes)
        {
            return Self::from_info(&info, curve);
        }
        let curve = curve.ok_or(match bytes.first() {
            Some(0x30) => KeyError::Malformed {
                problem: "it begins as DER and is none",
            },
            _ => KeyError::CurveUnknown,
        })?;
        let size = curve.field_bytes();
        let point = match (bytes.first(), bytes.len()) {
            (Some(4), length) if length == 1 + 2 * size => bytes.to_vec(),
            (Some(2 | 3), length) if length == 1 + size => bytes.to_vec(),
            (_, length) if length == 2 * size => [&[4], bytes].concat(),
            _ => {
                return Err(KeyError::Malformed {
                    problem: "its length is that of no point of the curve",
                });
            }
        };
        Self::on_curve(curve, point)
    }

    fn from_info(info: &Info<'_>, expected: Option<Curve>) -> Result<Self, KeyError> {
        let malformed = |problem| KeyError::Malformed { problem };
        if info.algorithm.oid != EC_PUBLIC_KEY {
            return Err(malformed("it is not for elliptic curves"));
        }
        let oid = info
            .algorithm
            .parameters
            .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
            .ok_or(malformed("it names no curve"))?;
        let curve = Curve::ALL
            .into_iter()
            .find(|curve| curve.oid() == oid)
            .ok_or_else(|| KeyError::CurveNotSupported {
                oid: oid.to_string(),
                supported: CURVES,
            })?;
        if let Some(expected) = expected.filter(|expected| *expected != curve) {
            return Err(KeyError::OtherCurve {
                found: curve,
                expected,
            });
        }
        let point = info
            .subject_public_key
            .as_bytes()
            .ok_or(malformed("its bits are no bytes"))?;
        Self::on_curve(curve, point.to_vec())
    }

    fn on_curve(curve: Curve, point: Vec<u8>) -> Result<Self, KeyError> {
        if !is_on_curve(curve, &point) {
            return Err(KeyError::NotOnCurve { curve });
        }
        Ok(Self { curve, point })
    }

    /// Its curve.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// Its point as SEC 1 has it.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// It as DER `SubjectPublicKeyInfo`, the form that every other program reads.
    ///
    /// # Source
    /// RFC 5480, section 2.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let oid = self.curve.oid();
        let info = SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier {
                oid: EC_PUBLIC_KEY,
                parameters: Some(AnyRef::from(&oid)),
            },
            subject_public_key: BitStringRef::from_bytes(&self.point)
                .expect("a point has 133 bytes at most"),
        };
        info.to_der().expect("its parts have DER forms")
    }
}
