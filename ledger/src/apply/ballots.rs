//! Ballots: each voter's newest, for an open header of this chain.

use protocol::Signed;

use super::{Invalid, Keys, Signatures, parent_key, sorted};
use crate::block::Ballot;
use crate::state::State;

pub(super) fn apply_ballots(
    state: &mut State,
    ballots: &[Signed<Ballot>],
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    sorted(ballots, |signed| signed.body.voter, "ballots")?;
    for signed in ballots {
        check(state, signed, signatures)?;
        let time = state.time;
        let voter = state.groups.get_mut(&signed.body.voter);
        let voter = voter.ok_or(Invalid::Ballot(signed.body.voter))?;
        voter.voted_height = signed.body.height;
        voter.last_ballot = time;
    }
    Ok(())
}

/// Whether a ballot is its voter's, for an open header of this chain, and newer than its last.
///
/// # Errors
/// `Ballot` or `Signature`.
pub fn check_ballot(state: &State, signed: &Signed<Ballot>) -> Result<(), Invalid> {
    check(
        state,
        signed,
        Signatures::Check(&Keys::new(state.chain_id())),
    )
}

/// Whether a ballot whose signature was checked is for an open header of this chain, and newer than
/// its voter's last.
pub(crate) fn is_ballot_open(state: &State, signed: &Signed<Ballot>) -> bool {
    check(state, signed, Signatures::Checked).is_ok()
}

fn check(
    state: &State,
    signed: &Signed<Ballot>,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    let ballot = &signed.body;
    let voter = state.groups.get(&ballot.voter);
    let news = voter.is_some_and(|account| ballot.height > account.voted_height);
    if !news || state.open_header(ballot.height) != Some(ballot.header) {
        return Err(Invalid::Ballot(ballot.voter));
    }
    let key = parent_key(state, ballot.voter).ok_or(Invalid::Ballot(ballot.voter))?;
    signatures
        .check(signed, &key)
        .map_err(|_| Invalid::Signature("a ballot"))
}
