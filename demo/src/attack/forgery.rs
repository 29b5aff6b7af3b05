//! A block with one altered charge, right in everything but the charge's signature: the provider
//! can make everything else, and has no node's key.

use anyhow::Context;
use ledger::frame::Submission;
use ledger::merkle::leaf_hash;
use ledger::seal::seal;
use ledger::tariff::FlatTariff;
use ledger::{Block, Body, ChargeLine, Record, State};
use protocol::{KeyPair, Signed, UnixMillis};

/// What is sealed in place of what was measured: so many times the energy.
const FACTOR: u32 = 10;

/// An altered block, and the state that it claims to lead to.
pub(super) struct Forged {
    pub(super) block: Block,
    pub(super) state: State,
}

/// Seals `submission` as the next block after `state`, its energy multiplied.
///
/// # Errors
/// Where even the true charge could not be in that block.
pub(super) fn forge(
    state: &State,
    submission: &Submission,
    tariff: &FlatTariff,
    now: UnixMillis,
    key: &KeyPair,
) -> anyhow::Result<Forged> {
    let honest = line(state, submission.profile.body.energy_wh, submission, tariff)?;
    let energy_wh = honest.profile.body.energy_wh.saturating_mul(FACTOR);
    let altered = line(state, energy_wh, submission, tariff)?;
    let is_known = state.grants.contains_key(&submission.grant.body.id());
    let grant = (!is_known).then(|| Record::Grant(submission.grant.clone()));
    let body = Body {
        records: grant.into_iter().collect(),
        charges: vec![honest.clone()],
        ..Body::default()
    };
    let round = open_round(state, now);
    let (mut block, mut next) = seal(state, body, round, now.seconds(), key)?;
    rebook(&mut next, &honest, &altered).context("the charge's accounts")?;
    block.body.charges = vec![altered];
    let mut header = block.header.body;
    header.body_root = block.body.root();
    header.state_root = next.root();
    next.tip = header.hash();
    next.log = state.log.clone();
    next.log.push(leaf_hash(&next.tip.0));
    block.header = Signed::new(header, key, &state.chain_id());
    Ok(Forged { block, state: next })
}

/// The round that a charge submitted now falls into.
fn open_round(state: &State, now: UnixMillis) -> u64 {
    state.genesis.round_at(now).max(state.round + 1)
}

/// The charge as the provider states it, with whatever energy, priced by the tariff. It comes
/// late: no parent seals a group block over what nobody signed.
fn line(
    state: &State,
    energy_wh: u32,
    submission: &Submission,
    tariff: &FlatTariff,
) -> anyhow::Result<ChargeLine> {
    let mut profile = submission.profile.clone();
    profile.body.energy_wh = energy_wh;
    let price = tariff.price(energy_wh)?;
    Ok(ChargeLine {
        profile,
        late: true,
        amount: price.amount,
        credit: price.credit,
        tariff: state.tariff(),
    })
}

/// Turns the accounts after `honest` into those after `altered`, which takes more of everything.
fn rebook(state: &mut State, honest: &ChargeLine, altered: &ChargeLine) -> Option<()> {
    let body = &altered.profile.body;
    let hash = altered.profile.hash();
    let energy = u64::from(body.energy_wh - honest.profile.body.energy_wh);
    let amount = u64::from(altered.amount - honest.amount);
    let credit = u64::from(altered.credit - honest.credit);
    state.nodes.get_mut(&body.node)?.last_profile = hash;
    let charger = state.chargers.get_mut(&body.charger)?;
    charger.energy.0 += energy;
    charger.amount.0 += amount;
    charger.last_profile = hash;
    let group = state.groups.get_mut(&body.payer)?;
    group.energy.0 += energy;
    group.amount.0 += amount;
    let outlet = state.supply_points.get_mut(&body.supply_point)?;
    outlet.register = body.register_end()?;
    outlet.energy.0 += energy;
    outlet.credit.0 += credit;
    Some(())
}

#[cfg(test)]
mod tests {
    use ledger::apply::{ChargeFault, Invalid, apply};

    use super::*;
    use crate::attack::now;
    use crate::attack::scene::Scene;

    #[test]
    fn the_charges_signature_is_all_that_is_wrong_with_an_altered_block() {
        let scene = Scene::new();
        let chain = scene.chain();
        let submission = scene.submission(&chain.state);
        let forged = forge(&chain.state, &submission, &chain.tariff, now(), &chain.key);
        let Forged { mut block, state } = forged.expect("the true charge is valid");

        let charge = &block.body.charges[0];
        let (measured, said) = (
            submission.profile.body.energy_wh,
            charge.profile.body.energy_wh,
        );
        assert_eq!(said, measured * FACTOR);
        let price = chain.tariff.price(said).expect("it fits");
        assert_eq!((charge.amount, charge.credit), (price.amount, price.credit));
        let fault = Invalid::Charge {
            node: charge.profile.body.node,
            seq: charge.profile.body.seq,
            fault: ChargeFault::Signature,
        };
        assert_eq!(apply(&chain.state, &block), Err(fault));

        // Had the node signed it, the block would be valid, with every root as it is.
        let chain_id = chain.state.chain_id();
        let profile = &mut block.body.charges[0].profile;
        *profile = Signed::new(profile.body.clone(), &scene.node, &chain_id);
        let mut header = block.header.body;
        header.body_root = block.body.root();
        block.header = Signed::new(header, &chain.key, &chain_id);
        let applied = apply(&chain.state, &block).expect("nothing else is wrong");
        assert_eq!(applied.root(), state.root());
    }
}
