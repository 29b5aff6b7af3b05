//! What is read while a charge goes on.

use ledger::store::Write;
use ocpp_bridge::session::Observation;

use super::{ChargeError, Charges, MAX_STEP_MS, Record, Source, put};
use crate::meters::NumberedReading;

impl Charges {
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
                && transaction.map_or(charge.connector == connector, |t| {
                    charge.transaction_id == t
                })
        };
        // A clock far ahead would make every later reading look late.
        let latest = self.now().plus_ms(MAX_STEP_MS);
        self.change(is_meant, |record| {
            for observation in observations.iter().filter(|o| o.at <= latest) {
                record.charge.observe(observation);
            }
        })
        .await
    }

    /// Takes in a meter's reading.
    pub(crate) async fn observe_meter(
        &self,
        meter: &str,
        read: &NumberedReading,
    ) -> Result<(), ChargeError> {
        let is_meant = |record: &Record| {
            let is_here = matches!(&record.source, Source::Meter { name, .. } if name == meter);
            is_here && !record.is_interrupted
        };
        self.change(is_meant, |record| record.take_reading(read))
            .await
    }

    /// Takes in what the meter of a running charge shows now, where it answers.
    pub(crate) async fn observe_now(&self, record: &Record) -> Result<(), ChargeError> {
        let Source::Meter { name, .. } = &record.source else {
            return Ok(());
        };
        match self.meters.read_now(name).await {
            Ok(checked) => self.observe_meter(name, &checked.read).await,
            // What it counts until it is read again is held, as after a kill.
            Err(_) => Ok(()),
        }
    }

    async fn change(
        &self,
        is_meant: impl Fn(&Record) -> bool,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), ChargeError> {
        let stored = self.with(|running| {
            let mut records = running.records.values_mut();
            let record = records.find(|record| record.ended.is_none() && is_meant(record))?;
            change(record);
            let write = record.is_save_due().then(|| save(record))?;
            Some(self.queue(vec![write], Vec::new()))
        });
        match stored {
            Some(stored) => stored?.wait().await,
            None => Ok(()),
        }
    }

    /// Saves every register, so that a restart which was asked for leaves nothing to hold.
    pub(crate) async fn save_all(&self) -> Result<(), ChargeError> {
        let stored = self.with(|running| {
            let records = running.records.values_mut();
            let unsaved = records.filter(|r| r.ended.is_none() && r.saved != r.charge.last);
            let writes = unsaved.map(save).collect();
            self.queue(writes, Vec::new())
        });
        stored?.wait().await
    }
}

fn save(record: &mut Record) -> Write {
    record.saved = record.charge.last;
    put(record)
}
