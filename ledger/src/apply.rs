//! `apply(state, block)`: the only consensus rule. Pure and total: any block gives a state or a
//! reason why it is invalid.

use protocol::{
    ChargerId, EnergyWh, GroupId, Hash, MinorUnits, NodeId, PublicKey, Signed, SignedGrant,
    SignedProfile, SupplyPointId, TariffId, UnixSeconds,
};

use crate::block::{Ballot, Block, Body, ChargeLine, GroupBlock, Header, Record, VERSION};
use crate::finality;
use crate::state::{
    ChargerAccount, GrantAccount, GroupAccount, NodeAccount, State, SupplyPointAccount,
};

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
    #[error("{0} is enrolled already or not the next number")]
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
    /// No such charger, or of another group.
    #[error("the charger is not registered with the paying group")]
    Charger,
    /// No such outlet, or another node's.
    #[error("the supply point is not one of the node's")]
    SupplyPoint,
    /// The register ran backwards, or does not fit.
    #[error("the meter's register runs backwards")]
    Register,
    /// No grant, another charger's, or none for that moment or amount.
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
    check_header(state, &block.header)?;
    check_counts(header, &block.body)?;
    check_round(state, header, &block.body)?;
    let next = advance(state, header, &block.body)?;
    if next.root() != header.state_root {
        return Err(Invalid::Mismatch("state root"));
    }
    Ok(finish(next, header))
}

/// The state after `body`, all but the header's own hash. `header`'s roots are not read, so the
/// provider uses this to find them.
pub(crate) fn advance(state: &State, header: &Header, body: &Body) -> Result<State, Invalid> {
    if state.groups.is_empty() && !body.charges.is_empty() {
        return Err(Invalid::NoVoters);
    }
    let mut next = state.clone();
    next.height = header.height;
    next.round = header.round;
    next.time = header.time;
    for record in &body.records {
        apply_record(&mut next, record)?;
    }
    check_group_blocks(&mut next, body)?;
    apply_charges(&mut next, &body.charges)?;
    apply_ballots(&mut next, &body.ballots)?;
    // After the charges: whether one is valid must not hang on how late its block is sealed.
    drop_old_grants(&mut next);
    // The new header is open, too; its hash is filled in when it is known.
    next.open.push_back(Hash::ZERO);
    finality::advance(&mut next);
    Ok(next)
}

/// Fills in what only the finished header tells.
pub(crate) fn finish(mut next: State, header: &Header) -> State {
    let hash = header.hash();
    next.tip = hash;
    next.log.push(crate::merkle::leaf_hash(&hash.0));
    *next
        .open
        .back_mut()
        .expect("the newest header is always open") = hash;
    next
}

