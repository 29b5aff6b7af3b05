//! The second attack: a crowd of groups that nobody ever saw charge, with most of the votes.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::charging::submitted;
use super::{Attacker, Charge};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::world::{TOP_UP_WH, World, as_text};

const ID_TAG: &str = "FLEET-CAR-1";
const PAYER: &str = "FLEET";

/// Lets the crowd try to keep a valid charge out of the chain; gives the charge.
pub(super) async fn play(stage: &Stage, world: &World) -> anyhow::Result<Charge> {
    stage.act("Attack: a crowd of Sybil groups tries to censor a valid block");
    let (mut crowd, voters) = join(stage, world).await?;
    let metered = world.c.charge_by_swipe(ID_TAG, TOP_UP_WH, async { Ok(()) });
    let metered_wh = metered.await?;
    let charge = submitted(stage, &world.c, ID_TAG, PAYER, metered_wh).await?;
    let height = shouted_at(stage, world, &mut crowd, &charge).await?;
    outlasted(stage, world, &charge, height, voters).await?;
    crowd.end().await;
    Ok(charge)
}

/// Lets the crowd in and waits until its groups are voters; gives the number of all voters.
async fn join(stage: &Stage, world: &World) -> anyhow::Result<(Attacker, usize)> {
    let mut tokens = String::new();
    for number in 1..=stage.pace.sybils {
        let group = format!("SYBIL-{number}");
        let token = world.provider.token(&group).await?;
        tokens.push_str(&format!("{group} {token}\n"));
    }
    let file = stage.dir.join("sybils.tokens");
    std::fs::write(&file, tokens)?;
    let honest = stage.wire.chain(|chain| chain.state().groups.len());
    let voters = honest.context("the chain was seen")? + stage.pace.sybils;
    let args = ["--tokens", as_text(&file)?];
    let crowd = Attacker::start(stage, "S", "sybils", &world.upstream, &args);
    let mut crowd = crowd.await?;
    crowd.event("joined").await?;
    stage.happened(
        &format!(
            "{} Sybil groups join, with {} of {voters} votes; they cast none",
            stage.pace.sybils, stage.pace.sybils
        ),
        "each brought a token: the provider enrolled them, for a bribe maybe",
    );
    let all = stage.wire.chain_has("the block that enrols them", |chain| {
        (chain.state().groups.len() >= voters).then_some(())
    });
    all.await?;
    Ok((crowd, voters))
}

/// They shout "no" at the block that holds the charge; gives its height.
async fn shouted_at(
    stage: &Stage,
    world: &World,
    crowd: &mut Attacker,
    charge: &Charge,
) -> anyhow::Result<u64> {
    let hash = charge.hash();
    let in_block = stage
        .wire
        .chain_has("FLEET-CAR-1's charge in a block", |chain| {
            let (block, _) = chain.charge(&hash)?;
            Some(block.header.body.height)
        });
    let height = in_block.await?;
    let shouted = loop {
        let shouted = crowd.event("shouted").await?;
        if shouted["height"] == height {
            break shouted;
        }
    };
    let applied = applied(world, height).await?;
    let number = |of: &str| shouted[of].as_u64().unwrap_or_default();
    let (sent, refused, unanswered) = (number("sent"), number("refused"), number("unanswered"));
    stage.claim(&Claim {
        name: "no-message-says-no",
        says: format!(
            "{sent} messages against block {height}: {refused} refused, {unanswered} ignored; \
             it is applied"
        ),
        why: "a vote can only confirm: a crowd that shouts \"invalid\" has no way to",
        holds: sent > 0 && sent == refused + unanswered && is_applied(&applied),
        facts: json!({
            "height": height, "profile": hash, "sent": sent, "refused": refused,
            "unanswered": unanswered, "applied": applied,
        }),
    });
    Ok(height)
}

/// The heights that A and C have reached, with what stopped them, if anything did.
async fn applied(world: &World, height: u64) -> anyhow::Result<Value> {
    let mut applied = json!({});
    for gateway in [&world.a, &world.c] {
        let chain = gateway
            .chain_once("it has the block", |chain| {
                chain["height"].as_u64() >= Some(height) || chain["stopped"].is_string()
            })
            .await?;
        applied[gateway.plan.name] = json!({
            "height": chain["height"], "stopped": chain["stopped"],
        });
    }
    Ok(applied)
}

fn is_applied(applied: &Value) -> bool {
    let mut nodes = applied.as_object().into_iter().flat_map(|all| all.values());
    nodes.all(|node| node["stopped"].is_null())
}

/// Silence delays the word "final", and no charge.
async fn outlasted(
    stage: &Stage,
    world: &World,
    charge: &Charge,
    height: u64,
    voters: usize,
) -> anyhow::Result<()> {
    let before = billed(world, charge, height).await?;
    let is_final = stage.wire.chain_has("that block final", |chain| {
        (chain.state().final_height >= height).then_some(())
    });
    is_final.await?;
    let after = billed(world, charge, height).await?;
    // By now a later block may be confirmed by more than half of all voters, and this one with it.
    let confirmed = stage.wire.chain(|chain| chain.state().confirmed_height);
    let is_labelled = match after["finality"].as_str() {
        Some("finalAfterDormancy") => true,
        Some("final") => confirmed >= Some(height),
        _ => false,
    };
    let genesis = stage.wire.chain(|chain| chain.state().genesis.clone());
    let genesis = genesis.context("the chain was seen")?;
    stage.claim(&Claim {
        name: "silence-only-delays",
        says: format!(
            "dormant after {} s of silence: the block is final without them",
            genesis.dormancy_s
        ),
        why: "billed at once, final later, labelled so (30 days outside a demo)",
        holds: is_labelled && after["energyWh"] == charge.metered_wh,
        facts: json!({
            "height": height, "voters": voters, "sybils": stage.pace.sybils,
            "dormancyS": genesis.dormancy_s, "before": before, "after": after,
        }),
    });
    Ok(())
}

/// The line of the charge in that block on its payer's bill.
async fn billed(world: &World, charge: &Charge, height: u64) -> anyhow::Result<Value> {
    let bill = world.provider.bill(charge.payer).await?;
    let mut lines = bill["lines"].as_array().into_iter().flatten();
    let line = lines.find(|line| line["idTag"] == charge.id_tag && line["height"] == height);
    Ok(line.cloned().unwrap_or_default())
}
