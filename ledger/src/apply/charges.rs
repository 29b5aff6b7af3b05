//! Charges: whose they are, in which order, from which register on, under which grant.

use protocol::{ChargeProfile, SignedProfile};

use super::{ChargeFault, Invalid, Keys, Signatures, sorted};
use crate::block::ChargeLine;
use crate::state::{GrantAccount, State};

pub(super) fn apply_charges(
    state: &mut State,
    charges: &[ChargeLine],
    signatures: Signatures<'_>,
) -> Result<(), Invalid> {
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
        check(state, &line.profile, signatures).map_err(fault)?;
        book(state, line);
    }
    Ok(())
}

/// Whether `profile` may be the next of its node.
///
/// # Errors
/// The first rule it breaks.
pub fn check_profile(state: &State, profile: &SignedProfile) -> Result<(), ChargeFault> {
    check(
        state,
        profile,
        Signatures::Check(&Keys::new(state.chain_id())),
    )
}

fn check(
    state: &State,
    profile: &SignedProfile,
    signatures: Signatures<'_>,
) -> Result<(), ChargeFault> {
    let body = &profile.body;
    let node = state.nodes.get(&body.node).ok_or(ChargeFault::Node)?;
    if node.last_seq.checked_add(1) != Some(body.seq) {
        return Err(ChargeFault::Seq);
    }
    if node.last_profile != body.previous {
        return Err(ChargeFault::Previous);
    }
    check_content(state, profile)?;
    signatures
        .check(profile, &node.key)
        .map_err(|_| ChargeFault::Signature)
}

/// The rules of [`check_profile`] that do not depend on number, order and signature.
///
/// # Errors
/// The first rule it breaks.
pub fn check_content(state: &State, profile: &SignedProfile) -> Result<(), ChargeFault> {
    let body = &profile.body;
    if !state.chargers.contains_key(&body.charger) {
        return Err(ChargeFault::Charger);
    }
    let outlet = state.supply_points.get(&body.supply_point);
    let outlet = outlet.filter(|account| account.node == body.node);
    let outlet = outlet.ok_or(ChargeFault::SupplyPoint)?;
    if body.register_start < outlet.register || body.register_end().is_none() {
        return Err(ChargeFault::Register);
    }
    let grant = state.grants.get(&body.grant).ok_or(ChargeFault::Grant)?;
    check_under_grant(grant, body)
}

fn check_under_grant(grant: &GrantAccount, body: &ChargeProfile) -> Result<(), ChargeFault> {
    let is_named = grant.charger == body.charger && grant.group == body.payer;
    let in_time = grant.not_before <= body.start && body.start < grant.expiry;
    let within = grant.energy_limit_wh == 0 || body.energy_wh <= grant.energy_limit_wh;
    if is_named && in_time && within {
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
