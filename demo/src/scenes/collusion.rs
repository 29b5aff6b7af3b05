//! The third attack: the provider itself, with its own key and disk, seals ten times what was
//! measured.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use ledger::Frame;
use protocol::Hash;
use serde_json::{Value, json};

use super::charging::submitted;
use super::{Charge, kwh};
use crate::children::{Process, run};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::view::Told;
use crate::world::{Gateway, Provider, TOP_UP_WH, World, as_text};

const ID_TAG: &str = "HOME-CAR";
const PAYER: &str = "HOUSEHOLD";

/// What the colluding provider says it sealed.
struct Sealed {
    height: u64,
    header: Hash,
    true_wh: u64,
    altered_wh: u64,
}

/// Puts a colluding provider in the honest one's place. The honest one's books are untouched and
/// stay open, for the bills.
pub(super) async fn play(stage: &Stage, world: World) -> anyhow::Result<World> {
    stage.act("Attack: the provider colludes and seals an altered block");
    let World {
        provider,
        upstream,
        a,
        b,
        c,
    } = world;
    let from = stage.wire.now();
    let take_over = async {
        let (colluding, address) = take_over(stage).await?;
        upstream.point_to(address);
        Ok(colluding)
    };
    let (provider, mut colluding) = provider.restart_after(stage, take_over).await?;
    let world = World {
        provider,
        upstream,
        a,
        b,
        c,
    };
    for node in [&world.a, &world.c] {
        linked_again(stage, from, node).await?;
    }
    let metered = world.c.charge_by_swipe(ID_TAG, TOP_UP_WH, async { Ok(()) });
    let charge = submitted(stage, &world.c, ID_TAG, PAYER, metered.await?).await?;
    let sealed = sealed(&mut colluding).await?;
    stage.happened(
        &format!(
            "HOME-CAR took {}; the provider seals {}",
            kwh(sealed.true_wh),
            kwh(sealed.altered_wh)
        ),
        "it has the true key and disk: to its nodes it is whom they know",
    );
    applied_by_nobody(stage, &world, from, &charge, &sealed).await?;
    convicted(stage, &world, &sealed).await?;
    colluding.end().await;
    Ok(world)
}

/// Starts the colluding provider on a copy of the honest one's disk, key and all.
async fn take_over(stage: &Stage) -> anyhow::Result<(Process, SocketAddr)> {
    let state_dir = stage.dir.join("colluding");
    copy(&Provider::state_dir(&stage.dir), &state_dir)?;
    let args = [
        "colluding-provider",
        "--state-dir",
        as_text(&state_dir)?,
        "--listen",
        "127.0.0.1:0",
    ];
    let log = stage.dir.join("colluding-provider.log");
    let mut process = stage
        .children
        .start("the colluding provider", &args, &log)?;
    let listening = process.event("listening").await?;
    let url = listening["url"].as_str().context("it tells where")?;
    let address = url.trim_start_matches("ws://").parse()?;
    Ok((process, address))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Waits until the node has joined again: it knows the key, and so the provider.
async fn linked_again(stage: &Stage, from: usize, node: &Gateway) -> anyhow::Result<()> {
    let name = node.plan.name;
    let what = format!("{name}'s link to the colluding provider");
    let joined = stage.wire.find(&what, from, |seen| {
        seen.answered_to(name, "Join").map(|_| ())
    });
    joined.await
}

async fn sealed(colluding: &mut Process) -> anyhow::Result<Sealed> {
    let event = colluding.event("sealed").await?;
    let number = |of: &str| event[of].as_u64().context("it tells a number");
    Ok(Sealed {
        height: number("height")?,
        header: serde_json::from_value(event["header"].clone())?,
        true_wh: number("trueWh")?,
        altered_wh: number("alteredWh")?,
    })
}

/// Neither those who would gain by it nor those who would lose apply the block.
async fn applied_by_nobody(
    stage: &Stage,
    world: &World,
    from: usize,
    charge: &Charge,
    sealed: &Sealed,
) -> anyhow::Result<()> {
    let mut nodes = json!({});
    let mut is_stopped = true;
    for gateway in [&world.a, &world.c] {
        let name = gateway.plan.name;
        let chain = gateway
            .chain_once("it stops", |chain| chain["stopped"].is_string())
            .await?;
        let ballots = stage.wire.count(from, |seen| {
            matches!(seen.sent_by(name), Some(Frame::Ballot(b)) if b.body.header == sealed.header)
        });
        is_stopped &= chain["height"] == sealed.height - 1 && ballots == 0;
        nodes[name] = json!({
            "height": chain["height"], "stopped": chain["stopped"], "ballots": ballots,
        });
    }
    let refused = stage
        .wire
        .chain_has("the demo's own word on that block", |chain| {
            let mut refused = chain.refused().iter();
            let found = refused.find(|refused| refused.header == sealed.header)?;
            Some(found.reason.clone())
        });
    let reason = refused.await?;
    let kept = world.c.status().await?["outbox"].clone();
    let is_kept = kept.as_array().is_some_and(|kept| {
        kept.iter()
            .any(|waiting| waiting["energyWh"] == charge.metered_wh)
    });
    stage.claim(&Claim {
        name: "altered-block-applied-by-nobody",
        says: format!(
            "A and C refuse block {}: no ballot, no step on; C keeps the charge",
            sealed.height
        ),
        why: "no majority makes an honest node accept what a node did not sign",
        holds: is_stopped && is_kept && sealed.altered_wh != charge.metered_wh,
        facts: json!({
            "height": sealed.height, "header": sealed.header, "meteredWh": charge.metered_wh,
            "trueWh": sealed.true_wh, "alteredWh": sealed.altered_wh, "reason": reason,
            "nodes": nodes, "outbox": kept,
        }),
    });
    Ok(())
}

/// The nodes' evidence files, checked by a process of its own with nothing but the provider's key.
async fn convicted(stage: &Stage, world: &World, sealed: &Sealed) -> anyhow::Result<()> {
    let key = stage.wire.chain(|chain| chain.state().genesis.provider_key);
    let key = key.context("the chain was seen")?.to_string();
    let mut holds = true;
    let mut facts = Vec::new();
    let mut size = 0;
    for gateway in [&world.a, &world.c] {
        let file = gateway.evidence(sealed.height);
        gateway.written(&file).await?;
        let bytes = std::fs::read(&file)?;
        size = bytes.len();
        let (node, bytes) = (gateway.plan.name, bytes.as_slice());
        stage.screen.tell(&Told::Evidence { node, bytes });
        let args = [
            "gateway",
            "evidence",
            "verify",
            as_text(&file)?,
            "--provider-key",
            &key,
        ];
        let said = run(&args).await?;
        holds &= said.succeeded && said.stdout.starts_with("PROVEN");
        let first = said.stdout.lines().next().unwrap_or_default();
        facts.push(json!({"node": node, "bytes": bytes.len(), "said": first}));
    }
    ensure!(size > 0, "the evidence files are empty");
    stage.claim(&Claim {
        name: "provider-convicted",
        says: format!("A and C each hold {size} bytes of evidence, verified offline: PROVEN"),
        why: "its own signature convicts it before anyone who has its public key",
        holds,
        facts: Value::from(facts),
    });
    Ok(())
}
