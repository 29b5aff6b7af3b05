//! `apply(state, block)`: the only consensus rule. Pure and total: any block gives a state or a
//! reason why it is invalid.

mod ballots;
mod charges;
mod group_blocks;
mod header;
mod records;
mod signatures;

use protocol::{Grant, GroupId, Hash, NodeId, PublicKey, SupplyPointId};

use crate::block::{Block, Body, Header, VERSION};
use crate::finality;
use crate::state::{OpenHeader, State};

pub use ballots::check_ballot;
pub use charges::{check_content, check_profile};
pub use group_blocks::check_group_block;
pub use records::check_grant;

pub(crate) use ballots::is_ballot_open;
pub(crate) use charges::book;
pub(crate) use header::Edge;
pub(crate) use records::{apply_record, check_granted, grant_account};
pub(crate) use signatures::{Keys, Signatures};

use ballots::apply_ballots;
use charges::apply_charges;
use group_blocks::check_group_blocks;

/// How long after its expiry a grant stays in the state. A charge that comes later brings it along
/// once more.
const GRANT_KEPT_S: u64 = 30 * 24 * 3600;

/// Why a block is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A version this program does not know.
    #[error("header version {0} is not {VERSION}")]
    Version(u16),
    /// Not the next height.
    #[error("height {found} where {expected} was due")]
    Height {
        /// The next height.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// The header does not follow our newest.
    #[error("the header does not extend the newest one")]
    Previous,
    /// Round or time runs backwards.
    #[error("round or time runs backwards")]
    Backwards,
    /// A second block for a round holds more than ballots.
    #[error("round {0} has its block already; only ballots may follow")]
    RoundTaken(u64),
    /// A block without entries that makes nothing final either.
    #[error("it is empty and makes no earlier block final")]
    Empty,
    /// A root or a count that differs from what it covers.
    #[error("the header's {0} does not match")]
    Mismatch(&'static str),
    /// A signature that does not hold.
    #[error("the signature of {0} does not hold")]
    Signature(&'static str),
    /// Entries out of order, or one twice.
    #[error("{0} are not strictly sorted")]
    Order(&'static str),
    /// A number that is in use, or not the next.
    #[error("{0} is in the chain already or not the next number")]
    Taken(&'static str),
    /// A reference to what the chain does not know.
    #[error("{0} is unknown")]
    Unknown(&'static str),
    /// A group block that does not follow its group's last, or whose sums differ.
    #[error("the group block of group {0} does not match its profiles")]
    GroupBlock(GroupId),
    /// A charge that breaks a rule.
    #[error("charge {seq} of node {node}: {fault}")]
    Charge {
        /// The node.
        node: NodeId,
        /// Its profile's number.
        seq: u32,
        /// The rule.
        fault: ChargeFault,
    },
    /// A charge that nobody has a vote on.
    #[error("it holds charges, and no group was enrolled before it that could vote on them")]
    NoVoters,
    /// A meter exchange below the end of the outlet's last charge.
    #[error("the meter of supply point {0} was exchanged below the end of its last charge")]
    MeterExchange(SupplyPointId),
    /// Words of voters that pick no header of this chain.
    #[error("the words of voters in it pick no header of this chain")]
    Resume,
    /// Evidence that proves nothing.
    #[error("the evidence in it proves nothing")]
    Evidence,
    /// A ballot that is none for this chain, or says nothing new.
    #[error("the ballot of group {0} is not for this chain or says nothing new")]
    Ballot(GroupId),
}

/// Why a charge profile cannot be in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChargeFault {
    /// No such node.
    #[error("the node is not enrolled")]
    Node,
    /// Not signed by its node.
    #[error("the signature is not its node's")]
    Signature,
    /// Not one more than the node's last.
    #[error("its number is not one more than the node's last")]
    Seq,
    /// Does not name the node's last profile.
    #[error("it does not name the profile before it")]
    Previous,
    /// No such charger.
    #[error("the charger is not registered")]
    Charger,
    /// No such outlet, or another node's.
    #[error("the supply point is not one of the node's")]
    SupplyPoint,
    /// The register ran backwards, or does not fit.
    #[error("the meter's register runs backwards")]
    Register,
    /// No grant, another charger's or group's, or none for that moment or amount.
    #[error("no grant covers it")]
    Grant,
    /// No tariff, or not the one in force.
    #[error("it is not billed under the tariff in force")]
    Tariff,
}

/// Applies a block to the state before it.
///
/// # Errors
/// `Invalid`: the block is no successor of this state, whoever signed it.
pub fn apply(state: &State, block: &Block) -> Result<State, Invalid> {
    let header = &block.header.body;
    Edge::of(state).check_next(&block.header)?;
    check_counts(header, &block.body)?;
    check_round(state, header, &block.body)?;
    let keys = Keys::new(state.chain_id());
    let next = advance(state, header, &block.body, Signatures::Check(&keys))?;
    if next.root() != header.state_root {
        return Err(Invalid::Mismatch("state root"));
    }
    Ok(finish(next, header))
}

/// The state after `body`, all but the header's own hash. `header`'s roots are not read, so the
/// provider uses this to find them.
pub(crate) fn advance(
    state: &State,
    header: &Header,
    body: &Body,
    signatures: Signatures<'_>,
) -> Result<State, Invalid> {
    if state.groups.is_empty() && !body.charges.is_empty() {
        return Err(Invalid::NoVoters);
    }
    let mut next = state.clone();
    next.height = header.height;
    next.round = header.round;
    next.time = header.time;
    for record in &body.records {
        apply_record(&mut next, record, signatures)?;
    }
    check_group_blocks(&mut next, body, signatures)?;
    apply_charges(&mut next, &body.charges, signatures)?;
    apply_ballots(&mut next, &body.ballots, signatures)?;
    // After the charges: whether one is valid must not hang on how late its block is sealed.
    drop_old_grants(&mut next);
    // The new header is open, too; its hash is filled in when it is known.
    next.open.push_back(OpenHeader {
        hash: Hash::ZERO,
        time: header.time,
    });
    finality::advance(&mut next);
    check_purpose(state, &next, body)?;
    Ok(next)
}

/// An empty block has one purpose: to carry the time at which an earlier header is final without
/// the dormant. Without that bound a provider could seal them without end.
fn check_purpose(state: &State, next: &State, body: &Body) -> Result<(), Invalid> {
    let newest_final = next.final_height.min(state.height);
    if body.is_empty() && newest_final <= state.final_height {
        return Err(Invalid::Empty);
    }
    Ok(())
}

/// Fills in what only the finished header tells.
pub(crate) fn finish(mut next: State, header: &Header) -> State {
    let hash = header.hash();
    next.tip = hash;
    next.log.push(crate::merkle::leaf_hash(&hash.0));
    next.open
        .back_mut()
        .expect("the newest header is always open")
        .hash = hash;
    next
}

fn check_counts(header: &Header, body: &Body) -> Result<(), Invalid> {
    let counts = [
        (header.records, body.records.len()),
        (header.group_blocks, body.group_blocks.len()),
        (header.charges, body.charges.len()),
        (header.ballots, body.ballots.len()),
    ];
    if counts
        .iter()
        .any(|(said, is)| usize::try_from(*said) != Ok(*is))
    {
        return Err(Invalid::Mismatch("count"));
    }
    if body.root() != header.body_root {
        return Err(Invalid::Mismatch("body root"));
    }
    Ok(())
}

fn check_round(state: &State, header: &Header, body: &Body) -> Result<(), Invalid> {
    let only_ballots =
        body.records.is_empty() && body.charges.is_empty() && body.group_blocks.is_empty();
    if state.height > 0 && header.round == state.round && !only_ballots {
        return Err(Invalid::RoundTaken(header.round));
    }
    Ok(())
}

fn drop_old_grants(state: &mut State) {
    let time = state.time.0;
    state
        .grants
        .retain(|_, grant| grant.expiry.0.saturating_add(GRANT_KEPT_S) > time);
}

/// The key of the node that is parent of `group`.
#[must_use]
pub fn parent_key(state: &State, group: GroupId) -> Option<PublicKey> {
    let parent = state.groups.get(&group)?.parent;
    Some(state.nodes.get(&parent)?.key)
}

/// The key of the node that signs grants for `group` beside its parent.
#[must_use]
pub fn deputy_key(state: &State, group: GroupId) -> Option<PublicKey> {
    let deputy = state.groups.get(&group)?.deputy?;
    Some(state.nodes.get(&deputy)?.key)
}

/// The keys that `grant` may be signed with. None where its group is unknown.
pub(crate) fn grant_keys<'s>(
    state: &'s State,
    grant: &Grant,
) -> impl Iterator<Item = PublicKey> + 's {
    let expiry = grant.expiry;
    let group = state.groups.get(&grant.group).into_iter();
    let nodes = group.flat_map(move |account| account.granting(expiry));
    nodes.filter_map(|node| Some(state.nodes.get(&node)?.key))
}

fn sorted<T, K: Ord>(
    items: &[T],
    key: impl Fn(&T) -> K,
    what: &'static str,
) -> Result<(), Invalid> {
    if items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        Ok(())
    } else {
        Err(Invalid::Order(what))
    }
}
