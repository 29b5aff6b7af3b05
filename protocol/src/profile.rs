//! The signed charge profile, the grant it rests on, and what the provider and the parent sign
//! about it.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::crypto::{Domain, Hash};
use crate::ids::{ChargerId, GrantId, GroupId, NodeId, SupplyPointId};
use crate::signed::{Signable, Signed, canonical};
use crate::time::UnixSeconds;
use crate::units::{EnergyWh, PowerW};

/// One finished charge, as the node that measured it signs it: 140 bytes, 204 with its signature.
///
/// # Source
/// The paper's Table II (idTag, start time, maximum output power, end time), plus what billing
/// needs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChargeProfile {
    /// Who charged.
    pub charger: ChargerId,
    /// Who pays.
    pub payer: GroupId,
    /// The node that measured and signed.
    pub node: NodeId,
    /// Counts the node's profiles, from 1, without a gap.
    pub seq: u32,
    /// Hash of the node's profile before this one; zero for its first.
    pub previous: Hash,
    /// Where the energy was taken.
    pub supply_point: SupplyPointId,
    /// Start of the charge.
    pub start: UnixSeconds,
    /// Length of the charge in seconds.
    pub duration_s: u32,
    /// The meter's total register at the start.
    pub register_start: EnergyWh,
    /// Energy taken, Wh.
    pub energy_wh: u32,
    /// The highest power measured.
    pub max_power: PowerW,
    /// The grant under which the charge began.
    pub grant: GrantId,
    /// Hash of the charge's detail, which node and provider keep.
    pub detail: Hash,
}

impl Signable for ChargeProfile {
    const DOMAIN: Domain = Domain::ChargeProfile;
}

impl ChargeProfile {
    /// End of the charge.
    #[must_use]
    pub fn end(&self) -> UnixSeconds {
        UnixSeconds(self.start.0.saturating_add(u64::from(self.duration_s)))
    }

    /// The meter's total register at the end; `None` where the sum does not fit.
    #[must_use]
    pub fn register_end(&self) -> Option<EnergyWh> {
        self.register_start
            .checked_add(EnergyWh(u64::from(self.energy_wh)))
    }

    /// The order of profiles in every Merkle tree.
    #[must_use]
    pub fn sort_key(&self) -> (ChargerId, NodeId, u32) {
        (self.charger, self.node, self.seq)
    }
}

/// A group's permission for one charger, signed by the group's parent. Any gateway can check it
/// offline.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// Who may charge.
    pub charger: ChargerId,
    /// Who pays.
    pub group: GroupId,
    /// The first second a charge may begin in.
    pub not_before: UnixSeconds,
    /// The first second no charge may begin in any more.
    pub expiry: UnixSeconds,
    /// The most one charge may take, Wh; 0 for no limit.
    pub energy_limit_wh: u32,
}

impl Signable for Grant {
    const DOMAIN: Domain = Domain::Grant;
}

impl Grant {
    /// The name by which profiles refer to this grant.
    #[must_use]
    pub fn id(&self) -> GrantId {
        GrantId(Hash::of(&canonical(self)).first_16())
    }

    /// Whether a charge may begin at `moment`.
    #[must_use]
    pub fn covers(&self, moment: UnixSeconds) -> bool {
        self.not_before <= moment && moment < self.expiry
    }
}

/// The provider's promise that a profile will be in the block of exactly one round.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// Hash of the profile.
    pub profile: Hash,
    /// The node that signed the profile.
    pub node: NodeId,
    /// The profile's number at that node.
    pub seq: u32,
    /// The round whose block will hold it.
    pub round: u64,
}

impl Signable for Receipt {
    const DOMAIN: Domain = Domain::Receipt;
}

/// A parent's acknowledgement that it knows a profile of its group.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProfileAck {
    /// The paying group.
    pub group: GroupId,
    /// The round its receipt names.
    pub round: u64,
    /// Hash of the profile.
    pub profile: Hash,
}

