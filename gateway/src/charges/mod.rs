//! Charges that are going on: begun, observed, ended, and durable at each step.
//!
//! A charge is on disk before its start is answered, its register is saved at least every minute
//! or 100 Wh, and its end goes into the outbox in the same sync that takes it off here.
//!
//! What is in memory and what is on disk change in the same order: every write is queued under the
//! lock under which its record changes. What waits for a meter does so without the lock, and looks
//! at the record anew afterwards.

mod begin;
mod detail;
mod end;
mod observe;
mod record;
mod recover;
mod settings;
mod signed;
mod southbound;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::node::{Decision, Input, Node};
use ledger::store::{Engine, Store, StoreError, Table, Write};
use protocol::{Hash, IdTag, UnixMillis};
use tokio::sync::{MutexGuard, oneshot};

use crate::authorizer::Authorizer;
use crate::clock::{Clock, MAX_STEP_MS};
use crate::config::Config;
use crate::meters::Meters;
use crate::signed::PAGES;
pub(crate) use begin::Begin;
pub use detail::ChargeDetail;
pub(crate) use end::End;
pub(crate) use record::{Record, Source};

const RUNNING: Table = Table("running");
/// Transaction ids by what began them, for charge points that repeat themselves.
const ORIGINS: Table = Table("origins");
/// Stops of transactions this gateway never saw begin.
const ORPHANS: Table = Table("orphan_stops");
const CONFIGURATION: Table = Table("ocpp_configuration");
const COUNTERS: Table = Table("counters");
const TRANSACTION_KEY: &[u8] = b"transaction";

/// Starts that are known again when repeated: these newest ones at least.
const KEPT_ORIGINS: i32 = 10_000;
/// A start or stop that arrives this much later than it happened cannot be paired with a meter
/// that is read now.
const PAIRING_MS: u64 = 60_000;
/// A charger that reports later than this has no right clock; longer charges are held as well.
const LATEST_REPORT_MS: u64 = 31 * 24 * 3_600_000;
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
    // Held while a charge begins or ends at a charge point, over its waits for a meter.
    turns: BTreeMap<String, tokio::sync::Mutex<()>>,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    records: BTreeMap<i32, Record>,
    last_transaction: i32,
    /// The last signed page that was billed, by the hash of the meter's key.
    pages: BTreeMap<Hash, u64>,
}

impl Running {
    /// A charge that is not over.
    fn open(&self, transaction: i32) -> Option<&Record> {
        let record = self.records.get(&transaction);
        record.filter(|record| record.ended.is_none())
    }

    fn open_at(&self, outlet: &str) -> Option<&Record> {
        let is_here = |record: &&Record| record.outlet == outlet && record.ended.is_none();
        self.records.values().find(is_here)
    }
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
    /// A charge from before a restart waits for its meter.
    #[error(
        "the charge that a restart interrupted at {0} is being closed; its meter must answer first"
    )]
    Interrupted(String),
    /// The meter of a charger without OCPP is all there is.
    #[error("{0}")]
    Meter(String),
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
        store.for_each(PAGES, |key, page: u64| {
            if let Ok(meter) = <[u8; 32]>::try_from(key) {
                running.pages.insert(Hash(meter), page);
            }
        })?;
        for text in store.all::<String>(RUNNING)? {
            match Record::from_json(&text) {
                Ok(mut record) => {
                    let has_ocpp = config
                        .charge_points
                        .contains_key(&record.charge.charge_point);
                    record.is_interrupted = !has_ocpp;
                    running.records.insert(record.charge.transaction_id, record);
                }
                Err(error) => {
                    tracing::error!(%error, "a stored charge cannot be read; it is kept, not billed");
                }
            }
        }
        let identities = config.charge_points.keys();
        let identities = identities.chain(config.modbus_chargers.keys()).cloned();
        let charges = Self {
            turns: identities.map(|id| (id, Default::default())).collect(),
            config,
            engine,
            store,
            clock,
            meters,
            authorizer,
            running: Mutex::new(running),
        };
        charges.drop_old_origins()?;
        Ok(charges)
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

    /// One thing at a time at a charge point. Those in no configuration have nobody to wait for.
    async fn turn(&self, charge_point: &str) -> Option<MutexGuard<'_, ()>> {
        match self.turns.get(charge_point) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// The charges that are going on.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.with(|running| running.records.values().cloned().collect())
    }

    /// The charge that goes on at an outlet.
    pub(crate) fn at_outlet(&self, outlet: &str) -> Option<Record> {
        self.with(|running| running.open_at(outlet).cloned())
    }

    /// Queues what becomes durable together. Called under the lock, so that the disk follows memory.
    fn queue(&self, writes: Vec<Write>, inputs: Vec<Input>) -> Result<Stored, ChargeError> {
        let (done, stored) = oneshot::channel();
        let sent = self.engine.durably(writes, inputs, move || {
            // Whoever waited may be gone; what was stored stays stored.
            let _ = done.send(());
        });
        sent.map_err(|_| ChargeError::Stopped)?;
        Ok(Stored(stored))
    }

    /// Waits until all that was queued before is durable.
    async fn all_stored(&self) -> Result<(), ChargeError> {
        self.queue(Vec::new(), Vec::new())?.wait().await
    }
}

/// What was queued, on its way to the disk.
struct Stored(oneshot::Receiver<()>);

impl Stored {
    async fn wait(self) -> Result<(), ChargeError> {
        self.0.await.map_err(|_| ChargeError::Stopped)
    }
}

fn put(record: &Record) -> Write {
    let transaction = record.charge.transaction_id;
    Write::put(RUNNING, transaction.to_be_bytes(), &record.to_json())
}

fn is_near(event: UnixMillis, now: UnixMillis) -> bool {
    now.since_ms(event).max(event.since_ms(now)) <= PAIRING_MS
}

/// Why a charger's own time is not to be billed by.
fn doubt(event: UnixMillis, now: UnixMillis) -> Option<&'static str> {
    if event > now.plus_ms(MAX_STEP_MS) {
        Some("the charger's clock is ahead; set it right")
    } else if now.since_ms(event) > LATEST_REPORT_MS {
        Some("the charger reported it more than a month late; set its clock right")
    } else {
        None
    }
}
