//! A running charge as it is stored.

use meter_drivers::Reading;
use ocpp_bridge::session::{
    DetailPoint, EndedCharge, Observation, RunningCharge, SignedMeterValue,
};
use serde::{Deserialize, Serialize};

use super::{Begin, SAVE_MS, SAVE_WH};
use crate::meters::{CheckedReading, NumberedReading};

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
    /// What its meter signed, as it came.
    #[serde(default)]
    pub(crate) signed: Vec<SignedMeterValue>,
    /// Its start is in the journal of the central system's side.
    pub(crate) is_announced: bool,
    /// A restart came in between and the charger cannot tell whether the session goes on: the
    /// charge is closed, not followed.
    #[serde(skip)]
    pub(crate) is_interrupted: bool,
    /// Number of the newest meter reading taken in since the gateway started.
    #[serde(skip)]
    newest_reading: u64,
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
            signed: Vec::new(),
            is_announced: false,
            is_interrupted: false,
            newest_reading: 0,
        }
    }

    /// A charge measured by the meter at its outlet, from `checked` on.
    pub(super) fn metered(
        begin: &Begin,
        outlet: String,
        meter: &str,
        checked: &CheckedReading,
    ) -> Self {
        let reading = &checked.read.reading;
        let source = Source::Meter {
            name: meter.to_owned(),
            model: checked.model.clone(),
            serial: serial_of(reading),
            resolution_mwh: reading.resolution_mwh,
        };
        let at_reading = Begin {
            at: reading.taken_at,
            register: Some(reading.register),
            ..begin.clone()
        };
        let id = begin.origin().first_16();
        Self {
            id,
            newest_reading: checked.read.number,
            ..Self::new(&at_reading, outlet, source, None)
        }
    }

    /// The first reason stays.
    pub(super) fn hold_for(&mut self, reason: &str) {
        self.hold.get_or_insert_with(|| reason.to_owned());
    }

    /// Takes in a reading of the meter at the outlet.
    pub(super) fn take_reading(&mut self, read: &NumberedReading) {
        let Source::Meter { serial, .. } = &self.source else {
            return;
        };
        let reading = &read.reading;
        if *serial != serial_of(reading) {
            self.hold_for("another meter is at the outlet than at the start");
            return;
        }
        if read.number <= self.newest_reading {
            return;
        }
        if let Some(broken) = &read.broken
            && broken.number > self.newest_reading
        {
            self.hold_for(&broken.what);
        }
        self.newest_reading = read.number;
        self.charge.observe(&Observation {
            // Readings are numbered as they are taken: where a later one seems older, the clock
            // was set back between them.
            at: reading.taken_at.max(self.charge.last.at),
            register: Some(reading.register),
            power: reading.power,
        });
    }

    /// Takes in the last reading. Where it does not show what was counted, because the register was
    /// reset, whoever looks at the charge is told what it said.
    pub(super) fn end_at(&mut self, read: &NumberedReading) {
        self.take_reading(read);
        let register = read.reading.register;
        if let Some(reason) = &mut self.hold
            && register != self.charge.last.register
        {
            reason.push_str(&format!("; it said {register} when the charge ended"));
        }
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

pub(super) fn serial_of(reading: &Reading) -> Option<String> {
    reading.serial.as_ref().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use ocpp_bridge::session::StopReason;
    use protocol::{EnergyWh, IdTag, UnixMillis};

    use super::*;

    fn numbered(number: u64, at: u64, register: u64) -> NumberedReading {
        let reading = Reading {
            register: EnergyWh(register),
            resolution_mwh: 1,
            rollover_wh: None,
            power: None,
            taken_at: UnixMillis(at),
            serial: None,
        };
        NumberedReading {
            number,
            reading,
            broken: None,
        }
    }

    fn metered() -> Record {
        let begin = Begin {
            charge_point: "MB-1".to_owned(),
            connector: 1,
            id_tag: IdTag::parse("TAG").expect("printable"),
            register: None,
            at: UnixMillis(10_000),
        };
        let checked = CheckedReading {
            read: numbered(7, 10_000, 500),
            model: "SDM630".to_owned(),
        };
        Record::metered(&begin, "yard".to_owned(), "yard-meter", &checked)
    }

    fn check(readings: &[(u64, u64, u64)], expected: u64) {
        let mut record = metered();
        for (number, at, register) in readings {
            record.take_reading(&numbered(*number, *at, *register));
        }
        let last = record.charge.last;
        let ended = record.charge.end(last.at, last.register, StopReason::Local);
        assert_eq!(
            (ended.energy, ended.anomalies),
            (EnergyWh(expected), Vec::new())
        );
        assert_eq!(record.hold, None);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_no_metered_charge() {
        check(&[(8, 20_000, 600), (9, 12_000, 700), (10, 9_000, 800)], 300);
    }

    #[test]
    fn a_reading_that_was_overtaken_changes_nothing() {
        check(&[(6, 9_900, 499), (8, 20_000, 600), (7, 19_000, 590)], 100);
    }
}
