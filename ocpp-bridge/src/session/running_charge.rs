//! One charge, from its first register to its last.

use protocol::{EnergyWh, IdTag, PowerW, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Observation, StopReason};

/// A quarter of an hour.
const QUARTER_MS: u64 = 15 * 60 * 1000;

/// Points kept of one charge: a month of quarters. A charge that long is noted, not followed.
pub const MAX_DETAIL_POINTS: usize = 31 * 96;

/// Anomalies kept of one charge; the first ones tell the story.
pub const MAX_ANOMALIES: usize = 32;

/// The register at the first reading of a quarter of an hour, with the reading's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailPoint {
    /// When it was read.
    pub at: UnixMillis,
    /// What the register said.
    pub register: EnergyWh,
}

impl DetailPoint {
    fn quarter(self) -> u64 {
        self.at.0 / QUARTER_MS
    }
}

/// Something about a charge that a person should look at before it is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anomaly {
    /// A later reading shows less than an earlier one. It was not applied.
    WentBackwards {
        /// When the lower value was read.
        at: UnixMillis,
        /// The highest register before.
        before: EnergyWh,
        /// What was read.
        after: EnergyWh,
    },
    /// A reading that arrived late does not lie between its neighbours. It was not applied.
    OutOfLine {
        /// When it was read.
        at: UnixMillis,
        /// What was read.
        register: EnergyWh,
    },
    /// The charge ends before a time at which it was still observed.
    EndsTooEarly {
        /// The end as reported.
        at: UnixMillis,
        /// The last observation.
        last: UnixMillis,
    },
    /// The charge outgrew its detail; start and end are right, quarters are missing.
    DetailFull,
}

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is the newest one now.
    Applied,
    /// It was known already, or carried nothing.
    Repeated,
    /// It is older than the newest one and fits.
    Late,
    /// It contradicts the others, or lies before the start.
    NotApplied,
}

/// A charge that is going on. Plain data: saved as it is, it goes on after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningCharge {
    /// The transaction's id.
    pub transaction_id: i32,
    /// Identity of the charge point's link.
    pub charge_point: String,
    /// Counted from 1.
    pub connector: u32,
    /// Who charges.
    pub id_tag: IdTag,
    /// When it began.
    pub started_at: UnixMillis,
    /// The register then.
    pub register_start: EnergyWh,
    /// The newest register applied.
    pub last: DetailPoint,
    /// The highest power reported; `None` while no reading carried power.
    pub max_power: Option<PowerW>,
    // Invariant: strictly rising quarters, times and never falling registers. Late readings are
    // inserted, because charge points replay their offline queue.
    /// The first register of each quarter of an hour after the start.
    pub detail: Vec<DetailPoint>,
    /// What was odd, at most [`MAX_ANOMALIES`].
    pub anomalies: Vec<Anomaly>,
}

/// A charge that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCharge {
    /// The transaction's id.
    pub transaction_id: i32,
    /// Identity of the charge point's link.
    pub charge_point: String,
    /// Counted from 1.
    pub connector: u32,
    /// Who charged.
    pub id_tag: IdTag,
    /// When it began.
    pub started_at: UnixMillis,
    /// When it ended; never before it began.
    pub ended_at: UnixMillis,
    /// The register at the start.
    pub register_start: EnergyWh,
    /// The register at the end; never below the start.
    pub register_end: EnergyWh,
    /// The difference.
    pub energy: EnergyWh,
    /// The highest power reported, or the average rounded up where none was.
    pub max_power: PowerW,
    /// False where `max_power` is the average.
    pub power_measured: bool,
    /// Why it ended.
    pub reason: StopReason,
    /// The register at each quarter of an hour.
    pub detail: Vec<DetailPoint>,
    /// What was odd; not empty means: look before billing.
    pub anomalies: Vec<Anomaly>,
}

impl RunningCharge {
    /// Begins a charge at `register_start`.
    #[must_use]
    pub fn begin(
        transaction_id: i32,
        charge_point: String,
        connector: u32,
        id_tag: IdTag,
        started_at: UnixMillis,
        register_start: EnergyWh,
    ) -> Self {
        Self {
            transaction_id,
            charge_point,
            connector,
            id_tag,
            started_at,
            register_start,
            last: DetailPoint {
                at: started_at,
                register: register_start,
            },
            max_power: None,
            detail: Vec::new(),
            anomalies: Vec::new(),
        }
    }

