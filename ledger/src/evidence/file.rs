//! The evidence file: what convicts the provider, checked offline against its key.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{DecodeError, Genesis, PublicKey, canonical, decode};

use super::{BrokenReceipt, ForgedCharge, TwoHeaders};

/// First bytes of every evidence file; the last of them is the format's version.
const MAGIC: &[u8; 8] = b"CHARGEE\x01";

/// The longest evidence file.
pub const MAX_BYTES: usize = 8 << 10;

/// Proof that the provider broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EvidenceFile {
    /// The chain's parameters; the provider's key is the one that is convicted.
    pub genesis: Genesis,
    /// What proves it.
    pub exhibit: Exhibit,
}

/// What an evidence file shows. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Exhibit {
    /// A sealed charge that its node did not sign.
    ForgedCharge(Box<ForgedCharge>),
    /// A receipt that was not honoured in its round.
    BrokenReceipt(Box<BrokenReceipt>),
    /// Two headers for one height.
    TwoHeaders(Box<TwoHeaders>),
}

impl Exhibit {
    /// The height of the block that it is about.
    #[must_use]
    pub fn height(&self) -> u64 {
        match self {
            Self::ForgedCharge(forged) => forged.header.body.height,
            Self::BrokenReceipt(broken) => broken.header.body.height,
            Self::TwoHeaders(two) => two.first.body.height,
        }
    }
}

/// Why an evidence file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotProven {
    /// Not an evidence file of this version.
    #[error("this is not an evidence file of version 1")]
    Magic,
    /// An evidence file cut short, extended or changed in its structure.
    #[error("the evidence file is damaged")]
    Damaged(#[from] DecodeError),
    /// Longer than any evidence file is.
    #[error("an evidence file has at most {MAX_BYTES} bytes")]
    Length,
    /// Another chain of the same provider's.
    #[error("the evidence is about another chain")]
    Chain,
    /// Another provider's chain.
    #[error("the evidence is against provider {found}, not against the one asked for")]
    Provider {
        /// The evidence's.
        found: PublicKey,
    },
    /// A header or receipt that the provider did not sign.
    #[error("the provider did not sign what it is accused of")]
    Signature,
    /// The charge is not in the block.
    #[error("the charge shown is not in the block shown")]
    NotInBlock,
    /// The key shown is not the node's.
    #[error("the chain does not say that the node had the key shown")]
    Node,
    /// The node signed the charge.
    #[error("the charge is genuine: its node signed it")]
    Genuine,
    /// The blocks shown do not break the receipt shown.
    #[error("the blocks shown do not break the promise shown")]
    Kept,
    /// The headers shown do not contradict each other.
    #[error("the headers shown are one and the same, or of different heights")]
    OneHeader,
}

impl EvidenceFile {
    /// The file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &canonical(self)].concat()
    }

    /// Reads a file. It may still prove nothing: see [`EvidenceFile::verify`].
    ///
    /// # Errors
    /// `Magic` or `Damaged`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotProven> {
        let content = bytes.strip_prefix(MAGIC).ok_or(NotProven::Magic)?;
        Ok(decode(content)?)
    }

    /// Checks everything offline. `provider` is the key that whoever asks has in a contract;
    /// without it the file is checked against the key it names itself.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, provider: Option<&PublicKey>) -> Result<(), NotProven> {
        let found = self.genesis.provider_key;
        if provider.is_some_and(|key| *key != found) {
            return Err(NotProven::Provider { found });
        }
        match &self.exhibit {
            Exhibit::ForgedCharge(forged) => forged.check(&self.genesis),
            Exhibit::BrokenReceipt(broken) => broken.check(&self.genesis),
            Exhibit::TwoHeaders(two) => two.check(&self.genesis),
        }
    }
}
