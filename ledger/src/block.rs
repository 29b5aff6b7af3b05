//! The bytes of the chain: group block, header, ballot, record, charge line, body, block.

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{
    ChargerId, Domain, EnergyWh, GroupId, Hash, NodeId, PublicKey, Signable, Signed, SignedDeputy,
    SignedGrant, SignedMeterExchange, SignedProfile, SupplyPointId, TariffId, UnixSeconds,
    canonical,
};

use crate::evidence::Evidence;
use crate::merkle;
use crate::resume::Resume;

/// Version of every structure in this file.
pub const VERSION: u16 = 1;

/// What a group's parent seals over its group's profiles of one round: 88 bytes, 152 signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GroupBlock {
    /// The paying group.
    pub group: GroupId,
    /// The round.
    pub round: u64,
    /// Hash of the group's group block before this one in the chain; zero for its first.
    pub previous: Hash,
    /// Merkle root over its profiles, sorted by (charger, node, seq), each with the energy of those
    /// before it.
    pub root: Hash,
    /// How many profiles.
    pub count: u32,
    /// Their energy in all.
    pub energy: EnergyWh,
}

impl Signable for GroupBlock {
    const DOMAIN: Domain = Domain::GroupBlock;
}

impl GroupBlock {
    /// The group block over `profiles`, which are sorted by (charger, node, seq).
    #[must_use]
    pub fn over<'a>(
        group: GroupId,
        round: u64,
        previous: Hash,
        profiles: impl Iterator<Item = &'a SignedProfile>,
    ) -> Self {
        let leaves = Self::leaves(profiles);
        let hashes: Vec<Hash> = leaves
            .iter()
            .map(|(profile, before)| group_block_leaf(profile, *before))
            .collect();
        let energy = leaves.last().map_or(0, |(profile, before)| {
            before.0.saturating_add(profile.body.energy_wh.into())
        });
        Self {
            group,
            round,
            previous,
            root: merkle::root(&hashes),
            count: u32::try_from(hashes.len()).unwrap_or(u32::MAX),
            energy: EnergyWh(energy),
        }
    }

    /// What its tree is over: each profile with the energy of those before it. The sums on the way
    /// let a wrong total be proven by one profile.
    pub(crate) fn leaves<'a>(
        profiles: impl Iterator<Item = &'a SignedProfile>,
    ) -> Vec<(&'a SignedProfile, EnergyWh)> {
        let mut sum = EnergyWh(0);
        profiles
            .map(|profile| {
                let before = sum;
                sum.0 = sum.0.saturating_add(profile.body.energy_wh.into());
                (profile, before)
            })
            .collect()
    }
}

/// Hash of a leaf of a group block's tree.
#[must_use]
pub fn group_block_leaf(profile: &SignedProfile, before: EnergyWh) -> Hash {
    merkle::leaf_hash(&canonical(&(before, profile)))
}

/// The header of a block: 170 bytes, 234 signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u16,
    /// Counts blocks from 1.
    pub height: u64,
    /// Hash of the header before; the chain id for height 1.
    pub previous: Hash,
    /// The round whose charges it holds.
    pub round: u64,
    /// The provider's clock when it was sealed.
    pub time: UnixSeconds,
    /// Merkle root over the body's four sections.
    pub body_root: Hash,
    /// Merkle root over the state after this block.
    pub state_root: Hash,
    /// RFC 6962 root over the hashes of all earlier headers.
    pub log_root: Hash,
    /// Charges in the body.
    pub charges: u32,
    /// Group blocks in the body.
    pub group_blocks: u32,
    /// Records in the body.
    pub records: u32,
    /// Ballots in the body.
    pub ballots: u32,
}

impl Signable for Header {
    const DOMAIN: Domain = Domain::Header;
}

impl Header {
    /// The hash that names the block.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&canonical(self))
    }
}

/// A voter's yes to a header and all its ancestors: 44 bytes, 108 signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ballot {
    /// The group that votes.
    pub voter: GroupId,
    /// Height of the header.
    pub height: u64,
    /// Hash of the header.
    pub header: Hash,
}

impl Signable for Ballot {
    const DOMAIN: Domain = Domain::Ballot;
}

