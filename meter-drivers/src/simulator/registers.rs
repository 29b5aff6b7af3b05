//! The registers a SDM630 shows, and what it refuses to.

use std::ops::RangeInclusive;

use tokio_modbus::ExceptionCode;

use super::SimulatedMeter;
use super::encode::{Fraction, f32_bits_down, split};
use crate::map::WordOrder;

/// Registers a request may ask for: 40 parameters of two.
const MAX_COUNT: u16 = 80;
/// Input addresses that answer; those without a parameter answer 0.
const INPUT: [RangeInclusive<u16>; 2] = [0x0000..=0x004E, 0x0156..=0x0164];
/// Phase voltage in V, without load and with.
const VOLTAGE: u128 = 230;

const ZERO: Fraction = (0, 1);

/// What the meter shows at one moment.
pub(super) struct Shown<'a> {
    pub(super) meter: &'a SimulatedMeter,
    pub(super) energy_mwh: u64,
}

impl Shown<'_> {
    /// The parameter at input `address`, an f32; `None` where there is no such address.
    pub(super) fn input(&self, address: u16) -> Option<u32> {
        if !INPUT.iter().any(|range| range.contains(&address)) {
            return None;
        }
        let power = u128::from(self.meter.power.0);
        let (numerator, denominator) = match address {
            0x0000 | 0x0002 | 0x0004 => (VOLTAGE, 1),
            0x0006 | 0x0008 | 0x000A => (power, 3 * VOLTAGE),
            // Active and apparent power of each phase; the load has no reactive part.
            0x000C | 0x000E | 0x0010 | 0x0012 | 0x0014 | 0x0016 => (power, 3),
            // Power factors.
            0x001E | 0x0020 | 0x0022 | 0x003E => (1, 1),
            // Active and apparent power of all phases.
            0x0034 | 0x0038 => (power, 1),
            // Frequency.
            0x0046 => (50, 1),
            // Total import; import and export together, export being 0.
            0x0048 | 0x0156 => self.energy(1),
            // Import of each phase.
            0x015A | 0x015C | 0x015E => self.energy(3),
            // Reactive power, export, reactive energy, and addresses without a parameter.
            _ => ZERO,
        };
        Some(f32_bits_down(numerator, denominator))
    }

    /// The parameter at holding `address`; `None` where there is none.
    pub(super) fn holding(&self, address: u16) -> Option<u32> {
        let whole = |value: u128| f32_bits_down(value, 1);
        match address {
            // Parity and stop bits: none and one; unit id; 9,600 baud.
            0x0012 => Some(whole(0)),
            0x0014 => Some(whole(self.meter.unit_id.into())),
            0x001C => Some(whole(2)),
            0x001E => Some(whole(self.meter.shows_megawatt_hours.into())),
            // Register order; swapped with everything else where the meter is set so.
            0x0028 => Some(whole(2141)),
            0xFC00 => Some(self.meter.serial),
            _ => None,
        }
    }

    fn energy(&self, phases: u128) -> Fraction {
        let mwh_per_unit: u128 = if self.meter.shows_megawatt_hours {
            1_000_000_000
        } else {
            1_000_000
        };
        (u128::from(self.energy_mwh), phases * mwh_per_unit)
    }
}

/// The words of `count` registers from `start` on.
///
/// Half a parameter is refused: where meters are laxer, a driver that asks for whole ones is safe.
///
/// # Source
/// Eastron, SDM630 Modbus Protocol V2.0: two registers a parameter, 40 parameters a request.
pub(super) fn words(
    start: u16,
    count: u16,
    order: WordOrder,
    parameter: impl Fn(u16) -> Option<u32>,
) -> Result<Vec<u16>, ExceptionCode> {
    if count == 0 || count > MAX_COUNT || !count.is_multiple_of(2) {
        return Err(ExceptionCode::IllegalDataValue);
    }
    let end = start
        .checked_add(count)
        .filter(|_| start.is_multiple_of(2))
        .ok_or(ExceptionCode::IllegalDataAddress)?;
    let mut words = Vec::with_capacity(count.into());
    for address in (start..end).step_by(2) {
        let bits = parameter(address).ok_or(ExceptionCode::IllegalDataAddress)?;
        words.extend(split(bits, order));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: u16, count: u16, expected: Result<usize, ExceptionCode>) {
        let meter = SimulatedMeter::default();
        let shown = Shown {
            meter: &meter,
            energy_mwh: 0,
        };
        let found = words(start, count, WordOrder::MswFirst, |at| shown.input(at));
        assert_eq!(found.map(|words| words.len()), expected);
    }

    #[test]
    fn only_whole_parameters_that_exist_are_answered() {
        check(0x0000, 80, Ok(80));
        check(0x0048, 2, Ok(2));
        check(0x0164, 2, Ok(2));
        check(0x0002, 80, Err(ExceptionCode::IllegalDataAddress));
        check(0x0049, 2, Err(ExceptionCode::IllegalDataAddress));
        check(0x0100, 2, Err(ExceptionCode::IllegalDataAddress));
        check(0xFFFE, 2, Err(ExceptionCode::IllegalDataAddress));
        check(0x0000, 82, Err(ExceptionCode::IllegalDataValue));
        check(0x0000, 1, Err(ExceptionCode::IllegalDataValue));
        check(0x0000, 0, Err(ExceptionCode::IllegalDataValue));
    }
}
