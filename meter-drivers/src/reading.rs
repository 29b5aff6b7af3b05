//! What a meter said, and when.

use std::fmt;

use protocol::{EnergyWh, PowerW, UnixMillis};

use crate::map::Label;

/// One look at a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Total imported active energy, rounded once to whole Wh (nearest; halves up).
    pub register: EnergyWh,
    /// The smallest change the register could show at this magnitude, in mWh, rounded up.
    ///
    /// A f32 register coarsens as it grows. Below 1,000 mWh it is `register`'s whole Wh that limits
    /// a difference of two readings.
    pub resolution_mwh: u64,
    /// Active power drawn; 0 while the meter exports, `None` where it offers none.
    pub power: Option<PowerW>,
    /// When the reply that carried `register` arrived. A reading is never stamped again.
    pub taken_at: UnixMillis,
    /// Serial number read when this connection was opened.
    pub serial: Option<MeterSerial>,
}

/// What a meter says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor of the register map that the meter's settings agree with.
    pub vendor: String,
    /// Models that register map stands for.
    pub model: String,
    /// Serial number, where the model offers one and it is set.
    pub serial: Option<MeterSerial>,
}

/// A meter's serial number as the vendor prints it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterSerial(String);

impl MeterSerial {
    /// The serial number that `words`, the answer to its register, hold; `None` where it is blank.
    #[must_use]
    pub fn read(register: Label, words: &[u16]) -> Option<Self> {
        register.read(words).map(Self)
    }

    /// The serial number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeterSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a reading's time comes from; any `Fn() -> UnixMillis` is one.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixMillis;
}

impl<F: Fn() -> UnixMillis + Send + Sync> Clock for F {
    fn now(&self) -> UnixMillis {
        self()
    }
}
