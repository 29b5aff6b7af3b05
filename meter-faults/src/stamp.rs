//! What a register says of itself: whose it is, which one, and when it was read.

use meter_drivers::RegisterMap;

/// Milliseconds wrap after 18 hours; a run is shorter.
const TIME_BITS: u32 = 26;
const KIND_BITS: u32 = 2;

/// Which value a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The billing register.
    Energy = 1,
    /// Active power.
    Power = 2,
    /// The serial number, which carries no time.
    Serial = 3,
}

/// A value of 32 bits that tells where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Unit, below 16.
    pub unit_id: u8,
    /// Which value.
    pub kind: Kind,
    /// When the unit was asked, in milliseconds of the run.
    pub at_ms: u32,
}

impl Stamp {
    /// The bits of the register.
    #[must_use]
    pub fn bits(self) -> u32 {
        let unit_and_kind = (u32::from(self.unit_id) << KIND_BITS) | self.kind as u32;
        (unit_and_kind << TIME_BITS) | (self.at_ms % (1 << TIME_BITS))
    }

    /// What the bits of a register say; `None` for those of no value.
    #[must_use]
    pub fn of(bits: u32) -> Option<Self> {
        let kind = match (bits >> TIME_BITS) & 3 {
            1 => Kind::Energy,
            2 => Kind::Power,
            3 => Kind::Serial,
            _ => return None,
        };
        Some(Self {
            unit_id: u8::try_from(bits >> (TIME_BITS + KIND_BITS)).expect("four bits"),
            kind,
            at_ms: bits % (1 << TIME_BITS),
        })
    }
}

/// The setting that every unit with a probe has.
pub const SETTING: u32 = 7;
/// Holding register of the setting.
pub const SETTING_AT: u16 = 0x1E;
/// Holding register of the serial number.
pub const SERIAL_AT: u16 = 0xFC00;
/// Input register of the power.
pub const POWER_AT: u16 = 0x34;
/// Input register of the energy.
pub const ENERGY_AT: u16 = 0x48;

/// The register map of a unit; the maps differ in what a late answer can be taken for.
///
/// Units 1 and 2 read power and energy in one request. Unit 3 reads them in two, whose answers look the
/// same. Unit 4 has nothing but energy: one shape, so that only time tells its answers apart.
///
/// # Panics
/// For other units.
#[must_use]
pub fn map_of(unit_id: u8) -> RegisterMap {
    let text = match unit_id {
        1 | 2 => format!("{}{ENERGY}{MORE}", head("{ first = 0x34, last = 0x49 }")),
        3 => format!("{}{ENERGY}{MORE}", head("")),
        4 => format!("{}{ENERGY}", head("")),
        _ => panic!("there are units 1 to 4"),
    };
    RegisterMap::parse("stamped.toml", &text).expect("it is a map")
}

/// Units on a line.
pub const UNITS: [u8; 4] = [1, 2, 3, 4];

fn head(readable: &str) -> String {
    format!(
        r#"
id = "stamped"
vendor = "none"
model = "none"
sources = ["this crate"]
space = "input"
type = "u32"
word_order = "msw_first"
max_registers_per_read = 80
readable = [{readable}]
"#
    )
}

const ENERGY: &str = r#"
[measurands]
energy_import = { address = 0x0048, unit = "Wh" }
"#;

const MORE: &str = r#"
power = { address = 0x0034, unit = "W" }

[identity]
serial = { space = "holding", address = 0xFC00, type = "u32" }

[[probes]]
space = "holding"
address = 0x001E
type = "u32"
expect = 7
meaning = "setting 7"
remedy = "set it"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp {
            unit_id: 4,
            kind: Kind::Power,
            at_ms: 12_345_678,
        };
        assert_eq!(Stamp::of(stamp.bits()), Some(stamp));
        assert_eq!(Stamp::of(SETTING), None);
        for unit in UNITS {
            assert_eq!(map_of(unit).serial_number().is_some(), unit != 4);
        }
    }
}
