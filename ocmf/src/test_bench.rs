//! Meters that sign, for tests and simulators.
//!
//! Behind the feature `test-bench` only: a gateway never signs in a meter's place. The keys come from
//! a name, so that a run makes the same records as the one before, and anybody can make them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::Encode;
use der::asn1::UintRef;
use ecdsa::EcdsaCurve;
use ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ecdsa::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize, NonZeroScalar, PublicKey as Point,
};
use ecdsa::hazmat::sign_prehashed_rfc6979;
use sha2::{Digest, Sha256};

use crate::algorithm::{Algorithm, Curve, Hash};
use crate::curves::{digest, with_curve};
use crate::key::PublicKey;

/// A meter of the test bench with a key of its own.
#[derive(Clone, Debug)]
pub struct TestMeter {
    curve: Curve,
    secret: [u8; SECRET_BYTES],
}

/// Below the order of every curve.
const SECRET_BYTES: usize = 23;

/// How the test bench writes a signature: `SE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// `hex`, which is not written because it is the default.
    Hex,
    /// `base64`.
    Base64,
}

impl TestMeter {
    /// The meter of this name.
    #[must_use]
    pub fn new(curve: Curve, name: &str) -> Self {
        let hash = Sha256::digest(name);
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&hash[..SECRET_BYTES]);
        Self { curve, secret }
    }

    /// The key that its records verify with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let point = with_curve!(self.curve, public_point(&self.secret));
        PublicKey::from_bytes(&point, Some(self.curve)).expect("the point was computed")
    }

    /// Its private key as a big-endian number, for programs that sign in its place.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// `payload`, signed: a whole record.
    #[must_use]
    pub fn sign(&self, payload: &str, hash: Hash, encoding: SignatureEncoding) -> String {
        let der = self.signature(payload, hash);
        let (encoding, data) = match encoding {
            SignatureEncoding::Hex => ("", hex::encode_upper(der)),
            SignatureEncoding::Base64 => (r#""SE":"base64","#, STANDARD.encode(der)),
        };
        let curve = self.curve;
        let algorithm = Algorithm { curve, hash };
        format!(r#"OCMF|{payload}|{{"SA":"{algorithm}",{encoding}"SD":"{data}"}}"#)
    }

    /// The signature over `payload` as DER.
    fn signature(&self, payload: &str, hash: Hash) -> Vec<u8> {
        let digest = digest(hash, payload.as_bytes());
        let (r, s) = with_curve!(self.curve, sign_digest(&self.secret, &digest));
        let number = |bytes| UintRef::new(bytes).expect("at most 66 bytes");
        // A `Vec` is a SEQUENCE.
        let sequence = vec![number(&r), number(&s)];
        sequence.to_der().expect("numbers have DER forms")
    }
}

fn scalar<C: CurveArithmetic>(secret: &[u8]) -> NonZeroScalar<C> {
    let mut bytes = FieldBytes::<C>::default();
    let start = bytes.len() - secret.len();
    bytes[start..].copy_from_slice(secret);
    NonZeroScalar::from_repr(bytes)
        .into_option()
        .expect("23 bytes of a hash are below every order, and not 0")
}

fn public_point<C>(secret: &[u8]) -> Vec<u8>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let point = Point::<C>::from_secret_scalar(&scalar(secret));
    point.to_sec1_point(false).as_bytes().to_vec()
}

fn sign_digest<C>(secret: &[u8], digest: &[u8]) -> (Vec<u8>, Vec<u8>)
where
    C: EcdsaCurve + CurveArithmetic,
{
    let (signature, _) = sign_prehashed_rfc6979::<C, Sha256>(&scalar(secret), digest, &[]);
    let (r, s) = signature.split_bytes();
    (r.to_vec(), s.to_vec())
}
