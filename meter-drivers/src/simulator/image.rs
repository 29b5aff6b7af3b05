//! Registers of a unit by address, as a map or a recording gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::{EnergyWh, PowerW};
use tokio::time::Instant;

use super::SimulatedUnit;
use super::registers::f32_bits_down;
use crate::map::{Register, RegisterMap, RegisterSpace, Scale, ValueType, WordOrder};
use crate::recording::Recording;

/// Illegal data address.
///
/// # Source
/// MODBUS Application Protocol V1.1b3, section 7.
const NO_SUCH_ADDRESS: u8 = 2;

/// A unit's registers, each with the moments at which it changes.
#[derive(Clone, Debug)]
pub struct RegisterImage {
    began: Instant,
    words: BTreeMap<(RegisterSpace, u16), Vec<(Duration, u16)>>,
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

impl RegisterImage {
    /// A meter of `map` that shows `values` and is set as the map expects.
    ///
    /// What a register is too coarse for is rounded down.
    #[must_use]
    pub fn of_map(map: &RegisterMap, values: MapValues) -> Self {
        let mut image = Self::empty();
        let order = map.word_order();
        let (energy, scale) = map.energy_import();
        image.set(energy, order, unscaled(values.energy.0.into(), scale));
        if let Some((power, scale)) = map.power() {
            image.set(power, order, unscaled(values.power.0.into(), scale));
        }
        if let Some(serial) = map.serial_number() {
            image.set(serial, order, (values.serial.into(), 1));
        }
        for probe in map.probes() {
            image.set(probe.register, order, (probe.expect.into(), 1));
        }
        image.fill_readable_gaps(map);
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
        }
    }

    fn set(
        &mut self,
        register: Register,
        order: WordOrder,
        (numerator, denominator): (u128, u128),
    ) {
        let bits = match register.value_type {
            ValueType::F32 => f32_bits_down(numerator, denominator),
            ValueType::U32 => u32::try_from(numerator / denominator).unwrap_or(u32::MAX),
        };
        let words = super::registers::split(bits, order);
        for (address, word) in (register.address..).zip(words) {
            let key = (register.space, address);
            self.words.insert(key, vec![(Duration::ZERO, word)]);
        }
    }

    fn fill_readable_gaps(&mut self, map: &RegisterMap) {
        for space in [RegisterSpace::Input, RegisterSpace::Holding] {
            let addresses = self.words.keys().filter(|(of, _)| *of == space);
            let addresses: Vec<u16> = addresses.map(|&(_, address)| address).collect();
            if let (true, [first, .., last]) = (map.gaps_are_readable(space), &addresses[..]) {
                for address in *first..=*last {
                    let filled = self.words.entry((space, address));
                    filled.or_insert_with(|| vec![(Duration::ZERO, 0)]);
                }
            }
        }
    }
}

impl SimulatedUnit for RegisterImage {
    fn read(&self, space: RegisterSpace, start: u16, count: u16) -> Result<Vec<u16>, u8> {
        let elapsed = self.began.elapsed();
        let end = start.checked_add(count).ok_or(NO_SUCH_ADDRESS)?;
        (start..end)
            .map(|address| {
                let changes = self.words.get(&(space, address)).ok_or(NO_SUCH_ADDRESS)?;
                // Before its first moment a register shows what it has first.
                let now = changes.partition_point(|&(at, _)| at <= elapsed).max(1) - 1;
                Ok(changes[now].1)
            })
            .collect()
    }
}

/// What a register of `scale` holds for `value`.
fn unscaled(value: u128, scale: Scale) -> (u128, u128) {
    (
        value * u128::from(scale.denominator()),
        u128::from(scale.numerator()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_s_meter_shows_its_values() {
        let map = RegisterMap::builtin("eastron-sdm630").expect("built in");
        let values = MapValues {
            energy: EnergyWh(1_500),
            power: PowerW(7_360),
            serial: 42,
        };
        let image = RegisterImage::of_map(map, values);
        let words = |bits: u32| super::super::registers::split(bits, WordOrder::MswFirst).to_vec();
        let read = |space, start, count| image.read(space, start, count);
        assert_eq!(
            read(RegisterSpace::Input, 0x48, 2),
            Ok(words(1.5_f32.to_bits()))
        );
        assert_eq!(read(RegisterSpace::Holding, 0xFC00, 2), Ok(words(42)));
        let spanning = read(RegisterSpace::Input, 0x34, 22).expect("its gaps are readable");
        assert_eq!(spanning[..2], words(7_360.0_f32.to_bits()));
        assert_eq!(read(RegisterSpace::Holding, 0x20, 2), Err(NO_SUCH_ADDRESS));
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
