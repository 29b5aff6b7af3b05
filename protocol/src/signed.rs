//! Canonical bytes, and the one way a body and its signature travel together.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::crypto::{Domain, Hash, KeyPair, PublicKey, Signature, SignatureError, Verifier};

/// A body that is signed for exactly one purpose.
pub trait Signable: BorshSerialize + BorshDeserialize {
    /// The purpose of its signatures.
    const DOMAIN: Domain;
}

/// A body with its signature. Its canonical bytes are the body's, then the signature's 64.
///
/// In JSON it is the hexadecimal text of its canonical bytes, so that no number changes on the way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed<T> {
    /// What was signed.
    pub body: T,
    /// Over the canonical bytes of `body`.
    pub signature: Signature,
}

impl<T: Signable> Signed<T> {
    /// Signs `body` with `key` on the chain `chain_id`.
    pub fn new(body: T, key: &KeyPair, chain_id: &Hash) -> Self {
        let signature = key.sign(T::DOMAIN, chain_id, &canonical(&body));
        Self { body, signature }
    }

    /// Checks the signature strictly.
    ///
    /// # Errors
    /// `WeakKey` or `Mismatch`.
    pub fn verify(&self, key: &PublicKey, chain_id: &Hash) -> Result<(), SignatureError> {
        key.verify(T::DOMAIN, chain_id, &canonical(&self.body), &self.signature)
    }

    /// The same with a key that was read before.
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn verify_with(&self, key: &Verifier, chain_id: &Hash) -> Result<(), SignatureError> {
        key.verify(T::DOMAIN, chain_id, &canonical(&self.body), &self.signature)
    }

    /// The hash that names the body: SHA-256 of its canonical bytes, without the signature.
    pub fn hash(&self) -> Hash {
        Hash::of(&canonical(&self.body))
    }
}

/// The canonical bytes of a value (borsh).
///
/// # Panics
/// Never: writing to memory cannot fail, and no type here refuses to be written.
pub fn canonical<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

/// Reads canonical bytes; anything else, and any surplus byte, is refused.
///
/// # Errors
/// `DecodeError` with what the decoder saw.
pub fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::try_from_slice(bytes).map_err(|source| DecodeError {
        length: bytes.len(),
        reason: source.to_string(),
    })
}

/// Bytes that are not the canonical form of what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are not canonical: {reason}")]
pub struct DecodeError {
    /// How many bytes were read.
    pub length: usize,
    /// What the decoder said.
    pub reason: String,
}

impl<T: Signable> Serialize for Signed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(canonical(self)))
    }
}

impl<'de, T: Signable> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexText<T>(std::marker::PhantomData<T>);

        impl<T: Signable> de::Visitor<'_> for HexText<T> {
            type Value = Signed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("canonical bytes in hexadecimal")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let bytes = hex::decode(text).map_err(E::custom)?;
                decode(&bytes).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(HexText(std::marker::PhantomData))
    }
}
