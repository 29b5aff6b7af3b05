//! Registers of a unit by address, as a map or a recording gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::{EnergyWh, PowerW};
use tokio::time::Instant;

use super::SimulatedUnit;
use super::encode::{self, Fraction};
use crate::block::{Block, are_readable};
use crate::map::{Accept, Measurand, Place, Probe, Quantity, Register, RegisterMap, RegisterSpace};
use crate::recording::Recording;

/// Illegal data address.
///
/// # Source
/// MODBUS Application Protocol V1.1b3, section 7.
const NO_SUCH_ADDRESS: u8 = 2;

/// The grid that a map's meter is on: V between phase and neutral, Hz.
const VOLTAGE: u128 = 230;
const FREQUENCY: u128 = 50;
const PHASES: u128 = 3;

/// A unit's registers, each with the moments at which it changes.
#[derive(Clone, Debug)]
pub struct RegisterImage {
    began: Instant,
    words: BTreeMap<(RegisterSpace, u16), Vec<(Duration, u16)>>,
    /// Registers that hold 0 where nothing else is said of them.
    blank: Vec<Block>,
}

/// What a meter made from a map shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapValues {
    /// Total import.
    pub energy: EnergyWh,
    /// Active power.
    pub power: PowerW,
    /// Serial number, where the map has one.
    pub serial: u32,
}

impl MapValues {
    /// What is shown of `measurand`, in whole units of it.
    fn of(&self, measurand: Measurand) -> u128 {
        let power = u128::from(self.power.0);
        match measurand {
            Measurand::EnergyImport => self.energy.0.into(),
            Measurand::Power => power,
            Measurand::PowerL1 | Measurand::PowerL2 | Measurand::PowerL3 => power / PHASES,
            Measurand::Voltage
            | Measurand::VoltageL1
            | Measurand::VoltageL2
            | Measurand::VoltageL3 => VOLTAGE,
            Measurand::Current => power / VOLTAGE,
            Measurand::CurrentL1 | Measurand::CurrentL2 | Measurand::CurrentL3 => {
                power / PHASES / VOLTAGE
            }
            Measurand::Frequency => FREQUENCY,
            Measurand::PowerFactor => 1,
            Measurand::EnergyExport | Measurand::PowerExport => 0,
        }
    }
}

impl RegisterImage {
    /// A meter of `map` that shows `values` and is set as the map expects: on a grid of 230 V and
    /// 50 Hz, its load spread evenly over three phases, nothing fed back.
    ///
    /// What a register is too coarse for is rounded down; what is too much for it is its greatest.
    /// The first of several counters that the map adds up has all. A serial number is written in
    /// decimal digits where it is a text, cut to its length.
    #[must_use]
    pub fn of_map(map: &RegisterMap, values: MapValues) -> Self {
        let mut image = Self {
            blank: map.readable.clone(),
            ..Self::empty()
        };
        for probe in map.probes() {
            image.set_probe(probe);
        }
        match map.serial_number().map(|label| label.place) {
            None => (),
            Some(Place::Number(register)) => {
                image.set(
                    register,
                    encode::bits(register.value_type, (values.serial.into(), 1)),
                );
            }
            Some(Place::Text(block)) => image.set_text(block, &values.serial.to_string()),
        }
        for quantity in map.quantities() {
            image.set_quantity(quantity, values.of(quantity.measurand));
        }
        image
    }

    /// What `recording` has of `unit_id`, from its first moment on, which is now.
    #[must_use]
    pub fn of_recording(recording: &Recording, unit_id: u8) -> Self {
        let mut image = Self::empty();
        let start = recording.entries().first().map_or(0, |entry| entry.at.0);
        let of_unit = recording.entries().iter();
        for entry in of_unit.filter(|entry| entry.unit_id == unit_id) {
            let after = Duration::from_millis(entry.at.0 - start);
            for (address, &word) in (entry.start..).zip(&entry.words) {
                let changes = image.words.entry((entry.space, address)).or_default();
                changes.push((after, word));
            }
        }
        image
    }

    fn empty() -> Self {
        Self {
            began: Instant::now(),
            words: BTreeMap::new(),
            blank: Vec::new(),
        }
    }

    /// Sets what the map measures to `value` in Wh or W.
    fn set_quantity(&mut self, quantity: &Quantity, value: u128) {
        for &more in &quantity.plus {
            self.set(more, 0);
        }
        let scale = quantity.scale;
        let count: Fraction = (
            value * u128::from(scale.denominator()),
            u128::from(scale.numerator()),
        );
        let value_type = quantity.register.value_type;
        let power_of_ten = match quantity.power_of_ten {
            Some(register) => {
                let power_of_ten = encode::least_power_of_ten(value_type, count);
                self.set(register, power_of_ten.into());
                power_of_ten
            }
            None => 0,
        };
        let count = (count.0 / 10_u128.pow(power_of_ten.into()), count.1);
        self.set(quantity.register, encode::bits(value_type, count));
    }

    fn set_probe(&mut self, probe: &Probe) {
        match (probe.place, &probe.accept) {
            (Place::Number(register), Accept::Numbers(numbers)) => {
                let number = numbers.first().copied().unwrap_or_default();
                self.set(
                    register,
                    encode::bits(register.value_type, (number.into(), 1)),
                );
            }
            (Place::Text(block), Accept::Beginnings(texts)) => {
                self.set_text(block, texts.first().map_or("", String::as_str));
            }
            // A map has numbers where it accepts numbers, and texts where texts.
            _ => (),
        }
    }

