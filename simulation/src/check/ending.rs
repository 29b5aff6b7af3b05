//! What is due once everything has healed, and the sums at the end.

use std::collections::{BTreeMap, BTreeSet};

use ledger::node::{Charge, Stage};
use ledger::provider::stored_blocks;
use ledger::{Block, Node, Provider, State};
use protocol::{Genesis, IdTag, NodeId, PublicKey, SignedProfile};

use crate::lies::{CrowdLie, GatewayLie};
use crate::world::{Gateway, Phase, World, charge_id};

/// Rounds that a run goes on after healing where the provider lies and nothing is due.
const ROUNDS_WITH_LYING_PROVIDER: u64 = 5;

/// What has not come about yet; `None` when all is well.
pub(crate) fn unmet(world: &World) -> Option<String> {
    if is_nothing_due(world) {
        let round_ms = world.scenario.genesis.interval_ms();
        let until = world.scenario.heals_at + ROUNDS_WITH_LYING_PROVIDER * round_ms;
        return (world.now < until).then(|| "the run goes on a while".to_owned());
    }
    let Some(provider) = &world.branches[0].process.machine else {
        return Some("the provider is down".to_owned());
    };
    let state = provider.state();
    for (index, gateway) in honest(world) {
        let Some(node) = &gateway.process.machine else {
            return Some(format!("gateway {index} is down"));
        };
        if let Some(unmet) = unmet_by(world, index, node, state) {
            return Some(format!("gateway {index}: {unmet}"));
        }
    }
    let newest = newest_content(world);
    if is_finality_due(world, state) && newest > state.final_height {
        return Some(format!(
            "block {newest} is not final, {} is the newest that is",
            state.final_height
        ));
    }
    None
}

/// Of a provider that lies, or has contradicted itself, nothing is expected.
fn is_nothing_due(world: &World) -> bool {
    world.scenario.provider_lie.is_some() || world.checks.is_excused()
}

/// Whether those that a provider waits for after its start are gone for good: half of the voters,
/// who has a block that it lacks, or who measured a charge that was promised.
pub(crate) fn waits_for_the_gone(world: &World, provider: &Provider) -> bool {
    let state = provider.state();
    let now = world.branches[0].process.clock(world.now);
    let standing = provider.standing(now);
    let has_left = |key: &PublicKey| {
        let mut gateways = world.gateways.iter();
        gateways.any(|gateway| gateway.has_left && gateway.key.public() == *key)
    };
    let is_gone = |node: &NodeId| state.nodes.get(node).is_none_or(|a| has_left(&a.key));
    if let Some(height) = standing.behind {
        let mut gateways = world.gateways.iter().filter(|gateway| !gateway.has_left);
        return !gateways.any(|gateway| {
            let node = gateway.process.machine.as_ref();
            let state = node.and_then(Node::state);
            node.is_none() || state.is_some_and(|state| state.height >= height)
        });
    }
    let any_left = world.gateways.iter().any(|gateway| gateway.has_left);
    if standing.goes_on {
        return any_left && provider.missing().any(|(node, _, _)| is_gone(&node));
    }
    let awake = state.groups.values();
    let here = awake.filter(|group| !is_gone(&group.parent)).count() as u64;
    here * 2 <= standing.voters
}

/// Honest gateways that have not left.
fn honest(world: &World) -> impl Iterator<Item = (usize, &Gateway)> {
    let all = world.gateways.iter().enumerate();
    all.filter(|(index, gateway)| world.scenario.sites[*index].is_honest() && !gateway.has_left)
}

