//! Grants whose signatures were checked: many charges rest on one.

use std::collections::BTreeMap;

use protocol::{GrantId, PublicKey, Signature, SignedGrant};

use crate::apply::{Invalid, check_grant, check_granted, deputy_key, parent_key};
use crate::state::State;

/// More than this many grants that the preview does not hold are not kept.
const SPARE: usize = 1_000;

/// The keys that a grant may be signed with, and the signature it bears.
type Signed = (PublicKey, Option<PublicKey>, Signature);

/// The grants that charges which were taken in rest on.
#[derive(Debug, Default)]
pub(super) struct CheckedGrants(BTreeMap<GrantId, Signed>);

impl CheckedGrants {
    /// What [`check_grant`] says; the signature is not checked again where it is bit for bit one
    /// that was, under the keys that the group's parent and deputy still have.
    pub(super) fn check(&self, state: &State, grant: &SignedGrant) -> Result<(), Invalid> {
        let known = self.0.get(&grant.body.id());
        match known.is_some_and(|known| Some(*known) == signed(state, grant)) {
            true => check_granted(state, grant),
            false => check_grant(state, grant),
        }
    }

    /// Notes a grant that was checked in `state`.
    pub(super) fn note(&mut self, state: &State, grant: &SignedGrant) {
        if let Some(signed) = signed(state, grant) {
            self.0.insert(grant.body.id(), signed);
        }
    }

    /// Forgets what `state` does not hold any more, once it is much.
    pub(super) fn forget(&mut self, state: &State) {
        if self.0.len() > state.grants.len() + SPARE {
            self.0.retain(|id, _| state.grants.contains_key(id));
        }
    }
}

fn signed(state: &State, grant: &SignedGrant) -> Option<Signed> {
    let group = grant.body.group;
    let parent = parent_key(state, group)?;
    Some((parent, deputy_key(state, group), grant.signature))
}

#[cfg(test)]
mod tests {
    use protocol::{
        ChargerId, EnergyWh, Genesis, Grant, GroupId, Hash, KeyPair, MinorUnits, NodeId, Signed,
        UnixSeconds,
    };

    use super::*;
    use crate::state::{ChargerAccount, GroupAccount, NodeAccount};

    const CHARGER: ChargerId = ChargerId([1; 16]);

    fn genesis() -> Genesis {
        Genesis {
            provider_key: KeyPair::from_seed(&[1; 32]).public(),
            time: UnixSeconds(1),
            interval_s: 60,
            witnesses: 8,
            dormancy_s: Genesis::DORMANCY_S,
            dispute_period_s: Genesis::DISPUTE_PERIOD_S,
            currency: "EUR".to_owned(),
            test: true,
        }
    }

    /// A charger in a group whose parent has `key`.
    fn state(key: &KeyPair) -> State {
        let mut state = State::new(genesis());
        let node = NodeAccount {
            key: key.public(),
            last_seq: 0,
            last_profile: Hash::ZERO,
        };
        let group = GroupAccount {
            parent: NodeId(1),
            deputy: None,
            deputies: 0,
            former_deputies: Vec::new(),
            last_group_block: Hash::ZERO,
            energy: EnergyWh(0),
            amount: MinorUnits(0),
            charges: 0,
            voter_since: 1,
            voted_height: 0,
            last_ballot: UnixSeconds(1),
        };
        let charger = ChargerAccount {
            group: GroupId(1),
            former: Vec::new(),
            energy: EnergyWh(0),
            amount: MinorUnits(0),
            charges: 0,
            last_profile: Hash::ZERO,
        };
        state.nodes.insert(NodeId(1), node);
        state.groups.insert(GroupId(1), group);
        state.chargers.insert(CHARGER, charger);
        state
    }

    fn grant(key: &KeyPair) -> SignedGrant {
        let grant = Grant {
            charger: CHARGER,
            group: GroupId(1),
            not_before: UnixSeconds(1),
            expiry: UnixSeconds(9),
            energy_limit_wh: 0,
        };
        Signed::new(grant, key, &genesis().chain_id())
    }

    #[test]
    fn a_known_grant_with_another_signature_is_checked_again() {
        let (key, other) = (KeyPair::from_seed(&[2; 32]), KeyPair::from_seed(&[3; 32]));
        let state = state(&key);
        let mut grants = CheckedGrants::default();
        grants.note(&state, &grant(&key));
        assert_eq!(grants.check(&state, &grant(&key)), Ok(()));
        let refused = Err(Invalid::Signature("a grant"));
        assert_eq!(grants.check(&state, &grant(&other)), refused);
    }

    #[test]
    fn a_known_grant_is_checked_again_when_its_parent_has_another_key() {
        let (key, other) = (KeyPair::from_seed(&[2; 32]), KeyPair::from_seed(&[3; 32]));
        let mut grants = CheckedGrants::default();
        grants.note(&state(&key), &grant(&key));
        let refused = Err(Invalid::Signature("a grant"));
        assert_eq!(grants.check(&state(&other), &grant(&key)), refused);
    }
}
