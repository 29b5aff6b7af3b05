//! The round is sealed, verified, voted on, and final.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use protocol::{GroupId, Hash};
use serde_json::{Value, json};

use super::{Charge, altered_profile, kwh};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::wire::Refused;
use crate::world::World;

/// How long nodes that are behind may take to catch up.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until the charges are final, and looks at everything that made them so. Votes take a
/// round: meanwhile the next act's car charges, and its charge is what this gives.
pub(super) async fn play(
    stage: &Stage,
    world: &World,
    charges: &[Charge],
) -> anyhow::Result<Charge> {
    stage.act("Voting: the round becomes a block, more than half make it final");
    promises(stage, charges).await?;
    groups(stage, charges);
    let votes = async {
        is_final(stage, charges).await?;
        same_state(stage, world).await?;
        told_to_parents(stage, charges).await
    };
    let ((), next) = tokio::try_join!(votes, altered_profile::charge(stage, world))?;
    Ok(next)
}

/// Each charge is in the block of the round that its receipt names.
async fn promises(stage: &Stage, charges: &[Charge]) -> anyhow::Result<()> {
    let mut facts = Vec::new();
    let mut holds = true;
    for charge in charges {
        let what = format!("{}'s charge in a block", charge.id_tag);
        let hash = charge.hash();
        let (height, round) = stage
            .wire
            .chain_has(&what, |chain| {
                let (block, _) = chain.charge(&hash)?;
                Some((block.header.body.height, block.header.body.round))
            })
            .await?;
        let promised = charge.receipt.body.round;
        holds &= round == promised;
        facts.push(json!({
            "profile": hash, "promised": promised, "round": round, "height": height,
        }));
    }
    stage.claim(&Claim {
        name: "promises-kept",
        says: format!(
            "{}: each charge is in the round its receipt names",
            in_blocks(&facts)
        ),
        why: "a broken promise would stop every node: arithmetic finds it",
        holds,
        facts: json!(facts),
    });
    Ok(())
}

fn in_blocks(facts: &[Value]) -> String {
    let mut heights: Vec<u64> = facts.iter().filter_map(|f| f["height"].as_u64()).collect();
    heights.dedup();
    let heights: Vec<String> = heights.iter().map(u64::to_string).collect();
    match heights.as_slice() {
        [height] => format!("block {height} is sealed"),
        heights => format!("blocks {} are sealed", heights.join(" and ")),
    }
}

/// What the parents sealed in time; the rest is in the late section, and that is as good.
fn groups(stage: &Stage, charges: &[Charge]) {
    let mut parts = Vec::new();
    for (group, number) in payers(charges) {
        let sealed = stage.wire.chain(|chain| {
            let blocks = chain.blocks().iter();
            let mut sealed = blocks.flat_map(|block| &block.body.group_blocks);
            sealed.find(|sealed| sealed.body.group == number).cloned()
        });
        if let Some(sealed) = sealed.flatten() {
            let (count, energy) = (sealed.body.count, kwh(sealed.body.energy.0));
            parts.push(format!("{group} {energy} in {count}"));
        }
    }
    if !parts.is_empty() {
        stage.happened(
            &format!("parents seal {}", parts.join(", ")),
            "one signature and one root for a group's round keep the chain light",
        );
    }
}

fn payers(charges: &[Charge]) -> BTreeMap<&'static str, GroupId> {
    let payer = |charge: &Charge| (charge.payer, charge.profile.body.payer);
    charges.iter().map(payer).collect()
}

/// More than half of the voters confirmed each block.
async fn is_final(stage: &Stage, charges: &[Charge]) -> anyhow::Result<()> {
    let hashes: Vec<Hash> = charges.iter().map(Charge::hash).collect();
    let facts = stage
        .wire
        .chain_has("more than half of the votes", |chain| {
            let height = |hash| Some(chain.charge(hash)?.0.header.body.height);
            let newest = hashes.iter().map(height).max()??;
            let state = chain.state();
            if state.confirmed_height < newest {
                return None;
            }
            let ballots = chain.blocks().iter().flat_map(|block| &block.body.ballots);
            let ballots = ballots.filter(|ballot| ballot.body.height >= newest);
            let ballots: Vec<Value> = ballots
                .map(|ballot| {
                    json!({
                        "voter": ballot.body.voter, "height": ballot.body.height,
                        "header": ballot.body.header,
                    })
                })
                .collect();
            Some(json!({
                "height": newest, "voters": state.groups.len(),
                "ballots": ballots,
            }))
        });
    let facts = facts.await?;
    let voters = facts["voters"].as_u64().context("it was put there")?;
    let votes = facts["ballots"].as_array().map_or(0, Vec::len) as u64;
    let attested = match voters {
        ..=2 => ", self-attested",
        _ => "",
    };
    stage.claim(&Claim {
        name: "final-by-votes",
        says: format!(
            "it is final: ballots of {votes} of {voters} voters are in the chain{attested}"
        ),
        why: "the paper's rule: more than half of correct validations adds the block",
        holds: votes * 2 > voters,
        facts,
    });
    Ok(())
}

