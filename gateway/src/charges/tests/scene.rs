//! A gateway's charges over one store, with a meter at its yard and at one OCPP charger.

use std::collections::BTreeMap;
use std::path::Path;

use ledger::node::{NodeConfig, Stage};
use ledger::store::{EngineThread, NoWatch};
use meter_drivers::simulator::{SimulatedMeter, Simulator};
use ocpp_bridge::session::{EndedCharge, StopReason};
use protocol::{EnergyWh, KeyPair};
use tokio::sync::mpsc;

use super::*;
use crate::lines::Lines;
use crate::shell::Shell;

const CONFIG: &str = r#"
    state_dir = "unused"
    provider = { url = "ws://127.0.0.1:1/billing" }
    meter = [{ id = "meter", model = "eastron-sdm630", address = "METER",
               poll_interval_ms = 100, timeout_ms = 100 }]
    outlet = [
        { id = "OUTLET", owner = "household", meter = "meter", max_power_w = 4000000000 },
        { id = "garage", owner = "household", max_power_w = 4000000000 },
        { id = "cellar", owner = "household" },
        { id = "drive", owner = "household" },
    ]
    charge_point = [
        { id = "CP-1", outlets = ["garage", "cellar"] },
        { id = "CP-2", outlets = ["drive"] },
        { id = "CP-M", outlets = [OCPP] },
    ]
    modbus_charger = [MODBUS]
"#;

/// What outlives a restart.
pub(super) struct Scene {
    pub(super) meter: Simulator,
    pub(super) store: Arc<Store>,
    config: Arc<Config>,
}

/// A running gateway, without its sockets.
pub(super) struct Gateway {
    pub(super) charges: Arc<Charges>,
    engine: Engine<Node>,
    thread: EngineThread,
}

impl Scene {
    /// The meter is at the yard, which has a charger without OCPP that a central system sees.
    pub(super) async fn new(register_wh: u64) -> Self {
        let charger = r#"{ id = "MB-1", outlet = "yard", central_system = "ws://127.0.0.1:1/" }"#;
        Self::with(register_wh, "yard", "", charger).await
    }

    /// The meter is at an OCPP charger's outlet.
    pub(super) async fn with_metered_ocpp(register_wh: u64) -> Self {
        Self::with(register_wh, "porch", r#""porch""#, "").await
    }

    async fn with(register_wh: u64, outlet: &str, ocpp: &str, modbus: &str) -> Self {
        let meter = SimulatedMeter {
            energy_mwh: register_wh * 1_000,
            ..SimulatedMeter::default()
        };
        let meter = Simulator::bind("127.0.0.1:0", meter).await.expect("binds");
        let text = CONFIG
            .replace("METER", &meter.local_addr().to_string())
            .replace("OUTLET", outlet)
            .replace("OCPP", ocpp)
            .replace("MODBUS", modbus);
        let config = Config::parse(Path::new("test.toml"), &text).expect("it is right");
        Self {
            meter,
            store: Arc::new(Store::in_memory().expect("memory")),
            config: Arc::new(config),
        }
    }

    /// Takes a charger out of the configuration.
    pub(super) fn forget_modbus_chargers(&mut self) {
        let mut config = (*self.config).clone();
        config.modbus_chargers = BTreeMap::new();
        self.config = Arc::new(config);
    }

    pub(super) async fn silence_meter(&mut self) {
        let elsewhere = Simulator::bind("127.0.0.1:0", SimulatedMeter::default());
        let elsewhere = elsewhere.await.expect("binds");
        std::mem::replace(&mut self.meter, elsewhere).stop().await;
    }

    pub(super) async fn exchange_meter(&mut self, register_wh: u64) {
        let address = self.meter.local_addr();
        self.silence_meter().await;
        let other = SimulatedMeter {
            serial: 7,
            energy_mwh: register_wh * 1_000,
            ..SimulatedMeter::default()
        };
        self.meter = Simulator::bind(address, other).await.expect("binds");
    }

    /// Starts a gateway with what is in the store.
    pub(super) async fn start(&self) -> Gateway {
        let key = KeyPair::from_seed(&[7; 32]);
        let node = Node::load(key, NodeConfig::default(), &self.store).expect("loads");
        let (clock, authorizer) = (Clock::default(), Authorizer::default());
        let (uplink, _) = mpsc::channel(1);
        // Nobody convicts a provider here, so nothing is written.
        let evidence = crate::evidence::Files::restore("evidence".into(), &self.store);
        let shell = Shell {
            clock: clock.clone(),
            authorizer: authorizer.clone(),
            uplink,
            neighbours: crate::neighbours::queue().0,
            receipts: crate::receipts::queue().0,
            evidence: evidence.expect("the store is whole"),
        };
        let store = Arc::clone(&self.store);
        let (engine, thread) =
            Engine::start(node, Arc::clone(&store), shell, Arc::new(NoWatch)).expect("a thread");
        let meters = Meters::start(&self.config, &clock, &mut Lines::start(&self.config));
        let config = Arc::clone(&self.config);
        let charges = Charges::load(config, engine.clone(), store, clock, meters, authorizer);
        Gateway {
            charges: Arc::new(charges.expect("loads")),
            engine,
            thread,
        }
    }
}

impl Gateway {
    /// Ends the process, as a kill does: nothing is saved on the way.
    pub(super) fn stop(self) {
        self.engine.stop();
        let ended = self.thread.join().expect("no panic");
        ended.expect("memory does not fail");
    }

