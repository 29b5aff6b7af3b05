//! When a block is final: more than half of the voters have said yes, inside the chain; or more
//! than half of those that are not dormant, and the block's dispute period is over.

use protocol::{GroupId, UnixSeconds};

use crate::state::{GroupAccount, State};

/// What counts of a voter: its newest ballot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// The highest header it said yes to; 0 for none.
    pub(crate) height: u64,
    /// When its last ballot came, in header time.
    pub(crate) at: UnixSeconds,
}

impl Said {
    /// What the chain holds of a voter.
    pub(crate) fn in_chain(group: &GroupAccount) -> Self {
        Self {
            height: group.voted_height,
            at: group.last_ballot,
        }
    }
}

/// How far finality goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The newest final header.
    pub(crate) last: u64,
    /// The newest one that became final by more than half of all voters; its ancestors are
    /// confirmed with it, also those that were final without the dormant.
    pub(crate) confirmed: u64,
}

/// What the voters make of one header.
enum Verdict {
    Open,
    FinalWithoutDormant,
    Final,
}

/// Moves `final_height` and `confirmed_height` as far as the ballots in the chain and its time
/// carry them.
pub(crate) fn advance(state: &mut State) {
    let reach = reach(state, state.time, |_, group| Said::in_chain(group));
    while state.final_height < reach.last {
        state.final_height += 1;
        state.open.pop_front();
    }
    state.confirmed_height = reach.confirmed;
}

/// How far finality would go at the time `at` if each voter had said what `said` tells.
///
/// It never goes back as time passes: silence only takes voters away that did not say yes.
pub(crate) fn reach(
    state: &State,
    at: UnixSeconds,
    said: impl Fn(GroupId, &GroupAccount) -> Said,
) -> Reach {
    let mut reach = Reach {
        last: state.final_height,
        confirmed: state.confirmed_height,
    };
    while reach.last < state.height {
        match judge(state, reach.last, at, &said) {
            Verdict::Open => break,
            Verdict::FinalWithoutDormant => reach.last += 1,
            Verdict::Final => {
                reach.last += 1;
                reach.confirmed = reach.last;
            }
        }
    }
    reach
}

/// Judges the header after `newest_final`. Its voters are those enrolled up to there. As long as
/// there are none, the provider is alone and a header is final when it is sealed; such blocks hold
/// no charges.
///
/// A dormant voter that said yes still counts as one: its ballot is in the chain, and so whoever
/// holds the ballots can prove finality without proving who of them is awake.
///
/// # Source
/// The paper: "more than half of correct validations adds the block".
fn judge(
    state: &State,
    newest_final: u64,
    at: UnixSeconds,
    said: impl Fn(GroupId, &GroupAccount) -> Said,
) -> Verdict {
    let (mut voters, mut yes, mut dormant) = (0_u64, 0_u64, 0_u64);
    for (id, group) in &state.groups {
        if group.voter_since <= newest_final {
            let said = said(*id, group);
            let is_yes = said.height > newest_final;
            voters += 1;
            yes += u64::from(is_yes);
            dormant += u64::from(!is_yes && state.genesis.is_dormant(said.at, at));
        }
    }
    if voters == 0 || yes * 2 > voters {
        return Verdict::Final;
    }
    let sealed = state.open_time(newest_final + 1);
    let is_undisputed = sealed.is_some_and(|sealed| state.genesis.is_dispute_over(sealed, at));
    match yes * 2 > voters - dormant && is_undisputed {
        true => Verdict::FinalWithoutDormant,
        false => Verdict::Open,
    }
}
