//! How a charge ends.

use ledger::node::Input;
use ledger::store::Write;
use ocpp_bridge::session::{EndedCharge, RunningCharge, StopReason};
use protocol::{EnergyWh, UnixMillis};

use super::{
    ChargeError, Charges, RUNNING, Record, Running, Source, detail, doubt, is_near, put, signed,
};
use crate::meters::CheckedReading;

/// What ends a charge.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The charger's own register; `None` for a charger without OCPP.
    pub(crate) register: Option<EnergyWh>,
    pub(crate) at: UnixMillis,
    pub(crate) reason: StopReason,
}

impl Charges {
    /// Ends a charge. It is in the outbox, durable, when this returns; ending it again changes
    /// nothing.
    pub(crate) async fn end(
        &self,
        transaction: i32,
        end: End,
    ) -> Result<Option<EndedCharge>, ChargeError> {
        let find = || self.with(|running| running.open(transaction).cloned());
        let turn = match find() {
            Some(record) => self.turn(&record.charge.charge_point).await,
            None => None,
        };
        // Whoever had the turn before may have ended it.
        let Some(record) = find() else {
            self.all_stored().await?;
            return Ok(None);
        };
        if record.is_interrupted {
            return Err(ChargeError::Interrupted(record.outlet));
        }
        let read = self.read_at_end(&record.source, end.at).await;
        let closed = self.with(|running| {
            // What was observed meanwhile counts.
            let record = running.open(transaction).cloned()?;
            let (record, at, register) = self.final_register(record, &end, read);
            let ended = record.charge.clone().end(at, register, end.reason);
            let (writes, input) = self.close(running, record, &ended);
            let stored = self.queue(writes, input.into_iter().collect());
            Some(stored.map(|stored| (ended, stored)))
        });
        let Some(closed) = closed else {
            return Ok(None);
        };
        let (ended, stored) = closed?;
        stored.wait().await?;
        drop(turn);
        Ok(Some(ended))
    }

    /// The meter's register; `None` where the charger's own is billed.
    async fn read_at_end(
        &self,
        source: &Source,
        at: UnixMillis,
    ) -> Option<Result<CheckedReading, String>> {
        let Source::Meter { name, .. } = source else {
            return None;
        };
        Some(match is_near(at, self.now()) {
            true => self.meters.read_now(name).await,
            false => Err("its end was reported too late to read the meter".to_owned()),
        })
    }

    /// When the charge ended and at which register, from what it is measured by.
    fn final_register(
        &self,
        mut record: Record,
        end: &End,
        read: Option<Result<CheckedReading, String>>,
    ) -> (Record, UnixMillis, EnergyWh) {
        match read {
            None => {
                if let Some(why) = doubt(end.at, self.now()) {
                    record.hold_for(why);
                }
                let register = end.register.unwrap_or(record.charge.last.register);
                return (record, end.at, register);
            }
            Some(Ok(checked)) => record.end_at(&checked.read),
            Some(Err(why)) => {
                record.hold_for(&format!("the meter was not read at the end: {why}"));
            }
        }
        let last = record.charge.last;
        (record, last.at, last.register)
    }

    /// Takes an ended charge off here: what that writes, and what goes into the outbox with it.
    pub(super) fn close(
        &self,
        running: &mut Running,
        mut record: Record,
        ended: &EndedCharge,
    ) -> (Vec<Write>, Option<Input>) {
        let transaction = record.charge.transaction_id;
        let outlet = self.config.outlets.get(&record.outlet);
        let judged = signed::judged(running, &record, ended, outlet);
        let max_power = outlet.map(|outlet| outlet.max_power);
        let measured = detail::measured(&record, ended, max_power, &judged);
        tracing::info!(transaction, energy_wh = ended.energy.0, "charge ends");
        // Nothing measured and nothing in doubt: there is nothing to bill.
        let is_billable = ended.energy.0 > 0 || measured.hold.is_some();
        let mut writes = match is_billable {
            true => signed::kept(running, &measured.detail, &judged),
            false => Vec::new(),
        };
        let write = if self.is_reported(&record.charge) {
            // Kept until the central system's side has it in its journal.
            record.ended = Some(ended.clone());
            let write = put(&record);
            running.records.insert(transaction, record);
            write
        } else {
            running.records.remove(&transaction);
            Write::delete(RUNNING, transaction.to_be_bytes())
        };
        writes.push(write);
        (writes, is_billable.then_some(Input::Ended(measured)))
    }

    fn is_reported(&self, charge: &RunningCharge) -> bool {
        let charger = self.config.modbus_chargers.get(&charge.charge_point);
        charger.is_some_and(|charger| charger.central_system.is_some())
    }

    /// Notes that the central system's side has a charge's start in its journal.
    pub(crate) fn announced(&self, transaction: i32) {
        // On disk with the next save: before that, telling it again changes nothing.
        self.with(|running| {
            if let Some(record) = running.records.get_mut(&transaction) {
                record.is_announced = true;
            }
        });
    }

    /// Forgets an ended charge that the central system's side has taken over.
    pub(crate) async fn forget(&self, transaction: i32) -> Result<(), ChargeError> {
        let stored = self.with(|running| {
            running.records.remove(&transaction);
            let write = Write::delete(RUNNING, transaction.to_be_bytes());
            self.queue(vec![write], Vec::new())
        });
        stored?.wait().await
    }
}
