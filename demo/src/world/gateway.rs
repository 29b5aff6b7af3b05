//! A gateway as a process, with its meter and its tap on the wire.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Meter, Provider, as_text};
use crate::LEASHED;
use crate::children::Process;
use crate::http::Api;
use crate::stage::Stage;
use crate::wire::{Tap, Upstream};

/// What is different from gateway to gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatewayPlan {
    /// A, B or C.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) place: &'static str,
    pub(crate) group: &'static str,
    pub(crate) id_tags: &'static [&'static str],
    /// idTags of other gateways that it answers for as parent.
    pub(crate) member_id_tags: &'static [&'static str],
    /// Its one outlet, which belongs to its group and has a meter.
    pub(crate) outlet: &'static str,
    /// The OCPP charge point at the outlet; without one it is a charger without OCPP.
    pub(crate) charge_point: Option<&'static str>,
    pub(crate) serial: u32,
    pub(crate) register_wh: u64,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) plan: GatewayPlan,
    pub(crate) meter: Arc<Meter>,
    /// The gateway's link goes through it.
    _tap: Tap,
    pub(crate) state_dir: PathBuf,
    pub(crate) api: Api,
    /// Where charge points connect, without their id.
    pub(crate) ocpp: String,
    _process: Process,
}

/// How long a gateway may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(50);
/// The name of a charger without OCPP.
const CHARGER: &str = "CABLE-1";

impl Gateway {
    /// Starts the gateway of `plan` at `meter`.
    pub(crate) async fn start(
        stage: &Stage,
        plan: GatewayPlan,
        meter: Meter,
        provider: &Provider,
        upstream: &Upstream,
    ) -> anyhow::Result<Self> {
        let dir = &stage.dir;
        let token = provider.token(plan.group).await?;
        let tap = Tap::open(plan.name, &stage.wire, upstream).await?;
        let name = plan.name.to_ascii_lowercase();
        let config = dir.join(format!("{name}.toml"));
        std::fs::write(
            &config,
            plan.configuration(&name, &tap.url(), &token, &meter),
        )?;
        let args = [LEASHED, "gateway", "run", "--config", as_text(&config)?];
        let log = dir.join(format!("{name}.log"));
        let mut process = stage.children.start(plan.name, &args, &log)?;
        let ocpp = process.line("listening for OCPP chargers on ").await?;
        let api = process.line("local API on ").await?;
        Ok(Self {
            plan,
            meter: Arc::new(meter),
            _tap: tap,
            state_dir: dir.join(name),
            api: Api {
                base: format!("{api}/v1"),
                token: None,
            },
            ocpp,
            _process: process,
        })
    }

    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        self.api.get("status").await
    }

    /// Presents an idTag at the charger without OCPP: it begins a charge, or ends the one it began.
    pub(crate) async fn swipe(&self, id_tag: &str) -> anyhow::Result<Value> {
        let path = format!("chargers/{CHARGER}/swipe");
        self.api.post(&path, json!({"idTag": id_tag})).await
    }

    /// A car without OCPP: presents its idTag, draws, presents it again; gives what it took.
    pub(crate) async fn charge_by_swipe(
        &self,
        id_tag: &str,
        energy_wh: u64,
        leaves: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<u64> {
        let began = self.swipe(id_tag).await?;
        if began["did"] != "began" {
            bail!("{id_tag} does not begin a charge: {began}");
        }
        let metered = self.meter.charge(energy_wh, leaves).await?;
        let ended = self.swipe(id_tag).await?;
        if ended["did"] != "ended" {
            bail!("{id_tag} does not end its charge: {ended}");
        }
        Ok(metered)
    }

    /// What the local API tells of the chain, once `is_so`.
    pub(crate) async fn chain_once(
        &self,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        self.once(what, |mut status| {
            let chain = status["chain"].take();
            is_so(&chain).then_some(chain)
        })
        .await
    }

    /// The register that the gateway read, once it shows no less than `register_wh`.
    pub(crate) async fn register_once(&self, register_wh: u64) -> anyhow::Result<u64> {
        self.once("it has read its meter", |status| {
            let read = status["meters"]["meter"]["registerWh"].as_u64();
            read.filter(|read| *read >= register_wh)
        })
        .await
    }

    async fn once<T>(&self, what: &str, find: impl Fn(Value) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(self.status().await?) {
                return Ok(found);
            }
            let in_time = Instant::now() < deadline;
            ensure!(in_time, "{}: waited in vain until {what}", self.plan.name);
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The evidence file about the block at `height`.
    pub(crate) fn evidence(&self, height: u64) -> PathBuf {
        let name = format!("evidence/block-{height:08}.evidence");
        self.state_dir.join(name)
    }

    /// Waits for a file of its state directory. Gateways write files whole or not at all.
    pub(crate) async fn written(&self, file: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !file.exists() {
            let in_time = Instant::now() < deadline;
            ensure!(in_time, "{} wrote no {}", self.plan.name, file.display());
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// The receipt file of the node's charge number `seq`.
    pub(crate) fn receipt(&self, seq: u32) -> PathBuf {
        let name = format!("receipts/charge-{seq:08}.receipt");
        self.state_dir.join(name)
    }
}

impl GatewayPlan {
    fn configuration(&self, state: &str, provider: &str, token: &str, meter: &Meter) -> String {
        let Self {
            group,
            id_tags,
            member_id_tags,
            outlet,
            ..
        } = self;
        let charger = match self.charge_point {
            Some(id) => format!("[[charge_point]]\nid = \"{id}\"\noutlets = [\"{outlet}\"]\n"),
            None => format!("[[modbus_charger]]\nid = \"{CHARGER}\"\noutlet = \"{outlet}\"\n"),
        };
        format!(
            "state_dir = \"{state}\"\n\
             [provider]\n\
             url = \"{provider}\"\n\
             enrolment_token = \"{token}\"\n\
             [local_api]\n\
             listen = \"127.0.0.1:0\"\n\
             [ocpp]\n\
             listen = \"127.0.0.1:0\"\n\
             [[group]]\n\
             id = \"{group}\"\n\
             id_tags = {id_tags:?}\n\
             member_id_tags = {member_id_tags:?}\n\
             [[meter]]\n\
             id = \"meter\"\n\
             model = \"eastron-sdm630\"\n\
             address = \"{}\"\n\
             poll_interval_ms = 200\n\
             [[outlet]]\n\
             id = \"{outlet}\"\n\
             owner = \"{group}\"\n\
             meter = \"meter\"\n\
             max_power_w = {}\n\
             {charger}",
            meter.address(),
            meter.max_power_w(),
        )
    }
}