fn unmet_by(world: &World, index: usize, node: &Node, state: &State) -> Option<String> {
    let charges = &world.people.charges;
    let mut own = charges.iter().filter(|c| c.planned.site == index);
    if own.any(|c| matches!(c.phase, Phase::Beginning | Phase::Charging | Phase::Ended)) {
        return Some("somebody is still charging".to_owned());
    }
    let progress = node.progress();
    if progress.is_none_or(|progress| progress.tip != state.tip) {
        return Some("it is not at the provider's newest block".to_owned());
    }
    let is_final_due = is_finality_due(world, state);
    let waiting = node.charges().find(|charge| match &charge.stage {
        Stage::Held { .. } => false,
        Stage::Measured => !is_excused(world, node, charge),
        // Its receipt got lost; that it is in the chain it is told by a proof.
        Stage::Signed { profile, .. } if is_sealed(state, profile) => is_final_due,
        Stage::Signed { receipt: None, .. } => !is_lost_with_its_charger(world, node),
        Stage::Signed { .. } => is_final_due,
    });
    waiting.map(|charge| {
        format!(
            "charge {} waits as {}",
            u64::from_le_bytes(charge.measured.id[..8].try_into().expect("eight")),
            match &charge.stage {
                Stage::Signed { receipt: None, .. } => "signed without a receipt",
                Stage::Signed { .. } => "promised and not final",
                _ => "measured and not signed",
            }
        )
    })
}

/// Whether a charge may wait for ever: it, or one before it at its outlet, waits for somebody who
/// is gone or lies. (Charges of one outlet are signed in order, as its register rises.)
fn is_excused(world: &World, node: &Node, charge: &Charge) -> bool {
    let before = node.charges().filter(|other| {
        other.stage == Stage::Measured
            && other.number <= charge.number
            && other.measured.outlet == charge.measured.outlet
    });
    let mut tags = before.map(|other| &other.measured.id_tag);
    tags.any(|id_tag| is_orphaned(world, id_tag))
}

fn is_sealed(state: &State, profile: &SignedProfile) -> bool {
    let account = state.nodes.get(&profile.body.node);
    account.is_some_and(|account| profile.body.seq <= account.last_seq)
}

/// Whether a charge that was signed has lost its charger: the provider's disk was lost before that
/// was in a block, and its home is gone. It stops those behind it, which have later numbers.
fn is_lost_with_its_charger(world: &World, node: &Node) -> bool {
    let mut open = node
        .charges()
        .filter(|charge| matches!(charge.stage, Stage::Signed { receipt: None, .. }));
    world.known.was_restored && open.any(|charge| is_orphaned(world, &charge.measured.id_tag))
}

/// Whether an idTag's home or its group's parent is gone or lies, or its group has never had one.
fn is_orphaned(world: &World, id_tag: &IdTag) -> bool {
    let mut sites = world.scenario.sites.iter().enumerate();
    sites.any(|(index, site)| {
        let config = &site.config;
        let group = config.chargers.get(id_tag).and_then(Option::as_ref);
        let vouches = config.chargers.contains_key(id_tag) || config.members.contains_key(id_tag);
        vouches && (!site.is_honest() || world.gateways[index].has_left)
            || group.is_some_and(|group| !is_founded(world, group))
    })
}

/// Whether a group is in the chain. One is not where the only charger of its parent left it before
/// it was registered.
fn is_founded(world: &World, group_id: &IdTag) -> bool {
    let provider = world.branches[0].process.machine.as_ref();
    provider.is_some_and(|provider| {
        let group = provider.registry().group(group_id);
        group.is_some_and(|group| provider.state().groups.contains_key(&group))
    })
}

/// Whether the header after the newest final one has enough willing voters, or some and the
/// others' silence has an end. Voters that were enrolled later do not count yet; where all that do
/// are gone, nothing is final any more, for ever, and bills say "unconfirmed".
fn is_finality_due(world: &World, state: &State) -> bool {
    let groups = state.groups.values();
    let voters = groups.filter(|group| group.voter_since <= state.final_height);
    let (mut all, mut willing) = (0, 0);
    for group in voters {
        all += 1;
        let key = state.nodes.get(&group.parent).map(|node| node.key);
        willing += u64::from(key.is_some_and(|key| is_willing(world, &key)));
    }
    let ends = world.scenario.genesis.dormancy_s != Genesis::DORMANCY_S;
    willing * 2 > all || all == 0 || (ends && willing > 0)
}

