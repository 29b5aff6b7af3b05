//! Charges that are going on: begun, observed, ended, and durable at each step.
//!
//! A charge is on disk before its start is answered, its register is saved at least every minute
//! or 100 Wh, and its end goes into the outbox in the same sync that takes it off here.

mod detail;
mod record;
mod recover;
mod southbound;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::node::{Decision, Input, Node};
use ledger::store::{Engine, Store, StoreError, Table, Write};
use meter_drivers::Reading;
use ocpp_bridge::session::{EndedCharge, Observation, RunningCharge, StopReason};
use protocol::{EnergyWh, Hash, IdTag, UnixMillis};
use tokio::sync::oneshot;

use crate::authorizer::Authorizer;
use crate::clock::{Clock, MAX_STEP_MS};
use crate::config::Config;
use crate::meters::{CheckedReading, Meters};
pub(crate) use record::{Record, Source};

const RUNNING: Table = Table("running");
/// Transaction ids by what began them, for charge points that repeat themselves.
const ORIGINS: Table = Table("origins");
/// Stops of transactions this gateway never saw begin.
const ORPHANS: Table = Table("orphan_stops");
const CONFIGURATION: Table = Table("ocpp_configuration");
const COUNTERS: Table = Table("counters");
const TRANSACTION_KEY: &[u8] = b"transaction";

/// A start or stop that arrives this much later than it happened cannot be paired with a meter
/// that is read now.
const PAIRING_MS: u64 = 60_000;
/// A running charge's register is saved this often.
const SAVE_MS: u64 = 60_000;
const SAVE_WH: u64 = 100;

/// All charges that are going on.
#[derive(Debug)]
pub(crate) struct Charges {
    config: Arc<Config>,
    engine: Engine<Node>,
    store: Arc<Store>,
    clock: Clock,
    meters: Meters,
    authorizer: Authorizer,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    records: BTreeMap<i32, Record>,
    last_transaction: i32,
}

/// Why a charge cannot begin or end now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChargeError {
    /// The engine stopped: the disk failed.
    #[error("the gateway cannot store charges any more; see its log")]
    Stopped,
    /// A charge goes on there already.
    #[error("a charge is going on at {0} already")]
    Busy(String),
    /// Nothing to end.
    #[error("no charge is going on at {0}")]
    Idle(String),
    /// The meter of a charger without OCPP is all there is.
    #[error("{0}")]
    Meter(String),
}

/// What begins a charge.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) charge_point: String,
    pub(crate) connector: u32,
    pub(crate) id_tag: IdTag,
    /// The charger's own register; `None` for a charger without OCPP.
    pub(crate) register: Option<EnergyWh>,
    pub(crate) at: UnixMillis,
}

impl Begin {
    /// Names the event, so that a repeated one is known again.
    fn origin(&self) -> Hash {
        let text = format!(
            "{}\n{}\n{}\n{:?}\n{}",
            self.charge_point,
            self.connector,
            self.id_tag.as_str(),
            self.register,
            self.at.0
        );
        Hash::of(text.as_bytes())
    }
}

/// What ends a charge.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The charger's own register; `None` for a charger without OCPP.
    pub(crate) register: Option<EnergyWh>,
    pub(crate) at: UnixMillis,
    pub(crate) reason: StopReason,
}

impl Charges {
    pub(crate) fn load(
        config: Arc<Config>,
        engine: Engine<Node>,
        store: Arc<Store>,
        clock: Clock,
        meters: Meters,
        authorizer: Authorizer,
    ) -> Result<Self, StoreError> {
        let mut running = Running {
            last_transaction: store.get(COUNTERS, TRANSACTION_KEY)?.unwrap_or(0),
            ..Running::default()
        };
        for text in store.all::<String>(RUNNING)? {
            match Record::from_json(&text) {
                Ok(record) => {
                    running.records.insert(record.charge.transaction_id, record);
                }
                Err(error) => {
                    tracing::error!(%error, "a stored charge cannot be read; it is kept, not billed");
                }
            }
        }
        Ok(Self {
            config,
            engine,
            store,
            clock,
            meters,
            authorizer,
            running: Mutex::new(running),
        })
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) async fn decide(&self, id_tag: &IdTag) -> Decision {
        self.authorizer.decide(&self.engine, id_tag).await
    }

