//! Register maps: what a meter model keeps where.
//!
//! A map is a TOML file of facts with their sources, one per model, compiled in. It is parsed once
//! into a [`RegisterMap`] that cannot ask a meter for nonsense.

mod file;

use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

/// The maps compiled in: file name and text.
const FILES: &[(&str, &str)] = &[(
    "eastron-sdm630.toml",
    include_str!("../models/eastron-sdm630.toml"),
)];

static BUILTIN: LazyLock<Vec<RegisterMap>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(file, text)| {
            RegisterMap::parse(file, text).expect("a test parses every file compiled in")
        })
        .collect()
});

/// Where a meter model keeps what is billed, and how to tell that it is that model.
#[derive(Clone, Debug)]
pub struct RegisterMap {
    id: String,
    vendor: String,
    model: String,
    sources: Vec<String>,
    rollover: String,
    word_order: WordOrder,
    max_registers_per_read: u16,
    readable_gaps: Vec<RegisterSpace>,
    energy_import: (Register, Scale),
    power: Option<(Register, Scale)>,
    serial_number: Option<Register>,
    probes: Vec<Probe>,
}

/// Place and type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Table the register is in, which decides the function code.
    pub space: RegisterSpace,
    /// Address on the wire, counted from 0.
    pub address: u16,
    /// What the words mean.
    pub value_type: ValueType,
}

/// A setting that must hold for the map to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where the setting is.
    pub register: Register,
    /// The value it must have.
    pub expect: u32,
    /// That value in words.
    pub meaning: String,
    /// How to make it so.
    pub remedy: String,
}

/// Modbus table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterSpace {
    /// Input registers, function code 4.
    Input,
    /// Holding registers, function code 3.
    Holding,
}

/// Type of a value in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// IEEE 754 binary32 in two registers.
    F32,
    /// Unsigned integer in two registers.
    U32,
}

/// Which word of a value comes first; the bytes of a word are always big endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordOrder {
    /// Most significant word first.
    MswFirst,
    /// Least significant word first.
    LswFirst,
}

/// An exact factor from a register's unit to ours; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    numerator: u32,
    denominator: u32,
}

/// Why a register map was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Not the TOML of a register map; the source names line, key and accepted values.
    #[error("{file} is no register map")]
    Syntax {
        /// File the text came from.
        file: String,
        /// What could not be read, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value no meter can have.
    #[error("{file}: {key} must be {accepted}")]
    Value {
        /// File the text came from.
        file: String,
        /// Key of the value.
        key: String,
        /// Values accepted there.
        accepted: &'static str,
    },
}

impl RegisterMap {
    /// The map compiled in under `id`.
    #[must_use]
    pub fn builtin(id: &str) -> Option<&'static Self> {
        BUILTIN.iter().find(|map| map.id == id)
    }

    /// The ids of all maps compiled in.
    pub fn builtin_ids() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|map| map.id.as_str())
    }

    /// Reads a map from TOML; `file` is what errors call it.
    ///
    /// # Errors
    /// `Syntax` for what is no map at all, `Value` for one no meter can have.
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        let raw: file::RawMap = toml::from_str(text).map_err(|source| MapError::Syntax {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        raw.check().map_err(|(key, accepted)| MapError::Value {
            file: file.to_owned(),
            key,
            accepted,
        })
    }

    /// Id to configure the meter with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who makes the meter.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The models the map was made for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where the facts are from.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// What becomes of the billing register when it is full.
    #[must_use]
    pub fn rollover(&self) -> &str {
        &self.rollover
    }

    /// Order of the words of every value.
    #[must_use]
    pub fn word_order(&self) -> WordOrder {
        self.word_order
    }

    /// The most registers one request may ask for.
    #[must_use]
    pub fn max_registers_per_read(&self) -> u16 {
        self.max_registers_per_read
    }

    /// Whether one request may span addresses that hold no value.
    #[must_use]
    pub fn gaps_are_readable(&self, space: RegisterSpace) -> bool {
        self.readable_gaps.contains(&space)
    }

    /// The billing register, total import, and its scale to Wh.
    #[must_use]
    pub fn energy_import(&self) -> (Register, Scale) {
        self.energy_import
    }

    /// Total active power and its scale to W.
    #[must_use]
    pub fn power(&self) -> Option<(Register, Scale)> {
        self.power
    }

    /// The serial number, an integer.
    #[must_use]
    pub fn serial_number(&self) -> Option<Register> {
        self.serial_number
    }

    /// Settings that must hold.
    #[must_use]
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }
}