    /// Takes in one observation, in whatever order they come and however often.
    pub fn observe(&mut self, observation: &Observation) -> Noted {
        if observation.at < self.started_at {
            return Noted::NotApplied;
        }
        if let Some(power) = observation.power {
            self.max_power = self.max_power.max(Some(power));
        }
        let Some(register) = observation.register else {
            return Noted::Repeated;
        };
        let point = DetailPoint {
            at: observation.at,
            register,
        };
        if point == self.last || self.detail.contains(&point) {
            Noted::Repeated
        } else if point.at >= self.last.at {
            self.advance(point)
        } else {
            self.insert_late(point)
        }
    }

    fn advance(&mut self, point: DetailPoint) -> Noted {
        if point.register < self.last.register {
            self.note(Anomaly::WentBackwards {
                at: point.at,
                before: self.last.register,
                after: point.register,
            });
            return Noted::NotApplied;
        }
        if point.quarter() > self.last.quarter() {
            self.keep(self.detail.len(), point);
        }
        self.last = point;
        Noted::Applied
    }

    fn insert_late(&mut self, point: DetailPoint) -> Noted {
        let place = self.detail.partition_point(|kept| kept.at <= point.at);
        let floor = place
            .checked_sub(1)
            .map_or(self.register_start, |before| self.detail[before].register);
        let next = self.detail.get(place).copied();
        let ceiling = next.map_or(self.last.register, |kept| kept.register);
        if point.register < floor || point.register > ceiling {
            self.note(Anomaly::OutOfLine {
                at: point.at,
                register: point.register,
            });
            return Noted::NotApplied;
        }
        let start_quarter = self.started_at.0 / QUARTER_MS;
        let quarter_before = place
            .checked_sub(1)
            .map_or(start_quarter, |before| self.detail[before].quarter());
        match next {
            // The quarter's first reading came after a later one of the same quarter.
            Some(kept) if kept.quarter() == point.quarter() => self.detail[place] = point,
            _ if point.quarter() > quarter_before => self.keep(place, point),
            _ => {}
        }
        Noted::Late
    }

    fn keep(&mut self, place: usize, point: DetailPoint) {
        if self.detail.len() < MAX_DETAIL_POINTS {
            self.detail.insert(place, point);
        } else if !self.anomalies.contains(&Anomaly::DetailFull) {
            self.note(Anomaly::DetailFull);
        }
    }

    fn note(&mut self, anomaly: Anomaly) {
        if self.anomalies.len() < MAX_ANOMALIES && !self.anomalies.contains(&anomaly) {
            self.anomalies.push(anomaly);
        }
    }

    /// Ends the charge at `register`, read at `at`.
    ///
    /// A register below the highest one seen is noted and not applied; the charge then ends at
    /// that highest one.
    #[must_use]
    pub fn end(mut self, at: UnixMillis, register: EnergyWh, reason: StopReason) -> EndedCharge {
        if register < self.last.register {
            self.note(Anomaly::WentBackwards {
                at,
                before: self.last.register,
                after: register,
            });
        }
        if at < self.last.at {
            self.note(Anomaly::EndsTooEarly {
                at,
                last: self.last.at,
            });
        }
        let register_end = register.max(self.last.register);
        let ended_at = at.max(self.last.at);
        // `last` starts at the start's register and only rises.
        let energy = EnergyWh(register_end.0.saturating_sub(self.register_start.0));
        let average = average_power(energy, ended_at.since_ms(self.started_at));
        EndedCharge {
            transaction_id: self.transaction_id,
            charge_point: self.charge_point,
            connector: self.connector,
            id_tag: self.id_tag,
            started_at: self.started_at,
            ended_at,
            register_start: self.register_start,
            register_end,
            energy,
            max_power: self.max_power.unwrap_or(average),
            power_measured: self.max_power.is_some(),
            reason,
            detail: self.detail,
            anomalies: self.anomalies,
        }
    }
}

/// The average, rounded up: a maximum is never below it.
fn average_power(energy: EnergyWh, duration_ms: u64) -> PowerW {
    let watt_ms = u128::from(energy.0) * 3_600_000;
    let watts = watt_ms.div_ceil(u128::from(duration_ms.max(1)));
    PowerW(u32::try_from(watts).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
