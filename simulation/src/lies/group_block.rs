//! Lies of a parent about its group's round.

use std::collections::BTreeMap;

use ledger::GroupBlock;
use ledger::frame::{SealedGroup, SealedProfile};
use protocol::{Hash, KeyPair, Signed, SignedProfile};

/// How a group block is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupBlockLie {
    Altering,
    Omitting,
    Doubling,
    WrongTotal,
    WrongPrevious,
    WrongRound,
    BadSignature,
    Two,
    Silent,
}

/// All of them, with the names they are counted under.
pub(crate) const GROUP_BLOCK_LIES: [(GroupBlockLie, &str); 9] = [
    (GroupBlockLie::Altering, "lie: a parent alters a charge"),
    (GroupBlockLie::Omitting, "lie: a parent leaves a charge out"),
    (
        GroupBlockLie::Doubling,
        "lie: a parent seals a charge twice",
    ),
    (
        GroupBlockLie::WrongTotal,
        "lie: a parent states a wrong total",
    ),
    (
        GroupBlockLie::WrongPrevious,
        "lie: a parent hides a group block",
    ),
    (
        GroupBlockLie::WrongRound,
        "lie: a parent seals another round",
    ),
    (
        GroupBlockLie::BadSignature,
        "lie: a parent's signature is bad",
    ),
    (GroupBlockLie::Two, "lie: a parent seals a round twice"),
    (GroupBlockLie::Silent, "lie: a parent seals nothing"),
];

/// What goes out in place of an honest group block; `witnessed` are the profiles it may name by
/// their hashes. `None` where there is nothing to lie about.
pub(super) fn lie(
    lie: GroupBlockLie,
    honest: &SealedGroup,
    witnessed: &BTreeMap<Hash, SignedProfile>,
    key: &KeyPair,
    chain_id: &Hash,
) -> Option<Vec<SealedGroup>> {
    let in_full = |sealed: &SealedProfile| match sealed {
        SealedProfile::Known(hash) => witnessed.get(hash).cloned(),
        SealedProfile::Full(profile) => Some((**profile).clone()),
    };
    let profiles: Option<Vec<SignedProfile>> = honest.profiles.iter().map(in_full).collect();
    let mut profiles = profiles?;
    let mut said = honest.block.body.clone();
    match lie {
        GroupBlockLie::Silent => return Some(Vec::new()),
        GroupBlockLie::Altering => profiles[0].body.energy_wh /= 10,
        GroupBlockLie::Omitting => drop(profiles.pop()),
        GroupBlockLie::Doubling => profiles.push(profiles.last()?.clone()),
        GroupBlockLie::WrongPrevious => said.previous.0[0] ^= 1,
        GroupBlockLie::WrongRound => said.round += 1,
        GroupBlockLie::WrongTotal | GroupBlockLie::BadSignature | GroupBlockLie::Two => {}
    }
    let mut block = GroupBlock::over(said.group, said.round, said.previous, profiles.iter());
    if matches!(lie, GroupBlockLie::WrongTotal | GroupBlockLie::Two) {
        block.energy.0 += 1;
    }
    let stranger = KeyPair::from_seed(&[78; 32]);
    let key = match lie {
        GroupBlockLie::BadSignature => &stranger,
        _ => key,
    };
    let named = |profile: &SignedProfile| match witnessed.contains_key(&profile.hash()) {
        true => SealedProfile::Known(profile.hash()),
        false => SealedProfile::Full(Box::new(profile.clone())),
    };
    let other = SealedGroup {
        block: Signed::new(block, key, chain_id),
        profiles: profiles.iter().map(named).collect(),
    };
    Some(match lie {
        GroupBlockLie::Two => vec![honest.clone(), other],
        _ => vec![other],
    })
}
