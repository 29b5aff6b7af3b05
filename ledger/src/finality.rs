//! When a block is final: more than half of the voters have said yes, inside the chain.

use protocol::GroupId;

use crate::state::{GroupAccount, State};

/// Moves `final_height` as far as the ballots in the chain carry it.
///
/// The voters of a header are those enrolled up to its newest final ancestor. As long as there
/// are none, the provider is alone and a header is final when it is sealed; such blocks hold no
/// charges.
///
/// # Source
/// The paper: "more than half of correct validations adds the block".
pub(crate) fn advance(state: &mut State) {
    let reached = reach(state, |_, group| group.voted_height);
    while state.final_height < reached {
        state.final_height += 1;
        state.open.pop_front();
    }
}

/// The height that would be final if each voter's highest ballot were for `voted`.
pub(crate) fn reach(state: &State, voted: impl Fn(GroupId, &GroupAccount) -> u64) -> u64 {
    let mut reached = state.final_height;
    while reached < state.height && is_next_final(state, reached, &voted) {
        reached += 1;
    }
    reached
}

fn is_next_final(
    state: &State,
    newest_final: u64,
    voted: impl Fn(GroupId, &GroupAccount) -> u64,
) -> bool {
    let mut voters = 0_u64;
    let mut yes = 0_u64;
    for (id, group) in &state.groups {
        if group.voter_since <= newest_final {
            voters += 1;
            yes += u64::from(voted(*id, group) > newest_final);
        }
    }
    voters == 0 || yes * 2 > voters
}
