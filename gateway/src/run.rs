//! Wires everything together and runs until it is told to stop.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use ledger::node::{Node, NodeConfig, Outlet, stored_genesis};
use ledger::store::{Engine, EngineThread, Store, Watch};
use ocpp_bridge::session::Observation;
use ocpp_bridge::v16::charge_point::{self, ChargePointConfig};
use protocol::KeyPair;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::authorizer::Authorizer;
use crate::charges::Charges;
use crate::clock::Clock;
use crate::config::{Config, ModbusChargerConfig};
use crate::journal::StoreJournal;
use crate::lines::Lines;
use crate::meters::Meters;
use crate::modbus_charger::ModbusCharger;
use crate::neighbours::Neighbours;
use crate::power::Power;
use crate::shell::Shell;
use crate::uplink::{self, Uplink};
use crate::{evidence, identity, local_api, neighbours, receipts, southbound};

const STORE_FILE: &str = "gateway.redb";
const RECEIPTS_DIR: &str = "receipts";
/// Whoever stops a gateway kills it if it takes much longer.
const POWER_DOWN_TIMEOUT: Duration = Duration::from_secs(5);
const EVIDENCE_DIR: &str = "evidence";

/// Runs a gateway.
///
/// # Errors
/// What stopped it, or kept it from starting.
pub(crate) fn run(config: Config, watch: Arc<dyn Watch>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(Gateway::start(config, watch))?
}

struct Gateway {
    config: Arc<Config>,
    engine: Engine<Node>,
    store: Arc<Store>,
    charges: Arc<Charges>,
    meters: Meters,
    neighbours: Neighbours,
    modbus_chargers: Chargers,
}

/// Chargers without OCPP by identity.
type Chargers = Arc<BTreeMap<String, Arc<ModbusCharger>>>;

impl Gateway {
    async fn start(config: Config, watch: Arc<dyn Watch>) -> anyhow::Result<anyhow::Result<()>> {
        let state_dir = config.state_dir.clone();
        std::fs::create_dir_all(&state_dir)
            .with_context(|| format!("cannot make the state directory {}", state_dir.display()))?;
        // Before anything is begun: a port that is taken is the operator's to free.
        let ocpp = listen(config.ocpp, "ocpp.listen").await?;
        let api = listen(config.local_api, "local_api.listen").await?;
        let others = listen(config.neighbours.listen, "neighbours.listen").await?;
        let store = Arc::new(Store::open(&state_dir.join(STORE_FILE))?);
        let key = identity::load_or_make(&state_dir)?;
        check_chain(&config, &store)?;
        receipts::restore(&state_dir.join(RECEIPTS_DIR), &store)?;
        let evidence = evidence::Files::restore(state_dir.join(EVIDENCE_DIR), &store)?;

        let clock = Clock::default();
        let authorizer = Authorizer::default();
        let (outgoing, queue) = mpsc::channel(uplink::QUEUE);
        let (to_neighbours, wanted) = neighbours::queue();
        let (receipts, waiting) = receipts::queue();
        let shell = Shell {
            clock: clock.clone(),
            authorizer: authorizer.clone(),
            uplink: outgoing,
            neighbours: to_neighbours,
            receipts,
            evidence,
        };
        let node = Node::load(key.clone(), node_config(&config), &store)?;
        check_key(&config, &node, &key)?;
        let (engine, thread) = Engine::start(node, Arc::clone(&store), shell, watch)?;
        waiting.write(
            state_dir.join(RECEIPTS_DIR),
            engine.clone(),
            Arc::clone(&store),
        )?;
        let neighbours = Neighbours::new(
            engine.clone(),
            Arc::clone(&store),
            key.clone(),
            clock.clone(),
        );
        tokio::spawn(neighbours.clone().run(wanted));
        let uplink = Uplink {
            config: config.provider.clone(),
            key,
            clock: clock.clone(),
            genesis: stored_genesis(&store)?,
            engine: engine.clone(),
            outgoing: queue,
            calls: uplink::Calls::default(),
        };
        let config = Arc::new(config);
        let mut lines = Lines::start(&config);
        let meters = Meters::start(&config, &clock, &mut lines);
        // Off at once: nothing else is to be waited for.
        let mut power = BTreeMap::new();
        for (id, charger) in &config.modbus_chargers {
            power.insert(id.clone(), Power::start(id, charger, &mut lines)?);
        }
        let charges = Arc::new(Charges::load(
            Arc::clone(&config),
            engine.clone(),
            Arc::clone(&store),
            clock,
            meters.clone(),
            authorizer,
        )?);
        tokio::spawn(uplink.run());
        let mut gateway = Self {
            modbus_chargers: Arc::default(),
            config,
            engine,
            store,
            charges,
            meters,
            neighbours,
        };
        // Before anybody is told that it runs: whoever stops it then is heard.
        let signals = Signals::listen()?;
        gateway.charges.close_abandoned().await?;
        gateway.modbus_chargers = gateway.start_modbus_chargers(power)?;
        gateway.serve(ocpp, api, others)?;
        Ok(gateway.wait(thread, signals).await)
    }

