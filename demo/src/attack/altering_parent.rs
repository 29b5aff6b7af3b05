//! A group's parent that is honest in all but one thing: in each group block it seals, one charge
//! of its group has a tenth of the energy that was measured.

use std::collections::BTreeMap;

use anyhow::Context;
use ledger::frame::{SealedGroup, SealedProfile, Witnessed};
use ledger::node::{Input, NodeConfig};
use ledger::{Frame, GroupBlock};
use protocol::{Hash, IdTag, KeyPair, Signed, SignedProfile};
use serde_json::json;

use super::arguments::Arguments;
use super::node::{AttackingNode, registration};
use super::say;

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let group = IdTag::parse(arguments.get("--group")?)?;
    let id_tag = IdTag::parse(arguments.get("--id-tag")?)?;
    let config = NodeConfig {
        chargers: BTreeMap::from([(id_tag, Some(group))]),
        ..NodeConfig::default()
    };
    let (url, token) = (arguments.get("--url")?, arguments.get("--token")?);
    let mut node = AttackingNode::enrol(url, token, config).await?;
    say(&json!({"event": "joined", "node": node.id()}));
    let mut witnessed = BTreeMap::new();
    loop {
        let step = node.step().await?;
        if registration(&step.input)?.is_some() {
            say(&json!({"event": "registered"}));
        }
        if let Input::Frame(frame) = &step.input {
            note(&mut witnessed, frame);
        }
        for frame in step.wants {
            let frame = match frame {
                Frame::GroupBlock(sealed) => {
                    Frame::GroupBlock(tampered(&node, &witnessed, &sealed)?)
                }
                honest => honest,
            };
            node.send(&frame).await?;
        }
    }
}

/// Keeps the profiles of open rounds: a group block may name them by their hashes only.
fn note(witnessed: &mut BTreeMap<Hash, Witnessed>, frame: &Frame) {
    match frame {
        Frame::Witness(shown) => {
            witnessed.insert(shown.profile.hash(), shown.clone());
        }
        Frame::Block(block) => {
            let round = block.header.body.round;
            witnessed.retain(|_, shown| shown.receipt.body.round > round);
        }
        _ => {}
    }
}

fn tampered(
    node: &AttackingNode,
    witnessed: &BTreeMap<Hash, Witnessed>,
    honest: &SealedGroup,
) -> anyhow::Result<SealedGroup> {
    let in_full = |sealed: &SealedProfile| match sealed {
        SealedProfile::Known(hash) => witnessed.get(hash).map(|shown| shown.profile.clone()),
        SealedProfile::Full(profile) => Some((**profile).clone()),
    };
    let profiles: Option<Vec<SignedProfile>> = honest.profiles.iter().map(in_full).collect();
    let profiles = profiles.context("a charge of the round was never shown")?;
    let altered = alter(honest, profiles, node.key(), &node.chain_id());
    say(&json!({
        "event": "sealed",
        "round": honest.block.body.round,
        "trueWh": altered.true_wh,
        "alteredWh": altered.altered_wh,
    }));
    Ok(altered.sealed)
}

/// A group block over one altered charge.
struct Altered {
    sealed: SealedGroup,
    true_wh: u32,
    altered_wh: u32,
}

/// Seals `profiles`, those of the `honest` group block in its order, again with the largest one
/// altered. Energy is no part of their order, so it stays.
fn alter(
    honest: &SealedGroup,
    mut profiles: Vec<SignedProfile>,
    key: &KeyPair,
    chain_id: &Hash,
) -> Altered {
    let (mut true_wh, mut altered_wh) = (0, 0);
    let mut named: Vec<_> = profiles
        .iter()
        .map(|profile| SealedProfile::Known(profile.hash()))
        .collect();
    let largest = profiles.iter_mut().zip(&mut named);
    if let Some((profile, named)) = largest.max_by_key(|(p, _)| p.body.energy_wh) {
        true_wh = profile.body.energy_wh;
        altered_wh = true_wh / 10;
        // The node's signature stays, and does not hold any more: nobody here has the node's key.
        profile.body.energy_wh = altered_wh;
        // The provider has no such charge, so this one has to be shown.
        *named = SealedProfile::Full(Box::new(profile.clone()));
    }
    let said = &honest.block.body;
    let block = GroupBlock::over(said.group, said.round, said.previous, profiles.iter());
    let sealed = SealedGroup {
        block: Signed::new(block, key, chain_id),
        profiles: named,
    };
    Altered {
        sealed,
        true_wh,
        altered_wh,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{EnergyWh, GroupId};

    use super::*;
    use crate::attack::scene::profile;

    #[test]
    fn the_altered_group_block_is_well_signed_and_its_charge_is_not() {
        let (node, parent) = (KeyPair::from_seed(&[1; 32]), KeyPair::from_seed(&[2; 32]));
        let chain_id = Hash::of(b"chain");
        let known = |profile: &SignedProfile| SealedProfile::Known(profile.hash());
        let charge = |seq, energy_wh| {
            let mut charge = profile();
            charge.seq = seq;
            charge.energy_wh = energy_wh;
            Signed::new(charge, &node, &chain_id)
        };
        let profiles = vec![charge(1, 2_000), charge(2, 5_000), charge(3, 10)];
        let block = GroupBlock::over(GroupId(1), 7, Hash([3; 32]), profiles.iter());
        let honest = SealedGroup {
            block: Signed::new(block, &parent, &chain_id),
            profiles: profiles.iter().map(known).collect(),
        };

        let altered = alter(&honest, profiles.clone(), &parent, &chain_id);

        assert_eq!((altered.true_wh, altered.altered_wh), (5_000, 500));
        let mut forged = profiles;
        forged[1].body.energy_wh = 500;
        assert!(forged[1].verify(&node.public(), &chain_id).is_err());
        let sealed = altered.sealed.block;
        assert_eq!(sealed.verify(&parent.public(), &chain_id), Ok(()));
        let due = GroupBlock::over(GroupId(1), 7, Hash([3; 32]), forged.iter());
        assert_eq!(sealed.body, due);
        assert_eq!(due.energy, EnergyWh(2_510));
        let shown = SealedProfile::Full(Box::new(forged[1].clone()));
        let named = [known(&forged[0]), shown, known(&forged[2])];
        assert_eq!(altered.sealed.profiles, named);
    }
}
