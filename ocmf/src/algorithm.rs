//! `SA`: the algorithms that a record may be signed with.

use std::fmt;

use spki::ObjectIdentifier;

/// What [`Algorithm::parse`] accepts, for errors.
pub(crate) const SUPPORTED: &str = "ECDSA with secp192k1, secp192r1, secp256k1, secp256r1, secp384r1, secp521r1, brainpool256r1 or brainpool384r1, and SHA256, SHA384 or SHA512";

/// The curves that keys are accepted of, for errors.
pub(crate) const CURVES: &str = "secp192k1, secp192r1, secp256k1, secp256r1, secp384r1, secp521r1, brainpool256r1, brainpool384r1";

/// A curve of ECDSA.
///
/// # Source
/// OCMF 1.3.1, table 22; secp521r1, which that table does not have, is in the field all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// secp192k1.
    Secp192k1,
    /// secp192r1, also NIST P-192 and prime192v1.
    Secp192r1,
    /// secp256k1.
    Secp256k1,
    /// secp256r1, also NIST P-256 and prime256v1.
    Secp256r1,
    /// secp384r1, also NIST P-384.
    Secp384r1,
    /// secp521r1, also NIST P-521.
    Secp521r1,
    /// brainpoolP256r1.
    Brainpool256r1,
    /// brainpoolP384r1.
    Brainpool384r1,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 8] = [
        Self::Secp192k1,
        Self::Secp192r1,
        Self::Secp256k1,
        Self::Secp256r1,
        Self::Secp384r1,
        Self::Secp521r1,
        Self::Brainpool256r1,
        Self::Brainpool384r1,
    ];

    /// Its name in `SA`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp192k1 => "secp192k1",
            Self::Secp192r1 => "secp192r1",
            Self::Secp256k1 => "secp256k1",
            Self::Secp256r1 => "secp256r1",
            Self::Secp384r1 => "secp384r1",
            Self::Secp521r1 => "secp521r1",
            Self::Brainpool256r1 => "brainpool256r1",
            Self::Brainpool384r1 => "brainpool384r1",
        }
    }

    /// The curve of this name. Case does not matter, and `brainpoolP256r1` is `brainpool256r1`:
    /// meters of NZR write it so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace("brainpoolp", "brainpool");
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// Its object identifier in a key.
    ///
    /// # Source
    /// SEC 2, version 2.0, appendix A; RFC 5639, section 4.1.
    #[must_use]
    pub fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Secp192k1 => "1.3.132.0.31",
            Self::Secp192r1 => "1.2.840.10045.3.1.1",
            Self::Secp256k1 => "1.3.132.0.10",
            Self::Secp256r1 => "1.2.840.10045.3.1.7",
            Self::Secp384r1 => "1.3.132.0.34",
            Self::Secp521r1 => "1.3.132.0.35",
            Self::Brainpool256r1 => "1.3.36.3.3.2.8.1.1.7",
            Self::Brainpool384r1 => "1.3.36.3.3.2.8.1.1.11",
        })
    }

    /// How many bytes a coordinate of a point takes.
    #[must_use]
    pub fn field_bytes(self) -> usize {
        match self {
            Self::Secp192k1 | Self::Secp192r1 => 24,
            Self::Secp256k1 | Self::Secp256r1 | Self::Brainpool256r1 => 32,
            Self::Secp384r1 | Self::Brainpool384r1 => 48,
            Self::Secp521r1 => 66,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash over the payload.
///
/// The format has SHA-256 only; the others are in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Every hash.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in `SA`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }
}

/// A curve and a hash: what `SA` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// The curve of the key.
    pub curve: Curve,
    /// The hash over the payload.
    pub hash: Hash,
}

impl Algorithm {
    /// What a record without `SA` is signed with.
    ///
    /// # Source
    /// OCMF 1.3.1, table 22 (default).
    pub const DEFAULT: Self = Self {
        curve: Curve::Secp256r1,
        hash: Hash::Sha256,
    };

    /// The algorithm of this name, `ECDSA-secp256r1-SHA256`; `None` where it is not supported.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (method, curve, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !method.eq_ignore_ascii_case("ECDSA") {
            return None;
        }
        Some(Self {
            curve: Curve::from_name(curve)?,
            hash: Hash::ALL
                .into_iter()
                .find(|known| known.name().eq_ignore_ascii_case(hash))?,
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ECDSA-{}-{}", self.curve.name(), self.hash.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_is_read_by_its_name() {
        for curve in Curve::ALL {
            for hash in Hash::ALL {
                let algorithm = Algorithm { curve, hash };
                assert_eq!(Algorithm::parse(&algorithm.to_string()), Some(algorithm));
            }
        }
        let brainpool = Algorithm::parse("ECDSA-brainpoolP256r1-SHA256").expect("meters write it");
        assert_eq!(brainpool.curve, Curve::Brainpool256r1);
    }

    #[test]
    fn what_is_not_supported_is_none() {
        for name in [
            "",
            "RSA-2048-SHA256",
            "ECDSA-secp256r1",
            "ECDSA-secp256r1-SHA1",
            "ECDSA-secp224r1-SHA256",
            "ECDSA-secp256r1-SHA256-x",
            "ECDSA-secp256r1-SHA256 ",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }
}
