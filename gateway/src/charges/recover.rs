//! After a restart: what becomes of the charges that were going on.
//!
//! A charge at an OCPP charger goes on: its transaction is the charger's, which will end it. A
//! charger without OCPP cannot prove that the same vehicle is still connected: its charge ends at
//! the last register saved, and what the meter counted since is held.

use ledger::node::Input;
use meter_drivers::Reading;
use ocpp_bridge::session::{EndedCharge, StopReason};

use super::{ChargeError, Charges, Record, Source, detail};
use crate::meters::MeterState;

/// A charge that was closed after a restart.
#[derive(Clone, Debug)]
pub(crate) struct Recovered {
    pub(crate) record: Record,
    pub(crate) ended: EndedCharge,
}

impl Charges {
    /// Charges at `charge_point` that were going on, or ended without the central system knowing.
    pub(crate) fn interrupted(&self, charge_point: &str) -> Vec<Record> {
        let mut records = self.all();
        records.retain(|record| record.charge.charge_point == charge_point);
        records
    }

    /// Closes a charge of a charger without OCPP that a restart interrupted. Waits for the
    /// meter's first reading, because only it tells what was counted meanwhile.
    pub(crate) async fn close_interrupted(&self, record: Record) -> Result<Recovered, ChargeError> {
        if let Some(ended) = record.ended.clone() {
            return Ok(Recovered { record, ended });
        }
        let last = record.charge.last;
        let gap = match &record.source {
            Source::Meter { name, .. } => {
                let reading = self.first_reading(name).await;
                reading.and_then(|reading| held_gap(&record, &reading))
            }
            Source::Charger => None,
        };
        let charge = record.charge.clone();
        let ended = charge.end(last.at, last.register, StopReason::PowerLoss);
        let gap = gap.into_iter().collect();
        let ended = self.store_ended(record.clone(), ended, gap).await?;
        Ok(Recovered { record, ended })
    }

    async fn first_reading(&self, meter: &str) -> Option<Reading> {
        let mut state = self.meters.follow(meter)?;
        let known = state.wait_for(|state: &MeterState| state.reading.is_some());
        known.await.ok().and_then(|state| state.reading.clone())
    }
}

/// What the meter counted between the last saved register and now, to be looked at.
fn held_gap(record: &Record, reading: &Reading) -> Option<Input> {
    let last = record.charge.last;
    if reading.register <= last.register {
        return None;
    }
    let mut gap = record.clone();
    gap.id[0] ^= 0xff;
    gap.charge.started_at = last.at;
    gap.charge.register_start = last.register;
    gap.charge.detail.clear();
    gap.hold = Some("counted by the meter while the gateway was away".to_owned());
    let charge = gap.charge.clone();
    let ended = charge.end(reading.taken_at, reading.register, StopReason::PowerLoss);
    Some(Input::Ended(detail::measured(&gap, &ended, None)))
}
