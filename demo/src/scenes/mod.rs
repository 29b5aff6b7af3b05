//! The story, one act a file.

mod altered_profile;
mod attacker;
mod bills;
mod charging;
mod collusion;
mod confirming;
mod joining;
mod proof;
mod sybils;

use protocol::message::Status;
use protocol::{Hash, SignedProfile, SignedReceipt};
use serde_json::Value;

use crate::stage::{Source, Stage};
use crate::view::Told;
use crate::world::World;
use attacker::Attacker;

/// How many acts there are.
pub(crate) const ACTS: usize = 8;

/// A charge as the demo knows it: from the meter and from the wire.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) id_tag: &'static str,
    /// The group that is to pay.
    pub(crate) payer: &'static str,
    /// The node that measured it, by name.
    pub(crate) node: &'static str,
    /// The outlet, and the group it belongs to.
    pub(crate) outlet: &'static str,
    pub(crate) owner: &'static str,
    /// What the meter counted, by the meter.
    pub(crate) metered_wh: u64,
    /// What its node signed, and what the provider promised about it.
    pub(crate) profile: SignedProfile,
    pub(crate) receipt: SignedReceipt,
}

impl Charge {
    /// The hash that names it.
    pub(crate) fn hash(&self) -> Hash {
        self.profile.hash()
    }
}

/// Plays everything; what it gives is kept running until it is dropped.
pub(crate) async fn play(stage: &Stage) -> anyhow::Result<World> {
    stage.screen.tell(&Told::Title(
        "A fleet and a household, billed for charging at somebody else's outlet",
    ));
    let (world, attacker) = joining::play(stage).await?;
    let sources = Source::of(&world);
    let told = tell(stage, world, attacker);
    match stage.screen.has_panel() {
        false => told.await,
        true => tokio::select! {
            told = told => told,
            never = stage.keep_panel(sources) => match never {},
        },
    }
}

async fn tell(stage: &Stage, world: World, mut attacker: Attacker) -> anyhow::Result<World> {
    let mut charges = charging::play(stage, &world).await?;
    let taxi = confirming::play(stage, &world, &charges).await?;
    charges.extend(altered_profile::play(stage, &world, &mut attacker, taxi).await?);
    charges.push(sybils::play(stage, &world).await?);
    attacker.end().await;
    let world = collusion::play(stage, world).await?;
    bills::play(stage, &world, &charges).await?;
    proof::play(stage, &world).await?;
    Ok(world)
}

/// Energy as people read it, exact.
fn kwh(energy_wh: u64) -> String {
    format!("{}.{:03} kWh", energy_wh / 1000, energy_wh % 1000)
}

/// Whether an answer's `idTagInfo.status` or `status` says yes.
fn is_accepted(payload: &Value) -> bool {
    let status = payload.pointer("/idTagInfo/status");
    let status = status.or_else(|| payload.get("status")).cloned();
    let status = status.and_then(|status| serde_json::from_value(status).ok());
    status == Some(Status::Accepted)
}
