//! Making blocks: the provider's side of [`crate::apply::apply`].

use protocol::{Hash, KeyPair, Signed, UnixSeconds};

use crate::apply::{Invalid, Keys, Signatures, advance, apply, finish};
use crate::block::{Block, Body, Header, VERSION};
use crate::state::State;

/// Seals `body` as the next block after `state` and tells the state after it.
///
/// # Errors
/// `Invalid` where the body breaks a rule; nothing is signed then.
pub fn seal(
    state: &State,
    body: Body,
    round: u64,
    time: UnixSeconds,
    key: &KeyPair,
) -> Result<(Block, State), Invalid> {
    let keys = Keys::new(state.chain_id());
    make(state, body, (round, time), key, Signatures::Check(&keys))
}

/// [`seal`] for a body whose signatures were all checked when they were taken in.
pub(crate) fn seal_checked(
    state: &State,
    body: Body,
    moment: (u64, UnixSeconds),
    key: &KeyPair,
) -> Result<(Block, State), Invalid> {
    let sealed = make(state, body, moment, key, Signatures::Checked)?;
    if cfg!(debug_assertions) {
        let applied = apply(state, &sealed.0);
        let reason = applied.as_ref().err();
        debug_assert!(
            applied.as_ref() == Ok(&sealed.1),
            "sealed what is invalid: {reason:?}"
        );
    }
    Ok(sealed)
}

fn make(
    state: &State,
    body: Body,
    (round, time): (u64, UnixSeconds),
    key: &KeyPair,
    signatures: Signatures<'_>,
) -> Result<(Block, State), Invalid> {
    let mut header = Header {
        version: VERSION,
        height: state.height + 1,
        previous: state.tip,
        round,
        // The chain's time never runs backwards, whatever the provider's clock did.
        time: time.max(state.time),
        body_root: body.root(),
        state_root: Hash::ZERO,
        log_root: state.log.root(),
        charges: count(body.charges.len()),
        group_blocks: count(body.group_blocks.len()),
        records: count(body.records.len()),
        ballots: count(body.ballots.len()),
    };
    let next = advance(state, &header, &body, signatures)?;
    header.state_root = next.root();
    let next = finish(next, &header);
    let header = Signed::new(header, key, &state.chain_id());
    Ok((Block { header, body }, next))
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a body is bounded far below 2^32 entries")
}
