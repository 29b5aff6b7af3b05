//! When a block is final: more than half of the voters have said yes, inside the chain.

use crate::state::State;

/// Moves `final_height` as far as the ballots in the chain carry it.
///
/// The voters of a header are those enrolled up to its newest final ancestor. As long as there
/// are none, the provider is alone and a header is final when it is sealed.
///
/// # Source
/// The paper: "more than half of correct validations adds the block".
pub(crate) fn advance(state: &mut State) {
    while state.final_height < state.height && next_is_final(state) {
        state.final_height += 1;
        state.open.pop_front();
    }
}

fn next_is_final(state: &State) -> bool {
    let next = state.final_height + 1;
    let mut voters = 0_u64;
    let mut yes = 0_u64;
    for group in state.groups.values() {
        if group.voter_since <= state.final_height {
            voters += 1;
            yes += u64::from(group.voted_height >= next);
        }
    }
    voters == 0 || yes * 2 > voters
}
