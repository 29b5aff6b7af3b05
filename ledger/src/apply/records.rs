//! Records: tariffs, enrolments, grants, evidence, and what changes after an enrolment.

use protocol::{
    ChargerId, EnergyWh, GroupId, Hash, MinorUnits, NodeId, PublicKey, Signed, SignedDeputy,
    SignedGrant, SignedMeterExchange, SupplyPointId, TariffId, canonical,
};

use super::{Invalid, Keys, Signatures, grant_keys, parent_key};
use crate::block::Record;
use crate::evidence::{Conviction, Evidence, Offence};
use crate::resume::{Resume, picked};
use crate::state::{
    ChargerAccount, GrantAccount, GroupAccount, NodeAccount, State, SupplyPointAccount,
};

pub(crate) fn apply_record(
    state: &mut State,
    record: &Record,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
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
        Record::Grant(grant) => add_grant(state, grant, signatures),
        Record::Evidence(evidence) => convict(state, evidence),
        Record::MoveCharger { charger, group } => move_charger(state, *charger, *group),
        Record::Deputy(deputy) => name_deputy(state, deputy, signatures),
        Record::MeterExchange(exchange) => exchange_meter(state, exchange, signatures),
        Record::Resume(words) => resume(state, words),
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
        deputy: None,
        deputies: 0,
        former_deputies: Vec::new(),
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
        exchanges: 0,
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
        former: Vec::new(),
        energy: EnergyWh(0),
        amount: MinorUnits(0),
        charges: 0,
        last_profile: Hash::ZERO,
    };
    state.chargers.insert(charger, account);
    Ok(())
}

fn move_charger(state: &mut State, charger: ChargerId, group: GroupId) -> Result<(), Invalid> {
    if !state.groups.contains_key(&group) {
        return Err(Invalid::Unknown("the charger's group"));
    }
    let account = state.chargers.get_mut(&charger);
    let account = account.ok_or(Invalid::Unknown("the charger"))?;
    if account.group == group {
        return Err(Invalid::Taken("the charger's group"));
    }
    account.move_to(group);
    Ok(())
}

fn name_deputy(
    state: &mut State,
    deputy: &SignedDeputy,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    let body = &deputy.body;
    let key = parent_key(state, body.group).ok_or(Invalid::Unknown("the deputy's group"))?;
    if body
        .node
        .is_some_and(|node| !state.nodes.contains_key(&node))
    {
        return Err(Invalid::Unknown("the deputy"));
    }
    let account = &state.groups[&body.group];
    if account.deputies.checked_add(1) != Some(body.number) {
        return Err(Invalid::Taken("the deputy"));
    }
    signatures
        .check(deputy, &key)
        .map_err(|_| Invalid::Signature("a deputy"))?;
    let time = state.time;
    if let Some(account) = state.groups.get_mut(&body.group) {
        account.name_deputy(body.node, time);
    }
    Ok(())
}

fn exchange_meter(
    state: &mut State,
    exchange: &SignedMeterExchange,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    let body = &exchange.body;
    let account = state.supply_points.get(&body.supply_point);
    let account = account.ok_or(Invalid::Unknown("the exchanged meter's supply point"))?;
    if account.exchanges.checked_add(1) != Some(body.number) {
        return Err(Invalid::Taken("the meter exchange"));
    }
    if body.last_register < account.register {
        return Err(Invalid::MeterExchange(body.supply_point));
    }
    let node = state.nodes.get(&account.node);
    let key = node.ok_or(Invalid::Unknown("the supply point's node"))?.key;
    signatures
        .check(exchange, &key)
        .map_err(|_| Invalid::Signature("a meter exchange"))?;
    if let Some(account) = state.supply_points.get_mut(&body.supply_point) {
        account.exchanges = body.number;
        account.meter = body.meter;
        account.register = body.first_register;
    }
    Ok(())
}

fn add_grant(
    state: &mut State,
    grant: &SignedGrant,
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
    check(state, grant, signatures)?;
    if state.grants.contains_key(&grant.body.id()) {
        return Err(Invalid::Taken("the grant"));
    }
    state.grants.insert(grant.body.id(), grant_account(grant));
    Ok(())
}

fn convict(state: &mut State, evidence: &Evidence) -> Result<(), Invalid> {
    let (offence, node) = evidence.check(state).ok_or(Invalid::Evidence)?;
    if state.convictions.contains_key(&offence) {
        return Err(Invalid::Taken("the conviction"));
    }
    let conviction = Conviction {
        node,
        height: state.height,
        evidence: Hash::of(&canonical(evidence)),
    };
    state.convictions.insert(offence, conviction);
    Ok(())
}

/// The header that the voters picked must be one that this chain can still lose.
fn resume(state: &mut State, words: &[Signed<Resume>]) -> Result<(), Invalid> {
    let picked = picked(state, words).map_err(|_| Invalid::Resume)?;
    if state.open_header(picked.height) != Some(picked.header) {
        return Err(Invalid::Resume);
    }
    let offence = Offence::Provider {
        height: picked.pardoned_height,
    };
    if state.convictions.contains_key(&offence) {
        return Err(Invalid::Taken("the conviction"));
    }
    let conviction = Conviction {
        node: NodeId(0),
        height: state.height,
        evidence: Hash::of(&canonical(&words)),
    };
    state.convictions.insert(offence, conviction);
    Ok(())
}

pub(crate) fn grant_account(grant: &SignedGrant) -> GrantAccount {
    GrantAccount {
        charger: grant.body.charger,
        group: grant.body.group,
        not_before: grant.body.not_before,
        expiry: grant.body.expiry,
        energy_limit_wh: grant.body.energy_limit_wh,
    }
}

/// Whether `grant` is for a charger of its group, and signed by the group's parent, its deputy, or
/// one before that in its time.
///
/// # Errors
/// `Unknown` or `Signature`.
pub fn check_grant(state: &State, grant: &SignedGrant) -> Result<(), Invalid> {
    check(
        state,
        grant,
        Signatures::Check(&Keys::new(state.chain_id())),
    )
}

/// The same of a grant whose signature was checked.
pub(crate) fn check_granted(state: &State, grant: &SignedGrant) -> Result<(), Invalid> {
    check(state, grant, Signatures::Checked)
}

fn check(state: &State, grant: &SignedGrant, signatures: Signatures<'_>) -> Result<(), Invalid> {
    let body = &grant.body;
    let charger = state.chargers.get(&body.charger);
    if !charger.is_some_and(|account| account.is_of(body.group)) {
        return Err(Invalid::Unknown("the grant's charger"));
    }
    if !state.groups.contains_key(&body.group) {
        return Err(Invalid::Unknown("the grant's group"));
    }
    match grant_keys(state, body).any(|key| signatures.check(grant, &key).is_ok()) {
        true => Ok(()),
        false => Err(Invalid::Signature("a grant")),
    }
}
