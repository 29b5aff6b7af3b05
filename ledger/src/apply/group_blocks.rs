//! Group blocks: each seals exactly the charges of its group that are not late.

use std::collections::BTreeMap;

use protocol::{GroupId, Signed, SignedProfile};

use super::{Invalid, Keys, Signatures, parent_key, sorted};
use crate::block::{Body, GroupBlock};
use crate::state::State;

pub(super) fn check_group_blocks(
    state: &mut State,
    body: &Body,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    sorted(
        &body.group_blocks,
        |signed| signed.body.group,
        "group blocks",
    )?;
    let mut in_time: BTreeMap<GroupId, Vec<&SignedProfile>> = BTreeMap::new();
    for line in body.charges.iter().filter(|line| !line.late) {
        let of_group = in_time.entry(line.profile.body.payer).or_default();
        of_group.push(&line.profile);
    }
    for signed in &body.group_blocks {
        let group = signed.body.group;
        let profiles = in_time.remove(&group).unwrap_or_default();
        check(state, state.round, signed, profiles.into_iter(), signatures)?;
        let hash = signed.hash();
        let account = state.groups.get_mut(&group);
        account
            .ok_or(Invalid::Unknown("a group block's group"))?
            .last_group_block = hash;
    }
    // What no group block took is in time and sealed by nobody.
    match in_time.into_keys().next() {
        Some(group) => Err(Invalid::GroupBlock(group)),
        None => Ok(()),
    }
}

/// Whether a group block is its parent's, follows the group's last, is for `round` and seals
/// exactly `profiles`.
///
/// # Errors
/// `Unknown`, `Signature` or `GroupBlock`.
pub fn check_group_block<'a>(
    state: &State,
    round: u64,
    signed: &Signed<GroupBlock>,
    profiles: impl Iterator<Item = &'a SignedProfile>,
) -> Result<(), Invalid> {
    check(
        state,
        round,
        signed,
        profiles,
        Signatures::Check(&Keys::new(state.chain_id())),
    )
}

fn check<'a>(
    state: &State,
    round: u64,
    signed: &Signed<GroupBlock>,
    profiles: impl Iterator<Item = &'a SignedProfile>,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    let said = &signed.body;
    let account = state.groups.get(&said.group);
    let previous = account
        .ok_or(Invalid::Unknown("a group block's group"))?
        .last_group_block;
    let key = parent_key(state, said.group).ok_or(Invalid::Unknown("a group block's parent"))?;
    signatures
        .check(signed, &key)
        .map_err(|_| Invalid::Signature("a group block"))?;
    let due = GroupBlock::over(said.group, round, previous, profiles);
    if due != *said || due.count == 0 {
        return Err(Invalid::GroupBlock(said.group));
    }
    Ok(())
}