fn check_header(state: &State, signed: &Signed<Header>) -> Result<(), Invalid> {
    let header = &signed.body;
    if header.version != VERSION {
        return Err(Invalid::Version(header.version));
    }
    let expected = state.height + 1;
    if header.height != expected {
        return Err(Invalid::Height {
            expected,
            found: header.height,
        });
    }
    if header.previous != state.tip {
        return Err(Invalid::Previous);
    }
    if header.time < state.time || header.round < state.round {
        return Err(Invalid::Backwards);
    }
    signed
        .verify(&state.genesis.provider_key, &state.chain_id())
        .map_err(|_| Invalid::Signature("the header"))?;
    if header.log_root != state.log.root() {
        return Err(Invalid::Mismatch("log root"));
    }
    Ok(())
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

pub(crate) fn apply_record(state: &mut State, record: &Record) -> Result<(), Invalid> {
    match record {
        Record::Tariff { id, document } => enrol_tariff(state, *id, document),
        Record::EnrolNode { node, key } => enrol_node(state, *node, *key),
        Record::EnrolGroup { group, parent } => enrol_group(state, *group, *parent),
        Record::EnrolSupplyPoint {
            supply_point,
            node,
            owner,
            meter,
        } => enrol_supply_point(state, *supply_point, *node, *owner, *meter),
        Record::RegisterCharger { charger, group } => register_charger(state, *charger, *group),
        Record::Grant(grant) => add_grant(state, grant),
    }
}

fn enrol_tariff(state: &mut State, id: TariffId, document: &str) -> Result<(), Invalid> {
    if state.tariff().0.checked_add(1) != Some(id.0) {
        return Err(Invalid::Taken("the tariff"));
    }
    state.tariffs.insert(id, Hash::of(document.as_bytes()));
    Ok(())
}

fn enrol_node(state: &mut State, node: NodeId, key: PublicKey) -> Result<(), Invalid> {
    key.check()
        .map_err(|_| Invalid::Signature("an enrolment"))?;
    let known = state.nodes.values().any(|account| account.key == key);
    if known || state.nodes.contains_key(&node) {
        return Err(Invalid::Taken("the node"));
    }
    let account = NodeAccount {
        key,
        last_seq: 0,
        last_profile: Hash::ZERO,
    };
    state.nodes.insert(node, account);
    Ok(())
}

fn enrol_group(state: &mut State, group: GroupId, parent: NodeId) -> Result<(), Invalid> {
    if !state.nodes.contains_key(&parent) {
        return Err(Invalid::Unknown("the parent"));
    }
    if state.groups.contains_key(&group) {
        return Err(Invalid::Taken("the group"));
    }
    let account = GroupAccount {
        parent,
        last_group_block: Hash::ZERO,
        energy: EnergyWh(0),
        amount: MinorUnits(0),
        charges: 0,
        voter_since: state.height,
        voted_height: 0,
        last_ballot: state.time,
    };
    state.groups.insert(group, account);
    Ok(())
}

fn enrol_supply_point(
    state: &mut State,
    supply_point: SupplyPointId,
    node: NodeId,
    owner: GroupId,
    meter: Hash,
) -> Result<(), Invalid> {
    if !state.nodes.contains_key(&node) {
        return Err(Invalid::Unknown("the supply point's node"));
    }
    if state.supply_points.contains_key(&supply_point) {
        return Err(Invalid::Taken("the supply point"));
    }
    let account = SupplyPointAccount {
        node,
        owner,
        meter,
        register: EnergyWh(0),
        energy: EnergyWh(0),
        credit: MinorUnits(0),
    };
    state.supply_points.insert(supply_point, account);
    Ok(())
}

fn register_charger(state: &mut State, charger: ChargerId, group: GroupId) -> Result<(), Invalid> {
    if !state.groups.contains_key(&group) {
        return Err(Invalid::Unknown("the charger's group"));
    }
    if state.chargers.contains_key(&charger) {
        return Err(Invalid::Taken("the charger"));
    }
    let account = ChargerAccount {
        group,
        energy: EnergyWh(0),
        amount: MinorUnits(0),
        charges: 0,
        last_profile: Hash::ZERO,
    };
    state.chargers.insert(charger, account);
    Ok(())
}

fn add_grant(state: &mut State, grant: &SignedGrant) -> Result<(), Invalid> {
    check_grant(state, grant)?;
    if state.grants.contains_key(&grant.body.id()) {
        return Err(Invalid::Taken("the grant"));
    }
    state.grants.insert(grant.body.id(), grant_account(grant));
    Ok(())
}

pub(crate) fn grant_account(grant: &SignedGrant) -> GrantAccount {
    GrantAccount {
        charger: grant.body.charger,
        not_before: grant.body.not_before,
        expiry: grant.body.expiry,
        energy_limit_wh: grant.body.energy_limit_wh,
    }
}

/// Whether `grant` is signed by the parent of its charger's group.
///
/// # Errors
/// `Unknown` or `Signature`.
pub fn check_grant(state: &State, grant: &SignedGrant) -> Result<(), Invalid> {
    let body = &grant.body;
    let charger = state.chargers.get(&body.charger);
    if charger.is_none_or(|account| account.group != body.group) {
        return Err(Invalid::Unknown("the grant's charger"));
    }
    let key = parent_key(state, body.group).ok_or(Invalid::Unknown("the grant's group"))?;
    grant
        .verify(&key, &state.chain_id())
        .map_err(|_| Invalid::Signature("a grant"))
}

/// The key of the node that is parent of `group`.
#[must_use]
pub fn parent_key(state: &State, group: GroupId) -> Option<PublicKey> {
    let parent = state.groups.get(&group)?.parent;
    Some(state.nodes.get(&parent)?.key)
}

fn check_group_blocks(state: &mut State, body: &Body) -> Result<(), Invalid> {
    sorted(
        &body.group_blocks,
        |signed| signed.body.group,
        "group blocks",
    )?;
    for signed in &body.group_blocks {
        let group = signed.body.group;
        let in_time = body.charges.iter().filter(|line| !line.late);
        let profiles = in_time
            .map(|line| &line.profile)
            .filter(|profile| profile.body.payer == group);
        check_group_block(state, state.round, signed, profiles)?;
        let hash = signed.hash();
        let account = state.groups.get_mut(&group);
        account
            .ok_or(Invalid::Unknown("a group block's group"))?
            .last_group_block = hash;
    }
    let sealed = |group| {
        let found = body
            .group_blocks
            .binary_search_by_key(&group, |s| s.body.group);
        found.is_ok()
    };
    match body
        .charges
        .iter()
        .find(|line| !line.late && !sealed(line.profile.body.payer))
    {
        Some(line) => Err(Invalid::GroupBlock(line.profile.body.payer)),
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
    let said = &signed.body;
    let account = state.groups.get(&said.group);
    let previous = account
        .ok_or(Invalid::Unknown("a group block's group"))?
        .last_group_block;
    let key = parent_key(state, said.group).ok_or(Invalid::Unknown("a group block's parent"))?;
    signed
        .verify(&key, &state.chain_id())
        .map_err(|_| Invalid::Signature("a group block"))?;
    let due = GroupBlock::over(said.group, round, previous, profiles);
    if due != *said || due.count == 0 {
        return Err(Invalid::GroupBlock(said.group));
    }
    Ok(())
}

fn apply_charges(state: &mut State, charges: &[ChargeLine]) -> Result<(), Invalid> {
    sorted(charges, |line| line.profile.body.sort_key(), "charges")?;
    // A node's profiles follow each other by number, whoever charged.
    let mut in_turn: Vec<&ChargeLine> = charges.iter().collect();
    in_turn.sort_by_key(|line| (line.profile.body.node, line.profile.body.seq));
    for line in in_turn {
        let profile = &line.profile.body;
        let fault = |fault| Invalid::Charge {
            node: profile.node,
            seq: profile.seq,
            fault,
        };
        if line.tariff != state.tariff() || line.tariff.0 == 0 {
            return Err(fault(ChargeFault::Tariff));
        }
        check_profile(state, &line.profile).map_err(fault)?;
        book(state, line);
    }
    Ok(())
}

/// Whether `profile` may be the next of its node.
///
/// # Errors
/// The first rule it breaks.
pub fn check_profile(state: &State, profile: &SignedProfile) -> Result<(), ChargeFault> {
    let body = &profile.body;
    let node = state.nodes.get(&body.node).ok_or(ChargeFault::Node)?;
    if node.last_seq.checked_add(1) != Some(body.seq) {
        return Err(ChargeFault::Seq);
    }
    if node.last_profile != body.previous {
        return Err(ChargeFault::Previous);
    }
    check_content(state, profile)?;
    profile
        .verify(&node.key, &state.chain_id())
        .map_err(|_| ChargeFault::Signature)
}

/// The rules of [`check_profile`] that do not depend on number, order and signature.
///
/// # Errors
/// The first rule it breaks.
pub fn check_content(state: &State, profile: &SignedProfile) -> Result<(), ChargeFault> {
    let body = &profile.body;
    let charger = state.chargers.get(&body.charger);
    if charger.is_none_or(|account| account.group != body.payer) {
        return Err(ChargeFault::Charger);
    }
    let outlet = state.supply_points.get(&body.supply_point);
    let outlet = outlet.filter(|account| account.node == body.node);
    let outlet = outlet.ok_or(ChargeFault::SupplyPoint)?;
    if body.register_start < outlet.register || body.register_end().is_none() {
        return Err(ChargeFault::Register);
    }
    let grant = state.grants.get(&body.grant).ok_or(ChargeFault::Grant)?;
    check_under_grant(grant, body.charger, body.start, body.energy_wh)
}

fn check_under_grant(
    grant: &GrantAccount,
    charger: ChargerId,
    start: UnixSeconds,
    energy_wh: u32,
) -> Result<(), ChargeFault> {
    let in_time = grant.not_before <= start && start < grant.expiry;
    let within = grant.energy_limit_wh == 0 || energy_wh <= grant.energy_limit_wh;
    if grant.charger == charger && in_time && within {
        Ok(())
    } else {
        Err(ChargeFault::Grant)
    }
}

/// Adds a checked charge to every account it touches.
pub(crate) fn book(state: &mut State, line: &ChargeLine) {
    const KNOWN: &str = "checked by check_profile";
    let body = &line.profile.body;
    let energy = u64::from(body.energy_wh);
    let hash = line.profile.hash();
    let node = state.nodes.get_mut(&body.node).expect(KNOWN);
    node.last_seq = body.seq;
    node.last_profile = hash;
    let charger = state.chargers.get_mut(&body.charger).expect(KNOWN);
    charger.energy.0 = charger.energy.0.saturating_add(energy);
    charger.amount.0 = charger.amount.0.saturating_add(line.amount.into());
    charger.charges = charger.charges.saturating_add(1);
    charger.last_profile = hash;
    let group = state.groups.get_mut(&body.payer).expect(KNOWN);
    group.energy.0 = group.energy.0.saturating_add(energy);
    group.amount.0 = group.amount.0.saturating_add(line.amount.into());
    group.charges = group.charges.saturating_add(1);
    let outlet = state
        .supply_points
        .get_mut(&body.supply_point)
        .expect(KNOWN);
    outlet.register = body.register_end().expect(KNOWN);
    outlet.energy.0 = outlet.energy.0.saturating_add(energy);
    outlet.credit.0 = outlet.credit.0.saturating_add(line.credit.into());
}

fn apply_ballots(state: &mut State, ballots: &[Signed<Ballot>]) -> Result<(), Invalid> {
    sorted(ballots, |signed| signed.body.voter, "ballots")?;
    for signed in ballots {
        check_ballot(state, signed)?;
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
    let ballot = &signed.body;
    let voter = state.groups.get(&ballot.voter);
    let news = voter.is_some_and(|account| ballot.height > account.voted_height);
    if !news || state.open_header(ballot.height) != Some(ballot.header) {
        return Err(Invalid::Ballot(ballot.voter));
    }
    let key = parent_key(state, ballot.voter).ok_or(Invalid::Ballot(ballot.voter))?;
    signed
        .verify(&key, &state.chain_id())
        .map_err(|_| Invalid::Signature("a ballot"))
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