    fn with<T>(&self, act: impl FnOnce(&mut Running) -> T) -> T {
        // Every change below is complete before anything can panic.
        act(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The charges that are going on.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.with(|running| running.records.values().cloned().collect())
    }

    /// The charge that goes on at an outlet.
    pub(crate) fn at_outlet(&self, outlet: &str) -> Option<Record> {
        let is_here = |record: &&Record| record.outlet == outlet && record.ended.is_none();
        self.with(|running| running.records.values().find(is_here).cloned())
    }

    /// Begins a charge and gives its transaction id; the same event gives the same id.
    pub(crate) async fn begin(&self, begin: Begin) -> Result<i32, ChargeError> {
        let origin = begin.origin();
        let known = self.store.get::<i32>(ORIGINS, &origin.0);
        if let Some(transaction) = known.map_err(|_| ChargeError::Stopped)? {
            return Ok(transaction);
        }
        let outlet = self.config.outlet_of(&begin.charge_point, begin.connector);
        let record = match outlet {
            Some(outlet) => self.begin_at(&begin, outlet).await?,
            None => {
                let name = format!("{}/{}", begin.charge_point, begin.connector);
                let hold = "no outlet is configured for this connector".to_owned();
                Record::new(&begin, name, Source::Charger, Some(hold))
            }
        };
        self.store_new(origin, record).await
    }

    async fn begin_at(&self, begin: &Begin, outlet: &str) -> Result<Record, ChargeError> {
        let Some(meter) = self.config.outlets[outlet].meter.as_deref() else {
            return Ok(Record::new(begin, outlet.to_owned(), Source::Charger, None));
        };
        let read = match is_near(begin.at, self.now()) {
            true => self.meters.read_now(meter).await,
            false => Err("its start was reported too late to read the meter".to_owned()),
        };
        match (read, begin.register) {
            (Ok(read), _) => Ok(Record::metered(begin, outlet.to_owned(), meter, &read)),
            // The charger's own register stands in, for somebody to look at.
            (Err(why), Some(_)) => Ok(Record::new(
                begin,
                outlet.to_owned(),
                Source::Charger,
                Some(format!("the meter did not measure this charge: {why}")),
            )),
            (Err(why), None) => Err(ChargeError::Meter(why)),
        }
    }

    async fn store_new(&self, origin: Hash, mut record: Record) -> Result<i32, ChargeError> {
        let transaction = self.with(|running| {
            running.last_transaction += 1;
            running.last_transaction
        });
        record.charge.transaction_id = transaction;
        let writes = vec![
            put(&record),
            Write::put(ORIGINS, origin.0, &transaction),
            Write::put(COUNTERS, TRANSACTION_KEY, &transaction),
        ];
        self.durably(writes, Vec::new()).await?;
        tracing::info!(
            transaction,
            outlet = record.outlet,
            register_wh = record.charge.register_start.0,
            "charge began"
        );
        self.with(|running| running.records.insert(transaction, record));
        Ok(transaction)
    }

    /// Takes in readings that a charge point reported for one of its charges.
    pub(crate) async fn observe(
        &self,
        charge_point: &str,
        connector: u32,
        transaction: Option<i32>,
        observations: &[Observation],
    ) -> Result<(), ChargeError> {
        let is_meant = |record: &Record| {
            let charge = &record.charge;
            charge.charge_point == charge_point
                && record.source == Source::Charger
                && record.ended.is_none()
                && transaction.map_or(charge.connector == connector, |t| {
                    charge.transaction_id == t
                })
        };
        self.observe_where(is_meant, observations).await
    }

    /// Takes in a reading of the meter at an outlet.
    pub(crate) async fn observe_meter(
        &self,
        outlet: &str,
        reading: &Reading,
    ) -> Result<(), ChargeError> {
        let observation = Observation {
            at: reading.taken_at,
            register: Some(reading.register),
            power: reading.power,
        };
        let is_meant = |record: &Record| {
            record.outlet == outlet
                && matches!(record.source, Source::Meter { .. })
                && record.ended.is_none()
        };
        self.observe_where(is_meant, &[observation]).await
    }

    async fn observe_where(
        &self,
        is_meant: impl Fn(&Record) -> bool,
        observations: &[Observation],
    ) -> Result<(), ChargeError> {
        // A clock far ahead would make every later reading look late.
        let latest = self.now().plus_ms(MAX_STEP_MS);
        let save = self.with(|running| {
            let record = running
                .records
                .values_mut()
                .find(|record| is_meant(record))?;
            for observation in observations.iter().filter(|o| o.at <= latest) {
                record.charge.observe(observation);
            }
            record.is_save_due().then(|| {
                record.saved = record.charge.last;
                put(record)
            })
        });
        match save {
            Some(write) => self.durably(vec![write], Vec::new()).await,
            None => Ok(()),
        }
    }

    /// Ends a charge. It is in the outbox, durable, when this returns; ending it again changes
    /// nothing.
    pub(crate) async fn end(
        &self,
        transaction: i32,
        end: End,
    ) -> Result<Option<EndedCharge>, ChargeError> {
        let known = self.with(|running| running.records.get(&transaction).cloned());
        let Some(mut record) = known.filter(|record| record.ended.is_none()) else {
            return Ok(None);
        };
        let (at, register) = self.final_register(&mut record, &end).await;
        let ended = record.charge.clone().end(at, register, end.reason);
        self.store_ended(record, ended, Vec::new()).await.map(Some)
    }

    /// The register at the end, from what the charge is measured by.
    async fn final_register(&self, record: &mut Record, end: &End) -> (UnixMillis, EnergyWh) {
        let last = record.charge.last;
        let Source::Meter { name, serial, .. } = record.source.clone() else {
            return (end.at, end.register.unwrap_or(last.register));
        };
        let read = match is_near(end.at, self.now()) {
            true => self.meters.read_now(&name).await,
            false => Err("its end was reported too late to read the meter".to_owned()),
        };
        match read {
            Ok(CheckedReading {
                reading,
                serial: now,
                ..
            }) => {
                if now != serial {
                    record.hold_for("another meter is at the outlet than at the start");
                    return (last.at, last.register);
                }
                let power = reading.power;
                let at = record.observe(&Observation {
                    at: reading.taken_at,
                    register: Some(reading.register),
                    power,
                });
                (at, reading.register)
            }
            Err(why) => {
                record.hold_for(&format!("the meter was not read at the end: {why}"));
                (last.at, last.register)
            }
        }
    }

    /// Puts an ended charge into the outbox, after what the restart before it left to hold.
    async fn store_ended(
        &self,
        mut record: Record,
        ended: EndedCharge,
        gap: Vec<Input>,
    ) -> Result<EndedCharge, ChargeError> {
        let transaction = record.charge.transaction_id;
        let max_power = self
            .config
            .outlets
            .get(&record.outlet)
            .map(|outlet| outlet.max_power);
        let measured = detail::measured(&record, &ended, max_power);
        let is_reported = self.is_reported(&record.charge);
        let write = match is_reported {
            // Kept until the central system's side has it in its journal.
            true => {
                record.ended = Some(ended.clone());
                put(&record)
            }
            false => Write::delete(RUNNING, transaction.to_be_bytes()),
        };
        let mut inputs = gap;
        if ended.energy.0 > 0 {
            inputs.push(Input::Ended(measured));
        }
        self.durably(vec![write], inputs).await?;
        tracing::info!(transaction, energy_wh = ended.energy.0, "charge ended");
        self.with(|running| match is_reported {
            true => running.records.insert(transaction, record),
            false => running.records.remove(&transaction),
        });
        Ok(ended)
    }

    fn is_reported(&self, charge: &RunningCharge) -> bool {
        let charger = self.config.modbus_chargers.get(&charge.charge_point);
        charger.is_some_and(|charger| charger.central_system.is_some())
    }

    /// Forgets an ended charge that the central system's side has taken over.
    pub(crate) async fn forget(&self, transaction: i32) -> Result<(), ChargeError> {
        let write = Write::delete(RUNNING, transaction.to_be_bytes());
        self.durably(vec![write], Vec::new()).await?;
        self.with(|running| running.records.remove(&transaction));
        Ok(())
    }

    /// OCPP configuration that a central system changed, from the last start.
    pub(crate) fn configuration(
        &self,
        charge_point: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut entries = self.store.all::<(String, String, String)>(CONFIGURATION)?;
        entries.retain(|(id, _, _)| id == charge_point);
        Ok(entries
            .into_iter()
            .map(|(_, key, value)| (key, value))
            .collect())
    }

    /// Keeps OCPP configuration for the next start.
    pub(crate) async fn keep_configuration(&self, charge_point: &str, key: &str, value: &str) {
        let entry = (charge_point.to_owned(), key.to_owned(), value.to_owned());
        let name = format!("{charge_point}/{}", key.to_ascii_lowercase());
        let write = Write::put(CONFIGURATION, name.into_bytes(), &entry);
        if let Err(error) = self.durably(vec![write], Vec::new()).await {
            tracing::error!(charge_point, key, %error, "the setting is lost at the next start");
        }
    }

    async fn durably(&self, writes: Vec<Write>, inputs: Vec<Input>) -> Result<(), ChargeError> {
        let (done, stored) = oneshot::channel();
        let sent = self.engine.durably(writes, inputs, move || {
            // Whoever waited may be gone; what was stored stays stored.
            let _ = done.send(());
        });
        sent.map_err(|_| ChargeError::Stopped)?;
        stored.await.map_err(|_| ChargeError::Stopped)
    }
}

fn put(record: &Record) -> Write {
    let transaction = record.charge.transaction_id;
    Write::put(RUNNING, transaction.to_be_bytes(), &record.to_json())
}

fn is_near(event: UnixMillis, now: UnixMillis) -> bool {
    now.since_ms(event).max(event.since_ms(now)) <= PAIRING_MS
}
