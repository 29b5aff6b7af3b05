//! Identities: the idTag people hold, and the numbers and pseudonyms the chain holds.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::crypto::Hash;

/// The longest identifier this crate reads: an OCPP 2.1 idToken.
pub const ID_TAG_MAX_CHARS: usize = 255;

/// The longest identifier OCPP 1.6 reads (CiString20Type).
pub const ID_TAG_MAX_CHARS_V16: usize = 20;

/// A billing identity: OCPP 1.6 `idTag`, 2.x `idToken`; also `parentIdTag` and groupId.
///
/// Case-insensitive, so it is kept in upper case. `Debug` hides it: an idTag names a person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdTag(String);

impl IdTag {
    /// Reads an idTag of 1 to 255 printable ASCII characters.
    ///
    /// # Errors
    /// `IdTagError` where it is empty, too long or holds other characters.
    pub fn parse(text: &str) -> Result<Self, IdTagError> {
        let length = text.chars().count();
        if length == 0 || length > ID_TAG_MAX_CHARS {
            return Err(IdTagError::Length { length });
        }
        if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(IdTagError::Character);
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    /// The groupId of a node's mobile chargers that name no group.
    #[must_use]
    pub fn ungrouped(node: NodeId) -> Self {
        Self(format!("UNGROUPED/{node}"))
    }

    /// Whether this is the groupId of the mobile chargers of `node` that name no group.
    #[must_use]
    pub fn is_ungrouped(&self, node: NodeId) -> bool {
        *self == Self::ungrouped(node)
    }

    /// The idTag in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Only the one form that is written is read: upper case, of what an idTag may hold.
impl BorshDeserialize for IdTag {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        match Self::parse(&text) {
            Ok(id_tag) if id_tag.0 == text => Ok(id_tag),
            _ => Err(std::io::Error::other("not the canonical form of an idTag")),
        }
    }
}

impl fmt::Debug for IdTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTag(…)")
    }
}

impl TryFrom<String> for IdTag {
    type Error = IdTagError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<IdTag> for String {
    fn from(tag: IdTag) -> Self {
        tag.0
    }
}

/// Why a text is no idTag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTagError {
    /// Empty, or longer than 255 characters.
    #[error("an idTag has 1 to {ID_TAG_MAX_CHARS} characters, this one has {length}")]
    Length {
        /// Characters found.
        length: usize,
    },
    /// A character outside printable ASCII.
    #[error("an idTag holds printable ASCII characters only")]
    Character,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// Enrolment number of a node (one gateway process).
    NodeId
);
number!(
    /// Enrolment number of a paying group; also the number of its vote.
    GroupId
);
number!(
    /// Enrolment number of a supply point (an outlet with an owner and a meter).
    SupplyPointId
);
number!(
    /// Number of a tariff on its chain, counted from 1.
    TariffId
);

macro_rules! short_hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl TryFrom<String> for $name {
            type Error = hex::FromHexError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

short_hash!(
    /// Pseudonym of a mobile charger: the first 16 bytes of SHA-256(chain id ‖ salt ‖ idTag).
    ChargerId
);
short_hash!(
    /// Name of a grant: the first 16 bytes of the hash of what was granted.
    GrantId
);
short_hash!(
    /// Random bytes that make a [`ChargerId`]; whoever deletes it cuts the way back to the person.
    Salt
);

impl fmt::Debug for ChargerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChargerId({self})")
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl ChargerId {
    /// The pseudonym of `id_tag` on the chain `chain_id`.
    #[must_use]
    pub fn of(chain_id: &Hash, salt: &Salt, id_tag: &IdTag) -> Self {
        let hash = Hash::of_parts(&[&chain_id.0, &salt.0, id_tag.as_str().as_bytes()]);
        Self(hash.first_16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::{canonical, decode};

    #[test]
    fn an_id_tag_is_the_same_in_either_case() {
        assert_eq!(IdTag::parse("fleet-1"), IdTag::parse("FLEET-1"));
    }

    #[test]
    fn what_is_no_id_tag_is_refused() {
        assert_eq!(IdTag::parse(""), Err(IdTagError::Length { length: 0 }));
        assert_eq!(
            IdTag::parse(&"x".repeat(256)),
            Err(IdTagError::Length { length: 256 })
        );
        assert_eq!(IdTag::parse("tab\t"), Err(IdTagError::Character));
    }

    #[test]
    fn canonical_bytes_of_an_id_tag_have_one_form() {
        let id_tag = IdTag::parse("FLEET-1").expect("printable ASCII");
        assert_eq!(decode(&canonical(&id_tag)), Ok(id_tag));
        for other in ["fleet-1", "tab\t", ""] {
            let bytes = canonical(&other.to_owned());
            assert!(decode::<IdTag>(&bytes).is_err(), "{other:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_id_tag_and_the_salt() {
        let tag = IdTag::parse("FLEET-1").expect("printable ASCII");
        assert!(!format!("{tag:?}").contains("FLEET"));
        assert!(!format!("{:?}", Salt([0xab; 16])).contains("ab"));
    }
}