impl Register {
    /// Registers the value takes.
    #[must_use]
    pub fn width(self) -> u16 {
        match self.value_type {
            ValueType::F32 | ValueType::U32 => 2,
        }
    }
}

impl WordOrder {
    /// The 32 bits of a value sent as `words`.
    #[must_use]
    pub fn join(self, [first, second]: [u16; 2]) -> u32 {
        let (high, low) = match self {
            Self::MswFirst => (first, second),
            Self::LswFirst => (second, first),
        };
        u32::from(high) << 16 | u32::from(low)
    }
}

impl Scale {
    /// Leaves the unit as it is.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// `numerator` / `denominator`; `None` if either is 0.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator != 0 && denominator != 0).then_some(Self {
            numerator,
            denominator,
        })
    }

    /// What a register's value is multiplied with.
    #[must_use]
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// What it is then divided by.
    #[must_use]
    pub fn denominator(self) -> u32 {
        self.denominator
    }
}

impl FromStr for Scale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
        let parsed = numerator.parse().ok().zip(denominator.parse().ok());
        parsed
            .and_then(|(numerator, denominator)| Self::new(numerator, denominator))
            .ok_or("a whole number such as \"1000\" or a fraction such as \"1/10\", above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDM630: &str = include_str!("../models/eastron-sdm630.toml");

    /// Replaces `from` in the SDM630's map; `expected` is the key the refusal names.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        assert!(SDM630.contains(from), "nothing to replace");
        let found = RegisterMap::parse("x.toml", &SDM630.replacen(from, to, 1))
            .expect_err("a map no meter can have");
        match found {
            MapError::Syntax { source, .. } => {
                assert!(source.message().contains(expected), "{}", source.message())
            }
            MapError::Value { key, .. } => assert_eq!(key, expected),
        }
    }

    #[test]
    fn every_map_compiled_in_is_found_by_its_file_name() {
        for (file, text) in FILES {
            let map = RegisterMap::parse(file, text).expect("a valid map");
            assert_eq!(format!("{}.toml", map.id()), *file);
            assert!(RegisterMap::builtin_ids().any(|id| id == map.id()));
        }
        assert!(RegisterMap::builtin("unheard-of").is_none());
    }

    #[test]
    fn the_sdm630_bills_its_total_import_register() {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let (register, scale) = map.energy_import();
        assert_eq!(
            (register.space, register.address),
            (RegisterSpace::Input, 0x48)
        );
        assert_eq!((scale.numerator(), scale.denominator()), (1000, 1));
        let serial = map.serial_number().expect("has one");
        assert_eq!(
            (serial.space, serial.address),
            (RegisterSpace::Holding, 0xFC00)
        );
        let probes: Vec<_> = map
            .probes()
            .iter()
            .map(|p| (p.register.address, p.expect))
            .collect();
        assert_eq!(probes, [(0x1E, 0), (0x28, 2141)]);
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_key() {
        check("vendor", "vendour", "vendour");
        check("\"msw_first\"", "\"abcd\"", "lsw_first");
        check("\"f32\"", "\"f16\"", "u32");
        check("= 80", "= 126", "max_registers_per_read");
        check("= 80", "= 1", "max_registers_per_read");
        check("\"1000\"", "\"1/0\"", "energy_import.scale");
        check("\"1000\"", "\"0.5\"", "energy_import.scale");
        check("= 0x0034", "= 0xFFFE", "power.address");
        check(
            "0xFC00\ntype = \"u32\"",
            "0\ntype = \"f32\"",
            "serial_number.type",
        );
        check("0x0028\n", "0xFFFF\n", "probes.address");
    }

    #[test]
    fn words_are_joined_in_either_order() {
        assert_eq!(
            WordOrder::MswFirst.join([0x4505, 0xD000]),
            2141.0_f32.to_bits()
        );
        assert_eq!(
            WordOrder::LswFirst.join([0xD000, 0x4505]),
            2141.0_f32.to_bits()
        );
    }
}
