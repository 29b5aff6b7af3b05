//! Who else sees a charge before its block: drawn, so that nobody picks them.

use std::collections::BTreeSet;

use protocol::{GroupId, Hash};

use crate::accounts::Accounts;
use crate::state::GroupAccount;

/// Draws `wanted` groups other than `payer`; all of them where there are no more.
///
/// Each lot is a hash over the newest header, the payer and the draw. It falls on the first group
/// at or above it that was not drawn yet: a few hashes for each charge, however many groups there
/// are.
pub(super) fn draw(
    tip: &Hash,
    payer: GroupId,
    wanted: usize,
    groups: &Accounts<GroupId, GroupAccount>,
) -> BTreeSet<GroupId> {
    let Some((last, _)) = groups.last_key_value() else {
        return BTreeSet::new();
    };
    let mut drawn = BTreeSet::new();
    for number in (0_u64..).take(wanted) {
        let lot = lot(tip, payer, number, *last);
        let above = groups.iter_from(&lot).chain(groups);
        let mut free = above
            .map(|(group, _)| *group)
            .filter(|group| *group != payer && !drawn.contains(group));
        match free.next() {
            Some(group) => drawn.insert(group),
            None => break,
        };
    }
    drawn
}

fn lot(tip: &Hash, payer: GroupId, number: u64, last: GroupId) -> GroupId {
    let hash = Hash::of_parts(&[&tip.0, &payer.0.to_be_bytes(), &number.to_be_bytes()]);
    let [a, b, c, d, ..] = hash.0;
    let lot = u32::from_be_bytes([a, b, c, d]);
    // Groups are numbered from 1 without larger gaps; the payer is left out, because the group
    // after it would be drawn in its place.
    let lot = lot % last.0.saturating_sub(1).max(1) + 1;
    GroupId(lot + u32::from(lot >= payer.0))
}

#[cfg(test)]
mod tests {
    use protocol::{EnergyWh, MinorUnits, NodeId, UnixSeconds};

    use super::*;

    fn groups(count: u32) -> Accounts<GroupId, GroupAccount> {
        let account = GroupAccount {
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
            last_ballot: UnixSeconds(0),
        };
        let numbers = (1..=count).map(GroupId);
        numbers.map(|group| (group, account.clone())).collect()
    }

    fn check(count: u32, wanted: usize, expected: usize) {
        let drawn = draw(&Hash::ZERO, GroupId(1), wanted, &groups(count));
        assert_eq!(drawn.len(), expected, "{wanted} of {count}");
        assert!(!drawn.contains(&GroupId(1)));
    }

    #[test]
    fn as_many_as_wanted_are_drawn_and_never_the_payer() {
        check(0, 8, 0);
        check(1, 8, 0);
        check(5, 8, 4);
        check(9, 8, 8);
        check(1_000, 8, 8);
        check(1_000, 255, 255);
    }

    #[test]
    fn every_group_is_drawn_about_as_often() {
        let groups = groups(100);
        let mut times = vec![0; 101];
        for header in 0..2_000_u32 {
            let tip = Hash::of(&header.to_be_bytes());
            for group in draw(&tip, GroupId(1), 8, &groups) {
                times[usize::try_from(group.0).expect("small")] += 1;
            }
        }
        // 162 on average; the numbers are the same in every run.
        assert!(
            times[2..].iter().all(|n| (100..250).contains(n)),
            "{times:?}"
        );
    }
}
