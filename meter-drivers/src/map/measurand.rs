//! What a meter measures.

use std::fmt;

use serde::Deserialize;

/// What a register tells. Phases are L1 to L3, against neutral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurand {
    /// Active energy drawn, all phases, since the meter was made: what is billed.
    EnergyImport,
    /// Active energy fed back, all phases.
    EnergyExport,
    /// Active power of all phases; negative while exporting, unless the model has `PowerExport`.
    Power,
    /// Active power fed back, where the model keeps it in a register of its own.
    PowerExport,
    /// Active power of a phase.
    PowerL1,
    /// Active power of a phase.
    PowerL2,
    /// Active power of a phase.
    PowerL3,
    /// Voltage of a meter without phases (direct current).
    Voltage,
    /// Voltage of a phase.
    VoltageL1,
    /// Voltage of a phase.
    VoltageL2,
    /// Voltage of a phase.
    VoltageL3,
    /// Current of a meter without phases, or of all phases.
    Current,
    /// Current of a phase.
    CurrentL1,
    /// Current of a phase.
    CurrentL2,
    /// Current of a phase.
    CurrentL3,
    /// Frequency of the grid.
    Frequency,
    /// Power factor of all phases, -1 to 1.
    PowerFactor,
}

/// The unit that a measurand is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Watt-hours.
    WattHour,
    /// Watts.
    Watt,
    /// Volts.
    Volt,
    /// Amperes.
    Ampere,
    /// Hertz.
    Hertz,
    /// None: a ratio.
    One,
}

impl Measurand {
    /// Every measurand, in the order in which they are shown.
    pub const ALL: [Self; 17] = [
        Self::EnergyImport,
        Self::EnergyExport,
        Self::Power,
        Self::PowerExport,
        Self::PowerL1,
        Self::PowerL2,
        Self::PowerL3,
        Self::Voltage,
        Self::VoltageL1,
        Self::VoltageL2,
        Self::VoltageL3,
        Self::Current,
        Self::CurrentL1,
        Self::CurrentL2,
        Self::CurrentL3,
        Self::Frequency,
        Self::PowerFactor,
    ];

    /// What a map calls it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::EnergyImport => "energy_import",
            Self::EnergyExport => "energy_export",
            Self::Power => "power",
            Self::PowerExport => "power_export",
            Self::PowerL1 => "power_l1",
            Self::PowerL2 => "power_l2",
            Self::PowerL3 => "power_l3",
            Self::Voltage => "voltage",
            Self::VoltageL1 => "voltage_l1",
            Self::VoltageL2 => "voltage_l2",
            Self::VoltageL3 => "voltage_l3",
            Self::Current => "current",
            Self::CurrentL1 => "current_l1",
            Self::CurrentL2 => "current_l2",
            Self::CurrentL3 => "current_l3",
            Self::Frequency => "frequency",
            Self::PowerFactor => "power_factor",
        }
    }

    /// What OCPP calls it.
    ///
    /// # Source
    /// OCPP 1.6, section 7.31 (Measurand).
    #[must_use]
    pub fn ocpp(self) -> &'static str {
        match self {
            Self::EnergyImport => "Energy.Active.Import.Register",
            Self::EnergyExport => "Energy.Active.Export.Register",
            Self::Power | Self::PowerL1 | Self::PowerL2 | Self::PowerL3 => "Power.Active.Import",
            Self::PowerExport => "Power.Active.Export",
            Self::Voltage | Self::VoltageL1 | Self::VoltageL2 | Self::VoltageL3 => "Voltage",
            Self::Current | Self::CurrentL1 | Self::CurrentL2 | Self::CurrentL3 => "Current.Import",
            Self::Frequency => "Frequency",
            Self::PowerFactor => "Power.Factor",
        }
    }

    /// The phase, as OCPP writes it; `None` for all phases together.
    ///
    /// # Source
    /// OCPP 1.6, section 7.33 (Phase).
    #[must_use]
    pub fn phase(self) -> Option<&'static str> {
        match self {
            Self::PowerL1 | Self::CurrentL1 => Some("L1"),
            Self::PowerL2 | Self::CurrentL2 => Some("L2"),
            Self::PowerL3 | Self::CurrentL3 => Some("L3"),
            Self::VoltageL1 => Some("L1-N"),
            Self::VoltageL2 => Some("L2-N"),
            Self::VoltageL3 => Some("L3-N"),
            _ => None,
        }
    }

    /// The unit it is told in.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::EnergyImport | Self::EnergyExport => Unit::WattHour,
            Self::Power | Self::PowerExport | Self::PowerL1 | Self::PowerL2 | Self::PowerL3 => {
                Unit::Watt
            }
            Self::Voltage | Self::VoltageL1 | Self::VoltageL2 | Self::VoltageL3 => Unit::Volt,
            Self::Current | Self::CurrentL1 | Self::CurrentL2 | Self::CurrentL3 => Unit::Ampere,
            Self::Frequency => Unit::Hertz,
            Self::PowerFactor => Unit::One,
        }
    }
}

impl fmt::Display for Measurand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Unit {
    /// The units a register may be in, with their exact factor to this one; the first is this one.
    pub(super) fn accepted(self) -> &'static [(&'static str, (u32, u32))] {
        match self {
            Self::WattHour => &[("Wh", (1, 1)), ("kWh", (1_000, 1)), ("MWh", (1_000_000, 1))],
            Self::Watt => &[("W", (1, 1)), ("kW", (1_000, 1)), ("MW", (1_000_000, 1))],
            Self::Volt => &[("V", (1, 1)), ("mV", (1, 1_000)), ("kV", (1_000, 1))],
            Self::Ampere => &[("A", (1, 1)), ("mA", (1, 1_000)), ("kA", (1_000, 1))],
            Self::Hertz => &[("Hz", (1, 1)), ("mHz", (1, 1_000))],
            Self::One => &[("1", (1, 1)), ("%", (1, 100))],
        }
    }

    /// Whether a map must name the unit: a thousandfold bill is worse than a longer file.
    pub(super) fn must_be_named(self) -> bool {
        matches!(self, Self::WattHour | Self::Watt)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WattHour => "Wh",
            Self::Watt => "W",
            Self::Volt => "V",
            Self::Ampere => "A",
            Self::Hertz => "Hz",
            Self::One => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_a_map_may_call_it() {
        for measurand in Measurand::ALL {
            let text = format!("m = {:?}", measurand.key());
            let read: std::collections::BTreeMap<String, Measurand> =
                toml::from_str(&text).expect("a measurand");
            assert_eq!(read["m"], measurand);
        }
        assert!(Measurand::ALL.is_sorted());
    }
}
