//! A running charge as it is stored.

use ocpp_bridge::session::{DetailPoint, EndedCharge, RunningCharge};
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