impl Signable for ProfileAck {
    const DOMAIN: Domain = Domain::ProfileAck;
}

/// A parent's word on who answers CheckAuth and Authorize and signs grants for its group beside it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deputy {
    /// The group.
    pub group: GroupId,
    /// Counts the group's deputies, from 1, so that an older word cannot be repeated.
    pub number: u32,
    /// The deputy; absent where there is to be none any more.
    pub node: Option<NodeId>,
}

impl Signable for Deputy {
    const DOMAIN: Domain = Domain::Deputy;
}

/// A node's word that an outlet's meter was exchanged: from here on the new one's register counts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MeterExchange {
    /// The outlet.
    pub supply_point: SupplyPointId,
    /// Counts the outlet's exchanges, from 1, so that an older word cannot be repeated.
    pub number: u32,
    /// The old meter's total register when it was taken out; not below the last charge's end.
    pub last_register: EnergyWh,
    /// Hash of the new meter's model and serial number.
    pub meter: Hash,
    /// The new meter's total register when it was put in.
    pub first_register: EnergyWh,
}

impl Signable for MeterExchange {
    const DOMAIN: Domain = Domain::MeterExchange;
}

/// A profile with its node's signature.
pub type SignedProfile = Signed<ChargeProfile>;
/// A grant with its parent's signature.
pub type SignedGrant = Signed<Grant>;
/// A deputy with the parent's signature.
pub type SignedDeputy = Signed<Deputy>;
/// A meter exchange with its node's signature.
pub type SignedMeterExchange = Signed<MeterExchange>;
/// A receipt with the provider's signature.
pub type SignedReceipt = Signed<Receipt>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyPair;
    use crate::signed::decode;

    fn profile() -> ChargeProfile {
        ChargeProfile {
            charger: ChargerId([1; 16]),
            payer: GroupId(2),
            node: NodeId(3),
            seq: 4,
            previous: Hash([5; 32]),
            supply_point: SupplyPointId(6),
            start: UnixSeconds(1_800_000_000),
            duration_s: 3_600,
            register_start: EnergyWh(123_456),
            energy_wh: 11_000,
            max_power: PowerW(11_000),
            grant: GrantId([7; 16]),
            detail: Hash([8; 32]),
        }
    }

    #[test]
    fn a_signed_profile_takes_204_bytes_and_comes_back_the_same() {
        let signed = Signed::new(profile(), &KeyPair::from_seed(&[9; 32]), &Hash::ZERO);
        let bytes = canonical(&signed);
        assert_eq!(bytes.len(), 204);
        assert_eq!(decode(&bytes), Ok(signed));
    }

    #[test]
    fn a_surplus_or_missing_byte_is_refused() {
        let signed = Signed::new(profile(), &KeyPair::from_seed(&[9; 32]), &Hash::ZERO);
        let mut bytes = canonical(&signed);
        bytes.push(0);
        assert!(decode::<SignedProfile>(&bytes).is_err());
        bytes.truncate(bytes.len() - 2);
        assert!(decode::<SignedProfile>(&bytes).is_err());
    }

    #[test]
    fn any_flipped_bit_breaks_the_signature() {
        let key = KeyPair::from_seed(&[9; 32]);
        let bytes = canonical(&Signed::new(profile(), &key, &Hash::ZERO));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let signed: SignedProfile = decode(&flipped).expect("every field takes any bits");
            assert!(
                signed.verify(&key.public(), &Hash::ZERO).is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_grant_covers_its_first_second_and_not_its_expiry() {
        let grant = Grant {
            charger: ChargerId([1; 16]),
            group: GroupId(1),
            not_before: UnixSeconds(10),
            expiry: UnixSeconds(20),
            energy_limit_wh: 0,
        };
        let covered: Vec<_> = [9, 10, 19, 20]
            .map(|s| grant.covers(UnixSeconds(s)))
            .to_vec();
        assert_eq!(covered, [false, true, true, false]);
    }
}
