//! ECDSA over the curves of the format.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag};
use ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ecdsa::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize};
use ecdsa::signature::hazmat::PrehashVerifier;
use ecdsa::{EcdsaCurve, Signature, VerifyingKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::algorithm::{Curve, Hash};

/// The numbers r and s of a signature, as big-endian bytes.
pub(crate) struct Scalars<'a> {
    r: &'a [u8],
    s: &'a [u8],
}

/// Calls a function that is generic over curves with the one of a [`Curve`].
macro_rules! with_curve {
    ($curve:expr, $function:ident($($argument:expr),*)) => {
        match $curve {
            Curve::Secp192k1 => $function::<$crate::secp192k1::Secp192k1>($($argument),*),
            Curve::Secp192r1 => $function::<p192::NistP192>($($argument),*),
            Curve::Secp256k1 => $function::<k256::Secp256k1>($($argument),*),
            Curve::Secp256r1 => $function::<p256::NistP256>($($argument),*),
            Curve::Secp384r1 => $function::<p384::NistP384>($($argument),*),
            Curve::Secp521r1 => $function::<p521::NistP521>($($argument),*),
            Curve::Brainpool256r1 => $function::<bp256::BrainpoolP256r1>($($argument),*),
            Curve::Brainpool384r1 => $function::<bp384::BrainpoolP384r1>($($argument),*),
        }
    };
}
#[cfg(feature = "test-bench")]
pub(crate) use with_curve;

/// Whether `point` (SEC 1) is a point of `curve` other than infinity.
pub(crate) fn is_on_curve(curve: Curve, point: &[u8]) -> bool {
    with_curve!(curve, is_point(point))
}

/// Whether the holder of the key with this `point` (SEC 1) signed the bytes with this `digest`.
///
/// A digest shorter than the curve's order counts as a number; of a longer one the first bits count.
///
/// # Source
/// SEC 1, version 2.0, section 4.1.4 (verifying operation).
pub(crate) fn verify(curve: Curve, point: &[u8], digest: &[u8], scalars: &Scalars<'_>) -> bool {
    with_curve!(curve, verifies(point, digest, scalars))
}

/// The hash over `bytes`.
pub(crate) fn digest(hash: Hash, bytes: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        Hash::Sha384 => Sha384::digest(bytes).to_vec(),
        Hash::Sha512 => Sha512::digest(bytes).to_vec(),
    }
}

impl<'a> Scalars<'a> {
    /// Takes a DER `SEQUENCE { r INTEGER, s INTEGER }` apart.
    ///
    /// Strict but for the two numbers: they count as unsigned, with zeros before them or without.
    /// Meters of eBZ leave out the zero that DER asks for before a set top bit.
    ///
    /// # Source
    /// RFC 3279, section 2.2.3 (ECDSA-Sig-Value).
    pub(crate) fn from_der(bytes: &'a [u8]) -> Option<Self> {
        let sequence = AnyRef::from_der(bytes).ok()?;
        if der::Tagged::tag(&sequence) != Tag::Sequence {
            return None;
        }
        let mut reader = SliceReader::new(sequence.value()).ok()?;
        let mut integer = || {
            let any = reader.decode::<AnyRef<'a>>().ok()?;
            (der::Tagged::tag(&any) == Tag::Integer).then(|| any.value())
        };
        let (r, s) = (integer()?, integer()?);
        reader.finish().ok()?;
        Some(Self { r, s })
    }
}

fn is_point<C>(point: &[u8]) -> bool
where
    C: EcdsaCurve + CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    VerifyingKey::<C>::from_sec1_bytes(point).is_ok()
}

fn verifies<C>(point: &[u8], digest: &[u8], scalars: &Scalars<'_>) -> bool
where
    C: EcdsaCurve + CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let (Some(r), Some(s)) = (padded::<C>(scalars.r), padded::<C>(scalars.s)) else {
        return false;
    };
    // `from_scalars` refuses 0 and what is not below the order.
    let Ok(signature) = Signature::<C>::from_scalars(r, s) else {
        return false;
    };
    let Ok(key) = VerifyingKey::<C>::from_sec1_bytes(point) else {
        return false;
    };
    // The format names plain ECDSA, which accepts s and n − s; k256 would refuse the larger one.
    key.verify_prehash(digest, &signature.normalize_s()).is_ok()
}

/// A number at the width of the curve's; `None` where it is wider.
fn padded<C: EcdsaCurve>(number: &[u8]) -> Option<FieldBytes<C>> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = &number[zeros..];
    let mut bytes = FieldBytes::<C>::default();
    let start = bytes.len().checked_sub(significant.len())?;
    bytes[start..].copy_from_slice(significant);
    Some(bytes)
}
