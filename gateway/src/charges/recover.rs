//! After a restart: what becomes of the charges that were going on.
//!
//! A charge at an OCPP charger goes on: its transaction is the charger's, which will end it. A
//! charger without OCPP cannot prove that the same vehicle is still connected: its charge ends at
//! the last register saved, and what the meter counted since is held.

use ledger::node::Input;
use meter_drivers::Reading;
use ocpp_bridge::session::{EndedCharge, StopReason};

use super::record::serial_of;
use super::{ChargeError, Charges, Record, Source, detail, signed};
use crate::meters::MeterState;

impl Charges {
    /// Charges at `charge_point` that were going on, or ended without the central system knowing.
    pub(crate) fn interrupted(&self, charge_point: &str) -> Vec<Record> {
        let mut records = self.all();
        records.retain(|record| record.charge.charge_point == charge_point);
        records
    }

    /// Waits for the next reading of an interrupted charge's meter, because only it tells what was
    /// counted meanwhile.
    pub(crate) async fn wait_for_meter(&self, record: &Record) {
        if record.ended.is_none()
            && let Source::Meter { name, .. } = &record.source
            && let Some(mut state) = self.meters.follow(name)
        {
            // Power may have been taken away since the one before.
            let newest = state.borrow().number();
            // An error means that the meter is not read any more, as when the process ends.
            let _ = state
                .wait_for(|state: &MeterState| state.number() > newest)
                .await;
        }
    }

    /// Closes a charge that a restart interrupted, by what its meter says now.
    pub(crate) async fn close_interrupted(
        &self,
        transaction: i32,
    ) -> Result<Option<EndedCharge>, ChargeError> {
        let closed = self.with(|running| {
            let mut record = running.records.get(&transaction).cloned()?;
            if let Some(ended) = record.ended {
                return Some(Ok((ended, None)));
            }
            let gap = match self.reading_since(&record) {
                Ok(reading) => held_gap(&mut record, &reading),
                Err(why) => {
                    record.hold_for(why);
                    None
                }
            };
            let last = record.charge.last;
            let charge = record.charge.clone();
            let ended = charge.end(last.at, last.register, StopReason::PowerLoss);
            let (writes, input) = self.close(running, record, &ended);
            let stored = self.queue(writes, input.into_iter().chain(gap).collect());
            Some(stored.map(|stored| (ended, Some(stored))))
        });
        let Some(closed) = closed else {
            return Ok(None);
        };
        match closed? {
            (ended, Some(stored)) => stored.wait().await.map(|()| Some(ended)),
            (ended, None) => Ok(Some(ended)),
        }
    }

    fn reading_since(&self, record: &Record) -> Result<Reading, &'static str> {
        let gone = "its meter is no longer in the configuration";
        let Source::Meter { name, serial, .. } = &record.source else {
            return Err("its charger is no longer an OCPP charger in the configuration");
        };
        let state = self.meters.follow(name).ok_or(gone)?;
        let newest = state.borrow().newest.clone();
        let newest = newest.ok_or("its meter was not read after a restart")?;
        let reading = newest.reading;
        match serial_of(&reading) == *serial {
            true => Ok(reading),
            false => Err("another meter is at the outlet since a restart"),
        }
    }

    /// Closes charges of chargers that were taken out of the configuration: nobody else will.
    pub(crate) async fn close_abandoned(&self) -> Result<(), ChargeError> {
        for record in self.all() {
            if self.turns.contains_key(&record.charge.charge_point) {
                continue;
            }
            let transaction = record.charge.transaction_id;
            self.with(|running| {
                if let Some(record) = running.records.get_mut(&transaction) {
                    record.hold_for("its charger is no longer in the configuration");
                }
            });
            self.close_interrupted(transaction).await?;
            // Nobody is left to be told.
            self.forget(transaction).await?;
        }
        Ok(())
    }
}

/// What the meter counted between the last saved register and now, to be looked at.
fn held_gap(record: &mut Record, reading: &Reading) -> Option<Input> {
    let last = record.charge.last;
    if reading.register < last.register {
        record.hold_for(&format!(
            "the register fell from {} to {} over a restart; inspect the meter",
            last.register, reading.register
        ));
    }
    if reading.register <= last.register {
        return None;
    }
    let mut gap = record.clone();
    gap.id[0] ^= 0xff;
    gap.charge.started_at = last.at;
    gap.charge.register_start = last.register;
    gap.charge.detail.clear();
    // What was signed is of the charge that was going on.
    gap.signed.clear();
    gap.hold = Some("counted by the meter while the gateway was away".to_owned());
    let charge = gap.charge.clone();
    let ended = charge.end(reading.taken_at, reading.register, StopReason::PowerLoss);
    Some(Input::Ended(detail::measured(
        &gap,
        &ended,
        None,
        &signed::unsigned(&gap, &ended),
    )))
}