    fn set(&mut self, register: Register, bits: u64) {
        let words = encode::words(register, bits);
        self.set_words(register.into(), words.into_iter());
    }

    fn set_text(&mut self, block: Block, text: &str) {
        let pairs = text.as_bytes().chunks(2);
        let words = pairs.map(|pair| {
            let second = pair.get(1).copied().unwrap_or_default();
            u16::from_be_bytes([pair[0], second])
        });
        let filled = words.chain(std::iter::repeat(0)).take(block.count.into());
        self.set_words(block, filled);
    }

    fn set_words(&mut self, block: Block, words: impl Iterator<Item = u16>) {
        for (address, word) in (block.start..=u16::MAX).zip(words) {
            let key = (block.space, address);
            self.words.insert(key, vec![(Duration::ZERO, word)]);
        }
    }

    fn word(&self, space: RegisterSpace, address: u16) -> Option<u16> {
        let Some(changes) = self.words.get(&(space, address)) else {
            let block = Block {
                space,
                start: address,
                count: 1,
            };
            return are_readable(&self.blank, block).then_some(0);
        };
        let elapsed = self.began.elapsed();
        // Before its first moment a register shows what it has first.
        let now = changes.partition_point(|&(at, _)| at <= elapsed).max(1) - 1;
        Some(changes[now].1)
    }
}

impl SimulatedUnit for RegisterImage {
    fn read(&self, space: RegisterSpace, start: u16, count: u16) -> Result<Vec<u16>, u8> {
        let last = start.checked_add(count - 1).ok_or(NO_SUCH_ADDRESS)?;
        (start..=last)
            .map(|address| self.word(space, address).ok_or(NO_SUCH_ADDRESS))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::RegisterMaps;

    const VALUES: MapValues = MapValues {
        energy: EnergyWh(1_234_567),
        power: PowerW(7_360),
        serial: 42,
    };

    #[test]
    fn a_map_s_meter_shows_its_values() {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let image = RegisterImage::of_map(&map, VALUES);
        let read = |space, start, count| image.read(space, start, count);
        assert_eq!(read(RegisterSpace::Holding, 0xFC00, 2), Ok(vec![0, 42]));
        let spanning = read(RegisterSpace::Input, 0x34, 22).expect("its gaps are readable");
        let power = 7_360.0_f32.to_bits().to_be_bytes();
        assert_eq!(spanning[0], u16::from_be_bytes([power[0], power[1]]));
        assert_eq!(read(RegisterSpace::Holding, 0x20, 2), Err(NO_SUCH_ADDRESS));
    }

    /// `value` fell by less than a step of the register.
    #[track_caller]
    fn check(map: &RegisterMap, found_mwh: u64, step_mwh: u64, expected_mwh: u64) {
        // The reading itself is in whole Wh.
        let off = expected_mwh.abs_diff(found_mwh);
        assert!(off <= step_mwh.max(500), "{}: {found_mwh} mWh", map.id());
    }

    #[test]
    fn every_map_reads_back_what_its_meter_shows() {
        for map in RegisterMaps::builtin().iter() {
            let image = RegisterImage::of_map(map, VALUES);
            let words = |block: Block| {
                let words = image.read(block.space, block.start, block.count);
                words.unwrap_or_else(|code| panic!("{}: {block:?}: {code}", map.id()))
            };
            for probe in map.probes() {
                assert!(probe.holds(&words(probe.place.block())), "{}", map.id());
            }
            if let Some(label) = map.serial_number() {
                let serial = label.read(&words(label.place.block()));
                let serial = serial.expect("it is set");
                assert!(serial.ends_with("42") || serial.ends_with("2A"), "{serial}");
            }
            for request in map.requests(&[Measurand::EnergyImport, Measurand::Power]) {
                let answer = words(request.block);
                let held = |quantity: &&Quantity| request.block.holds(quantity.block());
                if let Some(quantity) = map.energy_import().filter(held) {
                    let energy = quantity.energy(request.block, &answer).expect("a number");
                    let (found, step) = (energy.register.0 * 1_000, energy.resolution_mwh);
                    check(map, found, step, VALUES.energy.0 * 1_000);
                }
                if let Some(quantity) = map.power().filter(held) {
                    let power = quantity.power(request.block, &answer).expect("a number");
                    assert!(
                        (7_350..=7_360).contains(&power.0),
                        "{}: {power:?}",
                        map.id()
                    );
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_is_shown_at_its_own_pace() {
        let text = "1000 1 input 0x0000 0001 0002\n\
                    1000 2 input 0x0000 0009\n\
                    3000 1 input 0x0001 0003\n";
        let recording = Recording::parse("x", text).expect("it is one");
        let image = RegisterImage::of_recording(&recording, 1);
        let read = || image.read(RegisterSpace::Input, 0, 2);
        assert_eq!(read(), Ok(vec![1, 2]));
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert_eq!(read(), Ok(vec![1, 2]));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(read(), Ok(vec![1, 3]));
        assert_eq!(
            image.read(RegisterSpace::Holding, 0, 1),
            Err(NO_SUCH_ADDRESS)
        );
    }
}
