//! The key of a meter that signs, as its operator wrote it down.

use ocmf::{Curve, KeyError, PublicKey};

/// A meter's public key from the configuration: a whole key, or a point without its curve, which
/// the record's algorithm then names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedMeterKey(String);

impl SignedMeterKey {
    /// Reads what is printed on the meter, in hex or base64.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        match PublicKey::parse(text, None) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(KeyError::CurveUnknown) => {
                let fits = |curve| PublicKey::parse(text, Some(curve)).is_ok();
                match Curve::ALL.into_iter().any(fits) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(KeyError::Malformed {
                        problem: "it is a point of no curve of the format",
                    }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The key, for a record signed on `curve`.
    pub(crate) fn on(&self, curve: Curve) -> Result<PublicKey, KeyError> {
        PublicKey::parse(&self.0, Some(curve))
    }
}
