//! Whether a record was signed by the holder of a key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::algorithm::{Algorithm, SUPPORTED};
use crate::curves::{self, Scalars};
use crate::error::{VerifyError, shortened};
use crate::key::PublicKey;
use crate::record::{Record, Signature};

/// A record, and whether somebody vouches for it.
///
/// There is none whose signature failed: such a record is an error, not a record of lesser standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    record: Record,
    key: Option<PublicKey>,
}

impl SignedRecord {
    /// The record, proven to be signed with `key`.
    ///
    /// That `key` is this meter's has to be known from elsewhere: an entry in a register, what is
    /// printed on the meter. A key that came with the record proves nothing.
    ///
    /// # Errors
    /// `DoesNotVerify` where anything was altered or another key signed; the others where it cannot
    /// be told.
    pub fn verified(record: Record, key: PublicKey) -> Result<Self, VerifyError> {
        record.verify(&key)?;
        Ok(Self {
            record,
            key: Some(key),
        })
    }

    /// The record without a key to prove it with: carried, not verified.
    #[must_use]
    pub fn carried(record: Record) -> Self {
        Self { record, key: None }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The key it was verified with; `None` where it is carried only.
    #[must_use]
    pub fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }
}

impl Record {
    /// The algorithm it is signed with.
    ///
    /// # Errors
    /// `AlgorithmNotSupported`.
    pub fn algorithm(&self) -> Result<Algorithm, VerifyError> {
        let Some(name) = &self.signature().algorithm else {
            return Ok(Algorithm::DEFAULT);
        };
        Algorithm::parse(name).ok_or_else(|| VerifyError::AlgorithmNotSupported {
            algorithm: shortened(name),
            supported: SUPPORTED,
        })
    }

    /// Checks that the holder of `key` signed this payload.
    ///
    /// # Errors
    /// `DoesNotVerify` where not; the others where it cannot be told.
    ///
    /// # Source
    /// OCMF 1.3.1, sections "Signing and Verification Process" and "Signed Data".
    pub fn verify(&self, key: &PublicKey) -> Result<(), VerifyError> {
        let algorithm = self.algorithm()?;
        if key.curve() != algorithm.curve {
            return Err(VerifyError::OtherCurve {
                key: key.curve(),
                signature: algorithm.curve,
            });
        }
        let der = self.signature().bytes()?;
        let scalars = Scalars::from_der(&der).ok_or(VerifyError::Malformed {
            problem: "not a DER sequence of two integers",
        })?;
        let digest = curves::digest(algorithm.hash, self.signed_bytes());
        match curves::verify(algorithm.curve, key.point(), &digest, &scalars) {
            true => Ok(()),
            false => Err(VerifyError::DoesNotVerify),
        }
    }
}

impl Signature {
    /// The signature's bytes, as `SE` says they are written.
    fn bytes(&self) -> Result<Vec<u8>, VerifyError> {
        match self.mime_type.as_deref() {
            None | Some("application/x-der") => {}
            Some(other) => {
                return Err(VerifyError::MimeTypeNotSupported {
                    mime_type: shortened(other),
                });
            }
        }
        match self.encoding.as_deref() {
            None | Some("hex") => {
                hex::decode(&self.data).map_err(|_| VerifyError::Malformed { problem: "not hex" })
            }
            Some("base64") => STANDARD
                .decode(&self.data)
                .map_err(|_| VerifyError::Malformed {
                    problem: "not base64",
                }),
            Some(other) => Err(VerifyError::EncodingNotSupported {
                encoding: shortened(other),
            }),
        }
    }
}