/// Everyone who applied the blocks has the same state, byte for byte.
async fn same_state(stage: &Stage, world: &World) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut facts = states(stage, world).await?;
    while !is_one_state(&facts) && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(GLANCE).await;
        facts = states(stage, world).await?;
    }
    let root = facts["demo"]["stateRoot"].as_str().unwrap_or_default();
    let short: String = root.chars().take(12).collect();
    let refused = stage.wire.chain(|chain| {
        let refused = chain.refused().iter();
        let in_words = |refused: &Refused| {
            let Refused {
                height,
                header,
                reason,
            } = refused;
            json!({"height": height, "header": header, "reason": reason})
        };
        refused.map(in_words).collect::<Vec<_>>()
    });
    stage.claim(&Claim {
        name: "same-state",
        says: format!("provider, A, C, the demo: one state, that of B's header, {short}…"),
        why: "nobody takes anybody's word: whoever votes applies every block",
        holds: is_one_state(&facts) && refused == Some(Vec::new()),
        facts: json!({"states": facts, "refused": refused}),
    });
    Ok(())
}

async fn states(stage: &Stage, world: &World) -> anyhow::Result<Value> {
    let place = |chain: &Value| json!({"height": chain["height"], "stateRoot": chain["stateRoot"]});
    let mut states = json!({"provider": place(&world.provider.chain().await?)});
    for gateway in world.gateways() {
        states[gateway.plan.name] = place(&gateway.status().await?["chain"]);
    }
    let own = stage.wire.chain(|chain| {
        let state = chain.state();
        json!({"height": state.height, "stateRoot": state.root()})
    });
    states["demo"] = own.unwrap_or_default();
    Ok(states)
}

fn is_one_state(states: &Value) -> bool {
    let mut states = states.as_object().into_iter().flat_map(|all| all.values());
    let first = states.next();
    first.is_some_and(|first| states.all(|state| state == first))
}

/// Each parent was told what its group owes.
async fn told_to_parents(stage: &Stage, charges: &[Charge]) -> anyhow::Result<()> {
    let mut facts = Vec::new();
    for (node, group) in [("A", "FLEET"), ("C", "HOUSEHOLD")] {
        let due = charges
            .iter()
            .filter(|charge| charge.payer == group)
            .count();
        let mut told = Vec::new();
        let what = format!("the ChargeInfo of {group}");
        let all = stage.wire.find(&what, 0, |seen| {
            let info = seen.asked_of(node, "ChargeInfo")?;
            let lines = info["lines"].as_array()?;
            told.extend(lines.iter().map(|line| line["energyWh"].as_u64()));
            (told.len() >= due).then(|| told.clone())
        });
        facts.push(json!({"group": group, "parent": node, "energyWh": all.await?}));
    }
    let holds = facts.iter().all(|told| {
        let mut due: Vec<u64> = charges
            .iter()
            .filter(|charge| told["group"] == charge.payer)
            .map(|charge| charge.metered_wh)
            .collect();
        let said = told["energyWh"].as_array().cloned().unwrap_or_default();
        let mut said: Vec<u64> = said.iter().filter_map(Value::as_u64).collect();
        due.sort_unstable();
        said.sort_unstable();
        due == said
    });
    stage.claim(&Claim {
        name: "told-to-the-parents",
        says: "ChargeInfo tells A and C what their groups owe, each line proven".to_owned(),
        why: "a bill whose lines are not in its own chain a node reports as false",
        holds,
        facts: json!(facts),
    });
    Ok(())
}