    fn serve(
        &self,
        ocpp: Option<TcpListener>,
        api: Option<TcpListener>,
        others: Option<TcpListener>,
    ) -> anyhow::Result<()> {
        self.follow_meters(&self.modbus_chargers);
        let mut addresses = Vec::new();
        if let Some(listener) = ocpp {
            addresses.push(format!(
                "listening for OCPP chargers on ws://{}/ocpp/",
                listener.local_addr()?
            ));
            let (config, charges) = (Arc::clone(&self.config), Arc::clone(&self.charges));
            tokio::spawn(southbound::serve(listener, config, charges));
        }
        if let Some(listener) = api {
            addresses.push(format!("local API on http://{}", listener.local_addr()?));
            let api = local_api::Api {
                engine: self.engine.clone(),
                charges: Arc::clone(&self.charges),
                meters: self.meters.clone(),
                modbus_chargers: Arc::clone(&self.modbus_chargers),
            };
            tokio::spawn(local_api::serve(listener, api));
        }
        if let Some(listener) = others {
            let address = listener.local_addr()?;
            addresses.push(format!("listening for other gateways on ws://{address}"));
            tokio::spawn(neighbours::serve(listener, self.neighbours.clone()));
        }
        let mut out = std::io::stdout().lock();
        for line in addresses {
            // Nobody may be reading.
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "gateway is running");
        let _ = out.flush();
        Ok(())
    }

    fn start_modbus_chargers(
        &self,
        mut power: BTreeMap<String, Option<Power>>,
    ) -> anyhow::Result<Chargers> {
        let mut chargers = BTreeMap::new();
        for (id, config) in &self.config.modbus_chargers {
            let (handle, inbox) = match config.central_system {
                Some(_) => {
                    let (handle, inbox) = charge_point::channel();
                    (Some(handle), Some(inbox))
                }
                None => (None, None),
            };
            let charges = Arc::clone(&self.charges);
            let power = power.remove(id).flatten();
            let charger = ModbusCharger::new(id, config.clone(), charges, handle, power);
            let charger = Arc::new(charger);
            if let (Some(inbox), Some(url)) = (inbox, &config.central_system) {
                self.show(id, url, config, &charger, inbox)?;
            }
            let following = Arc::clone(&charger);
            tokio::spawn(async move { following.follow_power().await });
            let recovering = Arc::clone(&charger);
            tokio::spawn(async move {
                if let Err(error) = recovering.recover().await {
                    tracing::error!(%error, "a charge interrupted by the last stop is not closed yet");
                }
            });
            chargers.insert(id.clone(), charger);
        }
        Ok(Arc::new(chargers))
    }

    /// Shows a charger to its central system.
    fn show(
        &self,
        id: &str,
        url: &str,
        config: &ModbusChargerConfig,
        charger: &Arc<ModbusCharger>,
        inbox: charge_point::Inbox,
    ) -> anyhow::Result<()> {
        let mut face = ChargePointConfig::new(url, id, "Charge Gateway", "Modbus outlet");
        face.firmware = Some(env!("CARGO_PKG_VERSION").to_owned());
        let meter = self.config.outlets[&config.outlet].meter.as_ref();
        let model = meter.map(|meter| self.config.meters[meter].model.name());
        face.meter_type = model.map(|model| model.chars().take(25).collect());
        face.configuration = self.charges.configuration(id)?;
        let journal = StoreJournal::new(self.engine.clone(), Arc::clone(&self.store), id);
        let (id, host) = (id.to_owned(), Arc::clone(charger));
        tokio::spawn(async move {
            if let Err(error) = charge_point::run(face, host, journal, inbox).await {
                tracing::error!(charge_point = id, %error, "the link to the central system has ended");
            }
        });
        Ok(())
    }

