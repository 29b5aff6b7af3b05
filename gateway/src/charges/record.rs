//! A running charge as it is stored.

use ocpp_bridge::session::{DetailPoint, EndedCharge, Observation, RunningCharge};
use protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{Begin, SAVE_MS, SAVE_WH};
use crate::meters::CheckedReading;

/// What a charge is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// The charger's own register, as OCPP reports it.
    Charger,
    /// The meter at the outlet.
    Meter {
        name: String,
        model: String,
        serial: Option<String>,
        resolution_mwh: u64,
    },
}

/// A charge and what the gateway knows about it beside its readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Names the charge in the outbox.
    pub(crate) id: [u8; 16],
    pub(crate) charge: RunningCharge,
    pub(crate) outlet: String,
    pub(crate) source: Source,
    /// Why it must not be billed before somebody looked at it.
    pub(crate) hold: Option<String>,
    /// What is on disk of its register.
    pub(crate) saved: DetailPoint,
    /// It is over and in the outbox; only the central system has not heard of it.
    pub(crate) ended: Option<EndedCharge>,
}

impl Record {
    /// A charge measured by its charger. The transaction id is given when it is stored.
    pub(super) fn new(begin: &Begin, outlet: String, source: Source, hold: Option<String>) -> Self {
        let register = begin.register.unwrap_or_default();
        let charge = RunningCharge::begin(
            0,
            begin.charge_point.clone(),
            begin.connector,
            begin.id_tag.clone(),
            begin.at,
            register,
        );
        Self {
            id: begin.origin().first_16(),
            saved: charge.last,
            charge,
            outlet,
            source,
            hold,
            ended: None,
        }
    }

    /// A charge measured by the meter at its outlet, from `read` on.
    pub(super) fn metered(
        begin: &Begin,
        outlet: String,
        meter: &str,
        read: &CheckedReading,
    ) -> Self {
        let source = Source::Meter {
            name: meter.to_owned(),
            model: read.model.to_owned(),
            serial: read.serial.clone(),
            resolution_mwh: read.reading.resolution_mwh,
        };
        let at_reading = Begin {
            at: read.reading.taken_at,
            register: Some(read.reading.register),
            ..begin.clone()
        };
        let id = begin.origin().first_16();
        Self {
            id,
            ..Self::new(&at_reading, outlet, source, None)
        }
    }

    /// The first reason stays.
    pub(super) fn hold_for(&mut self, reason: &str) {
        self.hold.get_or_insert_with(|| reason.to_owned());
    }

    /// Takes a reading in and gives the moment it counts for.
    pub(super) fn observe(&mut self, observation: &Observation) -> UnixMillis {
        let at = match self.source {
            // The gateway reads its meters one after the other: where a reading seems older than
            // the one before, the clock was set back between them.
            Source::Meter { .. } => observation.at.max(self.charge.last.at),
            Source::Charger => observation.at,
        };
        self.charge.observe(&Observation { at, ..*observation });
        at
    }

    pub(super) fn is_save_due(&self) -> bool {
        let last = self.charge.last;
        let energy = last.register.0.saturating_sub(self.saved.register.0);
        last.at.since_ms(self.saved.at) >= SAVE_MS || energy >= SAVE_WH
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record is plain structs")
    }

    pub(super) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use meter_drivers::Reading;
    use ocpp_bridge::session::StopReason;
    use protocol::{EnergyWh, IdTag};

    use super::*;

    #[test]
    fn a_clock_that_is_set_back_holds_no_metered_charge() {
        let begin = Begin {
            charge_point: "MB-1".to_owned(),
            connector: 1,
            id_tag: IdTag::parse("TAG").expect("printable"),
            register: None,
            at: UnixMillis(10_000),
        };
        let read = CheckedReading {
            reading: Reading {
                register: EnergyWh(500),
                resolution_mwh: 1,
                power: None,
                taken_at: UnixMillis(10_000),
                serial: None,
            },
            model: "SDM630",
            serial: None,
        };
        let mut record = Record::metered(&begin, "yard".to_owned(), "yard-meter", &read);
        for (at, register) in [(20_000, 600), (12_000, 700)] {
            record.observe(&Observation {
                at: UnixMillis(at),
                register: Some(EnergyWh(register)),
                power: None,
            });
        }
        let at = record.observe(&Observation {
            at: UnixMillis(9_000),
            register: Some(EnergyWh(800)),
            power: None,
        });
        let ended = record.charge.end(at, EnergyWh(800), StopReason::Local);
        assert_eq!((ended.energy, ended.anomalies), (EnergyWh(300), Vec::new()));
    }
}