fn is_willing(world: &World, key: &PublicKey) -> bool {
    let mut gateways = world.gateways.iter().enumerate();
    let found = gateways.find(|(_, gateway)| gateway.key.public() == *key);
    found.is_some_and(|(index, gateway)| {
        let does_vote = match &world.scenario.sites[index].lie {
            None | Some(GatewayLie::Crowd(CrowdLie::Approving)) => true,
            Some(GatewayLie::Crowd(_) | GatewayLie::Ballot(..)) => false,
            Some(_) => true,
        };
        does_vote && !gateway.has_left
    })
}

fn blocks(world: &World) -> Vec<Block> {
    let mut blocks = Vec::new();
    let store = &world.branches[0].process.store;
    stored_blocks(store, 1, u64::MAX, |block| blocks.push(block)).expect("memory is whole");
    blocks
}

fn newest_content(world: &World) -> u64 {
    let with_content = |block: &&Block| block.header.body.charges + block.header.body.records > 0;
    let blocks = blocks(world);
    let newest = blocks.iter().rev().find(with_content);
    newest.map_or(0, |block| block.header.body.height)
}

/// Adds up: what honest gateways metered is in the chain once, or listed in their outboxes.
pub(crate) fn at_the_end(world: &mut World) {
    if is_nothing_due(world) {
        return;
    }
    if let Err((invariant, what)) = add_up(world) {
        world.checks.violated(invariant, &what);
    }
}

fn add_up(world: &World) -> Result<(), (&'static str, String)> {
    let mut billed: BTreeMap<(usize, u64, u64), u64> = BTreeMap::new();
    let (mut in_chain, mut expected) = (0, 0);
    let provider = world.branches[0].process.machine.as_ref();
    let state = provider.expect("all is met").state();
    let sites = world.scenario.sites.iter();
    let tags: BTreeSet<&IdTag> = sites.flat_map(|site| site.config.chargers.keys()).collect();
    let pseudonyms = state.chargers.iter().count();
    if pseudonyms > tags.len() {
        let words = format!("{pseudonyms} of {} chargers", tags.len());
        return Err(("a charger has one pseudonym", words));
    }
    for line in blocks(world).iter().flat_map(|block| &block.body.charges) {
        let body = &line.profile.body;
        let price = world
            .scenario
            .tariff
            .price(body.energy_wh)
            .expect("it fits");
        if (line.amount, line.credit) != (price.amount, price.credit) {
            return Err(("amounts follow from the tariff", format!("{line:?}")));
        }
        let key = state.nodes[&body.node].key;
        let mut sites = world.gateways.iter();
        let site = sites.position(|gateway| gateway.key.public() == key);
        let site = site.expect("only gateways measure");
        if world.scenario.sites[site].is_honest() {
            let place = (site, body.register_start.0, body.energy_wh.into());
            *billed.entry(place).or_default() += 1;
            in_chain += u64::from(body.energy_wh);
        }
    }
    for (number, charge) in world.people.charges.iter().enumerate() {
        let site = charge.planned.site;
        if !world.scenario.sites[site].is_honest() || !charge.is_metered() {
            continue;
        }
        let place = (site, charge.register_start.0, charge.planned.energy_wh);
        let times = billed.get(&place).copied().unwrap_or(0);
        let is_listed = is_listed(world, number);
        expected += charge.planned.energy_wh * times;
        let is_right = match times {
            0 => is_listed || charge.is_on_lost_disk,
            1 => true,
            _ => false,
        };
        if !is_right {
            let words = format!(
                "charge {number} of gateway {site}, {} Wh, is billed {times} times",
                charge.planned.energy_wh
            );
            return Err(("committed Wh are metered Wh", words));
        }
    }
    if in_chain != expected {
        let words = format!("{in_chain} Wh in the chain, {expected} Wh of it metered");
        return Err(("committed Wh are metered Wh", words));
    }
    Ok(())
}

/// Whether a charge that is in no block is in its gateway's outbox, or among the running ones of a
/// gateway that left.
fn is_listed(world: &World, charge: usize) -> bool {
    let charging = &world.people.charges[charge];
    let gateway = &world.gateways[charging.planned.site];
    match &gateway.process.machine {
        Some(node) => node.charges().any(|c| c.measured.id == charge_id(charge)),
        None => gateway.has_left,
    }
}
