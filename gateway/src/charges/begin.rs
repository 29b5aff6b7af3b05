//! How a charge begins.

use ledger::store::{StoreError, Write};
use ocpp_bridge::session::StopReason;
use protocol::{EnergyWh, Hash, IdTag, UnixMillis};

use super::{
    COUNTERS, ChargeError, Charges, KEPT_ORIGINS, ORIGINS, Record, Running, Source,
    TRANSACTION_KEY, doubt, is_near, put,
};
use crate::meters::CheckedReading;

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
    pub(super) fn origin(&self) -> Hash {
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

/// A charge about to be stored, and the reading it begins with.
struct Opening {
    begin: Begin,
    record: Record,
    read: Option<CheckedReading>,
}

impl Charges {
    /// Begins a charge and gives its transaction id; the same event gives the same id.
    pub(crate) async fn begin(&self, begin: Begin) -> Result<i32, ChargeError> {
        let _turn = self.turn(&begin.charge_point).await;
        if let Some(transaction) = self.begun_before(&begin.origin())? {
            self.all_stored().await?;
            return Ok(transaction);
        }
        let opening = self.opening(begin).await?;
        let (transaction, stored) = self.with(|running| self.open(running, opening))?;
        stored.wait().await?;
        Ok(transaction)
    }

    fn begun_before(&self, origin: &Hash) -> Result<Option<i32>, ChargeError> {
        // One that is not on disk yet is in memory already.
        let id = origin.first_16();
        let running = self.with(|running| {
            let mut records = running.records.values();
            let same = records.find(|record| record.id == id);
            same.map(|record| record.charge.transaction_id)
        });
        match running {
            Some(transaction) => Ok(Some(transaction)),
            None => {
                let known = self.store.get(ORIGINS, &origin.0);
                known.map_err(|_| ChargeError::Stopped)
            }
        }
    }

    async fn opening(&self, begin: Begin) -> Result<Opening, ChargeError> {
        let outlet = self.config.outlet_of(&begin.charge_point, begin.connector);
        let Some(outlet) = outlet.map(str::to_owned) else {
            let name = format!("{}/{}", begin.charge_point, begin.connector);
            let hold = "no outlet is configured for this connector".to_owned();
            let record = Record::new(&begin, name, Source::Charger, Some(hold));
            return Ok(Opening {
                begin,
                record,
                read: None,
            });
        };
        let Some(meter) = self.config.outlets[&outlet].meter.as_deref() else {
            let hold = doubt(begin.at, self.now()).map(str::to_owned);
            let record = Record::new(&begin, outlet, Source::Charger, hold);
            return Ok(Opening {
                begin,
                record,
                read: None,
            });
        };
        let read = match is_near(begin.at, self.now()) {
            true => self.meters.read_now(meter).await,
            false => Err("its start was reported too late to read the meter".to_owned()),
        };
        match (read, begin.register) {
            (Ok(read), _) => Ok(Opening {
                record: Record::metered(&begin, outlet, meter, &read),
                begin,
                read: Some(read),
            }),
            // The charger's own register stands in, for somebody to look at.
            (Err(why), Some(_)) => {
                let hold = Some(format!("the meter did not measure this charge: {why}"));
                let record = Record::new(&begin, outlet, Source::Charger, hold);
                Ok(Opening {
                    begin,
                    record,
                    read: None,
                })
            }
            (Err(why), None) => Err(ChargeError::Meter(why)),
        }
    }

    fn open(
        &self,
        running: &mut Running,
        opening: Opening,
    ) -> Result<(i32, super::Stored), ChargeError> {
        let Opening {
            begin,
            mut record,
            read,
        } = opening;
        let mut writes = Vec::new();
        let mut inputs = Vec::new();
        while let Some(older) = running.open_at(&record.outlet).cloned() {
            let (older, at, register) = overtaken(older, &begin, read.as_ref());
            let ended = older.charge.clone().end(at, register, StopReason::Other);
            let (closing, input) = self.close(running, older, &ended);
            writes.extend(closing);
            inputs.extend(input);
        }
        running.last_transaction += 1;
        let transaction = running.last_transaction;
        record.charge.transaction_id = transaction;
        writes.extend([
            put(&record),
            Write::put(ORIGINS, begin.origin().0, &transaction),
            Write::put(COUNTERS, TRANSACTION_KEY, &transaction),
        ]);
        tracing::info!(
            transaction,
            outlet = record.outlet,
            register_wh = record.charge.register_start.0,
            "charge begins"
        );
        running.records.insert(transaction, record);
        Ok((transaction, self.queue(writes, inputs)?))
    }

    /// Forgets starts so old that no charge point repeats them.
    pub(super) fn drop_old_origins(&self) -> Result<(), StoreError> {
        let newest = self.with(|running| running.last_transaction);
        let mut old = Vec::new();
        self.store.for_each(ORIGINS, |key, transaction: i32| {
            if transaction <= newest.saturating_sub(KEPT_ORIGINS) {
                old.push(Write::delete(ORIGINS, key));
            }
        })?;
        if !old.is_empty() {
            // An engine that stopped ends the process; there is nothing to clean up then.
            let _ = self.queue(old, Vec::new());
        }
        Ok(())
    }
}

/// A connector has one charge. Where the next one begins, the one before is over, though nobody
/// said so: it ends there, for somebody to look at.
fn overtaken(
    mut older: Record,
    begin: &Begin,
    checked: Option<&CheckedReading>,
) -> (Record, UnixMillis, EnergyWh) {
    older.hold_for("its end was never reported; it was ended where the next charge began");
    if let Some(checked) = checked {
        older.end_at(&checked.read);
    }
    let last = older.charge.last;
    let (at, register) = match (&older.source, begin.register) {
        (Source::Charger, Some(register)) => (begin.at, register),
        (Source::Charger | Source::Meter { .. }, _) => (last.at, last.register),
    };
    (older, at, register)
}
