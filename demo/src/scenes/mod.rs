//! The story, one act a file.

mod bills;
mod charging;
mod confirming;
mod joining;
mod proof;

use protocol::message::Status;
use protocol::{Hash, SignedProfile, SignedReceipt};
use serde_json::Value;

use crate::stage::{Source, Stage};
use crate::view::Told;
use crate::world::World;

/// How many acts there are.
pub(crate) const ACTS: usize = 5;

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
    let world = joining::play(stage).await?;
    let panel = stage.clone();
    let sources = Source::of(&world);
    tokio::select! {
        told = tell(stage, &world) => told?,
        () = panel.keep_panel(sources), if stage.screen.has_panel() => {}
    }
    Ok(world)
}

async fn tell(stage: &Stage, world: &World) -> anyhow::Result<()> {
    let charges = charging::play(stage, world).await?;
    confirming::play(stage, world, &charges).await?;
    bills::play(stage, world, &charges).await?;
    proof::play(stage, world).await
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