/// What the provider writes into a block beside charges. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// A tariff, valid for charges sealed from this block on.
    Tariff {
        /// Counts tariffs from 1.
        id: TariffId,
        /// The document (see [`crate::tariff`]).
        document: String,
    },
    /// A node joins.
    EnrolNode {
        /// Its number.
        node: NodeId,
        /// Its key.
        key: PublicKey,
    },
    /// A paying group, and so a voter, joins.
    EnrolGroup {
        /// Its number.
        group: GroupId,
        /// The home node of its first charger.
        parent: NodeId,
    },
    /// An outlet joins.
    EnrolSupplyPoint {
        /// Its number.
        supply_point: SupplyPointId,
        /// The node that measures there.
        node: NodeId,
        /// The group that is credited.
        owner: GroupId,
        /// Hash of the meter's model and serial number.
        meter: Hash,
    },
    /// A mobile charger joins a group.
    RegisterCharger {
        /// Its pseudonym.
        charger: ChargerId,
        /// Its group.
        group: GroupId,
    },
    /// A parent's permission, before the first charge that rests on it.
    Grant(SignedGrant),
    /// Proof that somebody broke a rule.
    Evidence(Evidence),
    /// A mobile charger pays with another group from now on. What it charged under a grant of the
    /// one before is still for that one to pay.
    ///
    /// Moved by its home node's word, which the provider passes on.
    MoveCharger {
        /// Its pseudonym.
        charger: ChargerId,
        /// Its new group.
        group: GroupId,
    },
    /// A parent's word on who speaks for it.
    Deputy(SignedDeputy),
    /// A node's word on a meter that was exchanged.
    MeterExchange(SignedMeterExchange),
    /// The words of more than half of the voters, sorted by voter, on a header of this chain that
    /// they go on with: the provider had told another story as well.
    Resume(Vec<Signed<Resume>>),
}

/// A charge in a block: the profile, and beside it what the provider states about it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChargeLine {
    /// The charge.
    pub profile: SignedProfile,
    /// It came in no group block of its round.
    pub late: bool,
    /// What the payer owes, in minor units.
    pub amount: u32,
    /// What the supply point's owner is credited, in minor units.
    pub credit: u32,
    /// The tariff both follow from.
    pub tariff: TariffId,
}

/// All that a header's body root covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// In the order they are to be applied.
    pub records: Vec<Record>,
    /// Sorted by group.
    pub group_blocks: Vec<Signed<GroupBlock>>,
    /// Sorted by (charger, node, seq).
    pub charges: Vec<ChargeLine>,
    /// Sorted by voter.
    pub ballots: Vec<Signed<Ballot>>,
}

/// Position of the charges among the sections of a body.
pub const CHARGES_SECTION: u64 = 2;

impl Body {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Leaf hashes of the charges section.
    #[must_use]
    pub fn charge_leaves(&self) -> Vec<Hash> {
        leaves(&self.charges)
    }

    /// The roots of the four sections.
    #[must_use]
    pub fn section_roots(&self) -> [Hash; 4] {
        [
            merkle::root(&leaves(&self.records)),
            merkle::root(&leaves(&self.group_blocks)),
            merkle::root(&self.charge_leaves()),
            merkle::root(&leaves(&self.ballots)),
        ]
    }

    /// The root that the header names.
    #[must_use]
    pub fn root(&self) -> Hash {
        merkle::root(&section_leaves(&self.section_roots()))
    }
}

/// Leaf hashes of a body's tree.
#[must_use]
pub fn section_leaves(roots: &[Hash; 4]) -> [Hash; 4] {
    roots.map(|root| merkle::leaf_hash(&root.0))
}

fn leaves<T: BorshSerialize>(items: &[T]) -> Vec<Hash> {
    items
        .iter()
        .map(|item| merkle::leaf_hash(&canonical(item)))
        .collect()
}

/// A signed header and its body.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header with the provider's signature.
    pub header: Signed<Header>,
    /// What it covers.
    pub body: Body,
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::KeyPair;

    #[test]
    fn sizes_stay_within_their_bounds() {
        let key = KeyPair::from_seed(&[1; 32]);
        let header = Header {
            version: VERSION,
            height: 1,
            previous: Hash::ZERO,
            round: 1,
            time: UnixSeconds(1),
            body_root: Hash::ZERO,
            state_root: Hash::ZERO,
            log_root: Hash::ZERO,
            charges: 0,
            group_blocks: 0,
            records: 0,
            ballots: 0,
        };
        let ballot = Ballot {
            voter: GroupId(1),
            height: 1,
            header: header.hash(),
        };
        let group_block = GroupBlock::over(GroupId(1), 1, Hash::ZERO, [].iter());
        assert_eq!(
            canonical(&Signed::new(ballot, &key, &Hash::ZERO)).len(),
            108
        );
        assert_eq!(
            canonical(&Signed::new(group_block, &key, &Hash::ZERO)).len(),
            152
        );
        assert_eq!(
            canonical(&Signed::new(header, &key, &Hash::ZERO)).len(),
            234
        );
    }
}