    /// Gives every reading to the charge at its outlet.
    fn follow_meters(&self, chargers: &BTreeMap<String, Arc<ModbusCharger>>) {
        for (outlet, config) in &self.config.outlets {
            let Some(meter) = config.meter.clone() else {
                continue;
            };
            let Some(mut states) = self.meters.follow(&meter) else {
                continue;
            };
            let charges = Arc::clone(&self.charges);
            let charger = chargers.values().find(|c| c.outlet() == outlet).cloned();
            tokio::spawn(async move {
                while states.changed().await.is_ok() {
                    let state = states.borrow_and_update().clone();
                    let Some(newest) = state.newest.filter(|_| state.fault.is_none()) else {
                        continue;
                    };
                    if charges.observe_meter(&meter, &newest).await.is_err() {
                        return;
                    }
                    let reading = newest.reading;
                    if let Some(charger) = &charger {
                        let observation = Observation {
                            at: reading.taken_at,
                            register: Some(reading.register),
                            power: reading.power,
                        };
                        charger.observed(observation).await;
                    }
                }
            });
        }
    }

    /// Runs until a signal comes, or until the engine's disk fails.
    async fn wait(&self, thread: EngineThread, mut signals: Signals) -> anyhow::Result<()> {
        let mut ended = tokio::task::spawn_blocking(move || thread.join());
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            ended = &mut ended => return outcome(ended),
        }
        tracing::info!("stopping; running charges are kept");
        self.power_down().await;
        // Where the engine has died, its thread tells why below.
        let _ = self.charges.save_all().await;
        self.engine.stop();
        outcome(ended.await)
    }

    /// Nobody would measure what flows on, nor switch it off.
    async fn power_down(&self) {
        let off: JoinSet<()> =
            self.modbus_chargers
                .values()
                .fold(JoinSet::new(), |mut all, charger| {
                    let charger = Arc::clone(charger);
                    all.spawn(async move { charger.power_down().await });
                    all
                });
        if timeout(POWER_DOWN_TIMEOUT, off.join_all()).await.is_err() {
            tracing::error!("stopping before all power is known to be off");
        }
    }
}

/// What tells the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

fn outcome(
    ended: Result<
        std::thread::Result<Result<(), ledger::store::StoreError>>,
        tokio::task::JoinError,
    >,
) -> anyhow::Result<()> {
    match ended {
        Ok(Ok(result)) => {
            result.context("the gateway stops before it promises what it cannot keep")
        }
        Ok(Err(_)) | Err(_) => {
            bail!("the engine has failed; this is a bug, please report it with the log")
        }
    }
}

async fn listen(address: Option<SocketAddr>, key: &str) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; free it, or set another {key} in the configuration")
    })?;
    Ok(Some(listener))
}

/// A state directory is of one chain for ever.
fn check_chain(config: &Config, store: &Store) -> anyhow::Result<()> {
    let Some(genesis) = stored_genesis(store)? else {
        return Ok(());
    };
    if config
        .provider
        .key
        .is_some_and(|pinned| pinned != genesis.provider_key)
    {
        bail!(
            "the state directory {} belongs to the chain of provider {}, not of provider.key; use \
             another state_dir for another provider",
            config.state_dir.display(),
            genesis.provider_key
        );
    }
    Ok(())
}

/// The key file and the state of one directory belong together.
fn check_key(config: &Config, node: &Node, key: &KeyPair) -> anyhow::Result<()> {
    let accounts = node.state().map(|state| &state.nodes);
    let account = accounts.and_then(|nodes| nodes.get(&node.id()?));
    if account.is_some_and(|account| account.key != key.public()) {
        bail!(
            "the key in {} is not the one its state was made with; restore both from one backup",
            config.state_dir.display()
        );
    }
    Ok(())
}

fn node_config(config: &Config) -> NodeConfig {
    let outlets = config.outlets.iter().map(|(name, outlet)| Outlet {
        name: name.clone(),
        owner: outlet.owner.clone(),
        meter: match &outlet.meter {
            Some(meter) => config.meters[meter].model.id().to_owned(),
            None => "charger's own".to_owned(),
        },
    });
    NodeConfig {
        chargers: config.chargers.clone(),
        members: config.members.clone(),
        limits: config.limits.clone(),
        deputies: config.deputies.clone(),
        outlets: outlets.collect(),
        address: config.neighbours.address.clone(),
        neighbours: config.neighbours.known.clone(),
    }
}