    /// Gives the next reading of the meter to its charge.
    pub(super) async fn poll(&self) {
        let mut states = self.charges.meters.follow("meter").expect("it is there");
        // One that is under way may be from before the meter was set.
        let newer = states.borrow().number() + 2;
        let newer = states.wait_for(|state| state.number() >= newer).await;
        let state = newer.expect("it is read").clone();
        let newest = state.newest.expect("it was counted");
        let observed = self.charges.observe_meter("meter", &newest);
        observed.await.expect("stored");
    }

    /// A start at an OCPP charger, now.
    pub(super) fn begin_at(
        &self,
        charge_point: &str,
        connector: u32,
        id_tag: &str,
        register: u64,
    ) -> Begin {
        Begin {
            charge_point: charge_point.to_owned(),
            connector,
            id_tag: IdTag::parse(id_tag).expect("printable"),
            register: Some(EnergyWh(register)),
            at: self.charges.now(),
        }
    }

    /// Ends a charge now.
    pub(super) async fn end(
        &self,
        transaction: i32,
        register: Option<u64>,
        reason: StopReason,
    ) -> Option<EndedCharge> {
        let end = End {
            register: register.map(EnergyWh),
            at: self.charges.now(),
            reason,
        };
        let ended = self.charges.end(transaction, end).await.expect("stored");
        if ended.is_some() {
            // The central system's side has taken it over.
            self.charges.forget(transaction).await.expect("stored");
        }
        ended
    }
}

/// Begins a charge at the charger without OCPP.
pub(super) async fn metered(gateway: &Gateway, id_tag: &str) -> i32 {
    let begin = Begin {
        register: None,
        ..gateway.begin_at("MB-1", 1, id_tag, 0)
    };
    gateway
        .charges
        .begin(begin)
        .await
        .expect("the meter answers")
}

/// The outbox: outlet, Wh, and whether it is held.
pub(super) async fn outbox(gateway: &Gateway) -> Vec<(&'static str, u64, bool)> {
    let (reply, answer) = oneshot::channel();
    let look = gateway.engine.look(move |node, _| {
        let line = |charge: &ledger::node::Charge| {
            let names = ["yard", "porch", "garage", "cellar", "drive", "CP-1/9"];
            let name = names
                .into_iter()
                .find(|name| *name == charge.measured.outlet);
            let is_held = matches!(charge.stage, Stage::Held { .. });
            (
                name.expect("it is one of these"),
                charge.measured.energy.0,
                is_held,
            )
        };
        let _ = reply.send(node.charges().map(line).collect());
    });
    look.expect("it runs");
    answer.await.expect("it runs")
}

/// Why the charges that are held are held.
pub(super) async fn hold_reasons(gateway: &Gateway) -> Vec<String> {
    let (reply, answer) = oneshot::channel();
    let look = gateway.engine.look(move |node, _| {
        let reasons = node.charges().filter_map(|charge| match &charge.stage {
            Stage::Held { reason } => Some(reason.clone()),
            Stage::Measured | Stage::Signed { .. } => None,
        });
        let _ = reply.send(reasons.collect());
    });
    look.expect("it runs");
    answer.await.expect("it runs")
}
