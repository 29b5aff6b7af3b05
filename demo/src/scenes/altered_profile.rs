//! The first attack: a group's parent alters a charge in the group block it seals.

use anyhow::Context as _;
use ledger::block::ChargeLine;
use ledger::evidence::{Conviction, Offence};
use ledger::{Block, GroupBlock};
use protocol::Signed;
use serde_json::json;

use super::charging::submitted;
use super::{Attacker, Charge, kwh};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::wire::Upstream;
use crate::world::{Provider, TOP_UP_WH, World};

const GROUP: &str = "TAXI";
const ID_TAG: &str = "TAXI-1";
/// How often the attacker may try.
const TRIES: usize = 3;

/// Lets the attacker join like anybody else: until its own group's charge it is honest.
pub(super) async fn join(
    stage: &Stage,
    provider: &Provider,
    upstream: &Upstream,
) -> anyhow::Result<Attacker> {
    let token = provider.token(GROUP).await?;
    let args = ["--group", GROUP, "--id-tag", ID_TAG, "--token", &token];
    let mut attacker = Attacker::start(stage, "T", "altering-parent", upstream, &args).await?;
    attacker.event("registered").await?;
    Ok(attacker)
}

/// The group's car charges at the household's outlet.
pub(super) async fn charge(stage: &Stage, world: &World) -> anyhow::Result<Charge> {
    let metered = world.c.charge_by_swipe(ID_TAG, TOP_UP_WH, async { Ok(()) });
    let metered_wh = metered.await?;
    submitted(stage, &world.c, ID_TAG, GROUP, metered_wh).await
}

/// Shows what became of the alteration; gives the charges that the group owes.
pub(super) async fn play(
    stage: &Stage,
    world: &World,
    attacker: &mut Attacker,
    mut charge: Charge,
) -> anyhow::Result<Vec<Charge>> {
    stage.act("Attack: a parent alters a charge of its group");
    let mut charges = Vec::new();
    loop {
        let altered_wh = attacker.event("sealed").await?["alteredWh"].as_u64();
        let sealed = sealed(stage, &charge).await?;
        charges.push(charge.clone());
        if sealed.conviction.is_some() || charges.len() == TRIES {
            let altered_wh = altered_wh.context("it tells what it sealed")?;
            refused(stage, world, &charge, &sealed, altered_wh).await?;
            billed(stage, &charge, &sealed);
            return Ok(charges);
        }
        // On a busy machine its group block may come after the block it was for: a lie that
        // nobody heard, and nothing to be refused.
        charge = self::charge(stage, world).await?;
    }
}

/// A charge as it stands in its block, and what its payer's parent is convicted of there.
struct Sealed {
    block: Block,
    line: ChargeLine,
    conviction: Option<Conviction>,
}

async fn sealed(stage: &Stage, charge: &Charge) -> anyhow::Result<Sealed> {
    let hash = charge.hash();
    let in_block = stage.wire.chain_has("TAXI-1's charge in a block", |chain| {
        let (block, line) = chain.charge(&hash)?;
        let offence = Offence::Parent {
            group: line.profile.body.payer,
            round: block.header.body.round,
        };
        Some(Sealed {
            block: block.clone(),
            line: line.clone(),
            conviction: chain.state().convictions.get(&offence).cloned(),
        })
    });
    in_block.await
}

async fn refused(
    stage: &Stage,
    world: &World,
    charge: &Charge,
    sealed: &Sealed,
    altered_wh: u64,
) -> anyhow::Result<()> {
    stage.happened(
        &format!(
            "TAXI-1 took {} at C; T, its parent, seals {}",
            kwh(charge.metered_wh),
            kwh(altered_wh)
        ),
        "whoever seals a group's charges would like to owe less",
    );
    let Sealed {
        block,
        line,
        conviction,
    } = sealed;
    let (height, group) = (block.header.body.height, line.profile.body.payer);
    let listed = world.provider.convictions().await?;
    let listed = listed.as_array().and_then(|listed| listed.first()).cloned();
    let listed = listed.unwrap_or_default();
    let is_in_block = |sealed: &Signed<GroupBlock>| sealed.body.group == group;
    stage.claim(&Claim {
        name: "alteration-refused",
        says: format!("its group block is refused, block {height} records evidence against T"),
        why: "C's signature does not cover what T made of the charge: that convicts",
        holds: !block.body.group_blocks.iter().any(is_in_block)
            && conviction.as_ref().is_some_and(|c| c.height == height)
            && altered_wh != charge.metered_wh
            && listed["groupId"] == GROUP
            && listed["height"] == height,
        facts: json!({
            "group": group, "round": block.header.body.round, "height": height,
            "meteredWh": charge.metered_wh, "alteredWh": altered_wh,
            "evidence": listed["evidence"], "proof": listed["proof"],
        }),
    });
    Ok(())
}

fn billed(stage: &Stage, charge: &Charge, sealed: &Sealed) {
    let Sealed { block, line, .. } = sealed;
    let energy_wh = u64::from(line.profile.body.energy_wh);
    stage.claim(&Claim {
        name: "true-charge-billed",
        says: format!(
            "the true charge is in the block all the same: {}",
            kwh(energy_wh)
        ),
        why: "what a parent leaves out or alters is sealed in the late section",
        holds: line.late && energy_wh == charge.metered_wh,
        facts: json!({
            "profile": charge.hash(), "height": block.header.body.height, "late": line.late,
            "meteredWh": charge.metered_wh, "sealedWh": energy_wh,
        }),
    });
}
