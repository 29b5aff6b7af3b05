//! SHA-256 hashes and Ed25519 keys, with the domain separation every signature here uses.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident[$len:literal]) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..8]))
            }
        }

        impl TryFrom<String> for $name {
            type Error = hex::FromHexError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl From<$name> for String {
            fn from(bytes: $name) -> Self {
                bytes.to_string()
            }
        }
    };
}

hex_bytes!(
    /// A SHA-256 hash.
    Hash[32]
);
hex_bytes!(
    /// An Ed25519 public key in its wire form. Checked when it is used, weak ones refused.
    PublicKey[32]
);
hex_bytes!(
    /// An Ed25519 signature.
    Signature[64]
);

/// Canonical bytes of something that is signed, in a JSON message: hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexBytes(pub Vec<u8>);

impl TryFrom<String> for HexBytes {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

impl From<HexBytes> for String {
    fn from(bytes: HexBytes) -> Self {
        hex::encode(bytes.0)
    }
}

impl Hash {
    /// Thirty-two zero bytes: "nothing before this".
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// SHA-256 of the parts written one after another.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The first sixteen bytes, where a short name is enough.
    #[must_use]
    pub fn first_16(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }
}

/// What a signature is for. No signature made for one purpose is valid for another, nor on
/// another chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A charge profile, signed by the node that measured it.
    ChargeProfile,
    /// A grant, signed by a group's parent.
    Grant,
    /// The provider's receipt for a profile.
    Receipt,
    /// A parent's acknowledgement of a profile.
    ProfileAck,
    /// A parent's group block.
    GroupBlock,
    /// The provider's block header.
    Header,
    /// A voter's ballot.
    Ballot,
    /// The node's answer to the provider's nonce.
    NodeHello,
    /// The provider's answer to the node's nonce.
    ProviderHello,
    /// The provider's word that a node is enrolled.
    Enrolment,
    /// A node's answer to the nonce of another one that it calls.
    CallingNode,
    /// A node's answer to the nonce of another one that calls it.
    CalledNode,
    /// The salt of a pseudonym; such signatures are never shown.
    Salt,
    /// A parent's word on who speaks for it.
    Deputy,
    /// A node's word on a meter that was exchanged.
    MeterExchange,
    /// A voter's word on the header that it goes on with.
    Resume,
}

impl Domain {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::ChargeProfile => b"charge-billing.v1 charge profile",
            Self::Grant => b"charge-billing.v1 grant",
            Self::Receipt => b"charge-billing.v1 receipt",
            Self::ProfileAck => b"charge-billing.v1 profile ack",
            Self::GroupBlock => b"charge-billing.v1 group block",
            Self::Header => b"charge-billing.v1 header",
            Self::Ballot => b"charge-billing.v1 ballot",
            Self::NodeHello => b"charge-billing.v1 node hello",
            Self::ProviderHello => b"charge-billing.v1 provider hello",
            Self::Enrolment => b"charge-billing.v1 enrolment",
            Self::CallingNode => b"charge-billing.v1 calling node",
            Self::CalledNode => b"charge-billing.v1 called node",
            Self::Salt => b"charge-billing.v1 salt",
            Self::Deputy => b"charge-billing.v1 deputy",
            Self::MeterExchange => b"charge-billing.v1 meter exchange",
            Self::Resume => b"charge-billing.v1 resume",
        }
    }

    /// The 32 bytes that are signed: a hash of purpose, chain and body.
    #[must_use]
    pub fn digest(self, chain_id: &Hash, body: &[u8]) -> Hash {
        let tag = self.tag();
        let length = u8::try_from(tag.len()).expect("tags above are short");
        Hash::of_parts(&[&[length], tag, &chain_id.0, body])
    }
}

/// Why a key or signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No point of the curve, or one of small order: any message would verify under it.
    #[error("the public key is not a usable Ed25519 key")]
    WeakKey,
    /// The signature is not one by this key over these bytes.
    #[error("the signature does not match")]
    Mismatch,
}

impl PublicKey {
    /// Checks that the key is a point of the curve and not of small order.
    ///
    /// # Errors
    /// `SignatureError::WeakKey`
    pub fn check(&self) -> Result<(), SignatureError> {
        self.verifier().map(|_| ())
    }

    /// Strict verification of `signature` over `body`.
    ///
    /// # Errors
    /// `WeakKey` or `Mismatch`.
    ///
    /// # Source
    /// RFC 8032, section 5.1.7, with the stricter rules of `verify_strict`.
    pub fn verify(
        &self,
        domain: Domain,
        chain_id: &Hash,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        self.verifier()?.verify(domain, chain_id, body, signature)
    }

    /// The key, read and checked once for many signatures.
    ///
    /// # Errors
    /// `WeakKey`
    pub fn verifier(&self) -> Result<Verifier, SignatureError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| SignatureError::WeakKey)?;
        if key.is_weak() {
            return Err(SignatureError::WeakKey);
        }
        Ok(Verifier(key))
    }
}

/// A public key as a point of the curve. To find that takes a tenth of a signature check.
#[derive(Clone, Debug)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// Strict verification of `signature` over `body`, as [`PublicKey::verify`] does it.
    ///
    /// # Errors
    /// `Mismatch`
    pub fn verify(
        &self,
        domain: Domain,
        chain_id: &Hash,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let digest = domain.digest(chain_id, body);
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(&digest.0, &signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

/// An Ed25519 key pair. `Debug` shows the public half only.
#[derive(Clone)]
pub struct KeyPair(ed25519_dalek::SigningKey);

impl KeyPair {
    /// The key pair of a 32-byte secret seed (random, from the shell).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `body` for one purpose on one chain.
    #[must_use]
    pub fn sign(&self, domain: Domain, chain_id: &Hash, body: &[u8]) -> Signature {
        let digest = domain.digest(chain_id, body);
        Signature(self.0.sign(&digest.0).to_bytes())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({:?})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_one_purpose_on_one_chain() {
        let pair = KeyPair::from_seed(&[7; 32]);
        let chain = Hash::of(b"chain");
        let signature = pair.sign(Domain::Ballot, &chain, b"body");
        let check =
            |domain, chain, body: &[u8]| pair.public().verify(domain, chain, body, &signature);
        assert_eq!(check(Domain::Ballot, &chain, b"body"), Ok(()));
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(check(Domain::Header, &chain, b"body"), mismatch);
        assert_eq!(check(Domain::Ballot, &Hash::ZERO, b"body"), mismatch);
        assert_eq!(check(Domain::Ballot, &chain, b"bodY"), mismatch);
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        // The neutral element of the curve: y = 1.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey(neutral).check(), Err(SignatureError::WeakKey));
        assert_eq!(PublicKey([0; 32]).check(), Err(SignatureError::WeakKey));
    }
}
