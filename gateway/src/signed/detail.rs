//! What a charge's detail says of signed data.

use borsh::{BorshDeserialize, BorshSerialize};
use ocmf::{Record, SignedRecord};

/// Signed data of a charge, as its detail holds it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedDetail {
    /// What the values prove.
    pub standing: Standing,
    /// The transaction's id, by which the transparency software pairs records.
    pub transaction: u32,
    /// What came, in the order of its pages.
    pub values: Vec<Carried>,
}

/// What the signed values of a charge prove.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Standing {
    /// Nothing came: this charge was not signed by its meter.
    Unsigned,
    /// The meter whose key was known beforehand signed this charge.
    Verified {
        /// That key, DER `SubjectPublicKeyInfo`.
        key: Vec<u8>,
    },
    /// Carried; nobody vouches for it.
    NotVerified {
        /// Why, for people.
        why: String,
    },
    /// It contradicts the key, itself or the bill: such a charge is held.
    Refused {
        /// Why, for people.
        why: String,
    },
}

/// One signed value.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Carried {
    /// A record.
    Record {
        /// Byte for byte as the meter wrote it.
        text: String,
        /// SHA-256 over what was signed: what tells one record from another.
        payload: [u8; 32],
        /// The key that came with it, which proves nothing by itself.
        claimed_key: Option<Vec<u8>>,
    },
    /// Something that is no record which can be read.
    Unread {
        /// Byte for byte as the charger sent it.
        sent: String,
        /// Why it cannot be read.
        why: String,
    },
}

impl SignedDetail {
    /// The records that can be read, with the key they were verified with.
    pub(crate) fn records(&self) -> Vec<SignedRecord> {
        let key = match &self.standing {
            Standing::Verified { key } => ocmf::PublicKey::from_bytes(key, None).ok(),
            _ => None,
        };
        let texts = self.values.iter().filter_map(|value| match value {
            Carried::Record { text, .. } => Some(text),
            Carried::Unread { .. } => None,
        });
        texts
            .filter_map(|text| Record::parse(text).ok())
            .map(|record| match &key {
                Some(key) => SignedRecord::verified(record.clone(), key.clone())
                    .unwrap_or_else(|_| SignedRecord::carried(record)),
                None => SignedRecord::carried(record),
            })
            .collect()
    }
}

impl Standing {
    /// In a driver's words.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Unsigned => "not signed by the meter".to_owned(),
            Self::Verified { .. } => {
                "signed by the meter, verified with its key as configured".to_owned()
            }
            Self::NotVerified { why } => format!("signed data carried, not verified: {why}"),
            Self::Refused { why } => format!("signed data refused: {why}"),
        }
    }
}
