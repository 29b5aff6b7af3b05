//! The provider left a charge out of the block of the round that its receipt names.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{Genesis, Hash, Signed, SignedProfile, SignedReceipt, canonical};

use super::NotProven;
use crate::block::{Block, ChargeLine, Header};
use crate::frame::Witnessed;
use crate::merkle;
use crate::receipt_file::is_in_block;

/// A receipt, and two headers that follow each other of which the first is before the promised
/// round and the second does not keep the promise: about 3 KiB.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BrokenReceipt {
    /// Signed by the provider.
    pub receipt: SignedReceipt,
    /// What it promised to seal.
    pub profile: SignedProfile,
    /// Of a round before the promised one. Signed by the provider.
    pub previous: Signed<Header>,
    /// The one after it, of the promised round or a later one. Signed by the provider.
    pub header: Signed<Header>,
    /// Where `header` is of the promised round: that the charge is not in its block.
    pub absence: Option<Absence>,
}

/// That a charge is not in a block, whose charges are sorted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Absence {
    /// The roots of the body's sections.
    pub sections: [Hash; 4],
    /// What is there instead.
    pub gap: Gap,
}

/// What stands where a charge should.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Gap {
    /// Nothing between neighbours: the last charge that comes before it, unless none does, and the
    /// first one that comes after it, unless none does.
    Between(Option<Box<Listed>>, Option<Box<Listed>>),
    /// Another charge of the same node with the same number.
    Instead(Box<Listed>),
}

/// A charge of a block with its path.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Listed {
    /// The charge.
    pub line: ChargeLine,
    /// Its position.
    pub index: u32,
    /// Its path to the root of the charges section.
    pub path: Vec<Hash>,
}

impl BrokenReceipt {
    /// Shows that `block`, which follows the block of `previous`, breaks the promise; `None` where
    /// it keeps it.
    #[must_use]
    pub fn find(previous: &Signed<Header>, block: &Block, promised: &Witnessed) -> Option<Self> {
        let Witnessed {
            profile, receipt, ..
        } = promised;
        let absence = match block.header.body.round == receipt.body.round {
            true => Some(Absence::show(block, profile)?),
            false => None,
        };
        Some(Self {
            receipt: receipt.clone(),
            profile: profile.clone(),
            previous: previous.clone(),
            header: block.header.clone(),
            absence,
        })
    }

    pub(super) fn check(&self, genesis: &Genesis) -> Result<(), NotProven> {
        let (provider, chain_id) = (&genesis.provider_key, genesis.chain_id());
        for header in [&self.previous, &self.header] {
            let signed = header.verify(provider, &chain_id);
            signed.map_err(|_| NotProven::Signature)?;
        }
        let signed = self.receipt.verify(provider, &chain_id);
        signed.map_err(|_| NotProven::Signature)?;
        let (previous, header) = (&self.previous.body, &self.header.body);
        let promised = self.receipt.body.round;
        let is_due = self.receipt.body.profile == self.profile.hash()
            && header.previous == self.previous.hash()
            && previous.round < promised
            && header.round >= promised;
        let is_absent = match &self.absence {
            Some(absence) => absence.check(header, &self.profile),
            None => header.round > promised,
        };
        match is_due && is_absent {
            true => Ok(()),
            false => Err(NotProven::Kept),
        }
    }
}

impl Absence {
    fn show(block: &Block, profile: &SignedProfile) -> Option<Self> {
        let key = profile.body.sort_key();
        let charges = &block.body.charges;
        let place = charges.partition_point(|line| line.profile.body.sort_key() < key);
        if charges
            .get(place)
            .is_some_and(|line| line.profile.body == profile.body)
        {
            return None;
        }
        let leaves = block.body.charge_leaves();
        let show = |index: usize| {
            Some(Box::new(Listed {
                line: charges.get(index)?.clone(),
                index: u32::try_from(index).ok()?,
                path: merkle::path(&leaves, index)?,
            }))
        };
        let is_taken = charges
            .get(place)
            .is_some_and(|line| line.profile.body.sort_key() == key);
        Some(Self {
            sections: block.body.section_roots(),
            gap: match is_taken {
                true => Gap::Instead(show(place)?),
                false => Gap::Between(place.checked_sub(1).and_then(show), show(place)),
            },
        })
    }

    /// The section is sorted, and no key is in it twice.
    fn check(&self, header: &Header, profile: &SignedProfile) -> bool {
        let is_listed = |listed: &Listed| {
            let line = canonical(&listed.line);
            is_in_block(header, &line, listed.index, &listed.path, &self.sections)
        };
        let key = profile.body.sort_key();
        let is_below = |listed: &Listed| is_listed(listed) && listed.key() < key;
        let is_above = |listed: &Listed| is_listed(listed) && listed.key() > key;
        match &self.gap {
            Gap::Between(None, None) => header.charges == 0,
            Gap::Between(None, Some(after)) => is_above(after) && after.index == 0,
            Gap::Between(Some(before), None) => {
                is_below(before) && before.index.checked_add(1) == Some(header.charges)
            }
            Gap::Between(Some(before), Some(after)) => {
                is_below(before)
                    && is_above(after)
                    && before.index.checked_add(1) == Some(after.index)
            }
            Gap::Instead(other) => {
                is_listed(other) && other.key() == key && other.line.profile.body != profile.body
            }
        }
    }
}

impl Listed {
    fn key(&self) -> (protocol::ChargerId, protocol::NodeId, u32) {
        self.line.profile.body.sort_key()
    }
}
