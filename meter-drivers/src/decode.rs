//! Registers to numbers, without float arithmetic.
//!
//! A register's bits are taken apart into an exact rational, scaled, and rounded once. Rounding is
//! to the nearest whole unit, halves up. It is monotone: a register that did not fall never decodes
//! to less than before. It is done on the register itself, not on a charge, so that what several
//! charges lose and gain at their ends cancels out.

use protocol::{EnergyWh, PowerW};

use crate::map::{Scale, ValueType};

/// A register's exact value: `mantissa` × 2^`exponent`, negated where `negative`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue {
    negative: bool,
    mantissa: u32,
    exponent: i32,
}

/// Why a register holds nothing that can be billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNumber {
    /// The IEEE 754 marker that meters send for "not available".
    #[error("not a number")]
    NotANumber,
    /// An infinity.
    #[error("infinite")]
    Infinite,
    /// Below zero where only a count upwards makes sense.
    #[error("negative")]
    Negative,
    /// More than fits 64 bits in the unit asked for.
    #[error("too large")]
    TooLarge,
}

impl RawValue {
    /// Takes the 32 bits of a register of `value_type` apart.
    ///
    /// # Errors
    /// `NotANumber` and `Infinite`, of an f32 only.
    ///
    /// # Source
    /// IEEE 754, section 3.4 (binary interchange formats).
    pub fn new(bits: u32, value_type: ValueType) -> Result<Self, NoNumber> {
        match value_type {
            ValueType::U32 => Ok(Self {
                negative: false,
                mantissa: bits,
                exponent: 0,
            }),
            ValueType::F32 => Self::from_f32_bits(bits),
        }
    }

    fn from_f32_bits(bits: u32) -> Result<Self, NoNumber> {
        const HIDDEN_BIT: u32 = 1 << 23;
        let negative = bits >> 31 == 1;
        let fraction = bits & (HIDDEN_BIT - 1);
        let (mantissa, exponent) = match (bits >> 23) & 0xFF {
            0xFF if fraction == 0 => return Err(NoNumber::Infinite),
            0xFF => return Err(NoNumber::NotANumber),
            // Subnormal: no hidden bit, and the smallest exponent there is.
            0 => (fraction, -149),
            biased => (fraction | HIDDEN_BIT, biased.cast_signed() - 150),
        };
        Ok(Self {
            negative,
            mantissa,
            exponent,
        })
    }

    /// The energy and the register's step there, in mWh rounded up; `to_wh` scales to Wh.
    ///
    /// # Errors
    /// `Negative` below zero, `TooLarge` where the Wh do not fit 64 bits.
    pub fn energy(self, to_wh: Scale) -> Result<(EnergyWh, u64), NoNumber> {
        let step = Self {
            mantissa: 1,
            ..self
        };
        let (numerator, denominator) = step.scaled(to_wh).ok_or(NoNumber::TooLarge)?;
        let step_mwh = numerator
            .checked_mul(1000)
            .and_then(|milli| u64::try_from(milli.div_ceil(denominator)).ok())
            .ok_or(NoNumber::TooLarge)?;
        Ok((EnergyWh(self.rounded(to_wh)?), step_mwh))
    }

    /// The power drawn; 0 where the register is negative, because export is not drawn from anybody.
    ///
    /// # Errors
    /// `TooLarge` where the W do not fit.
    pub fn power(self, to_w: Scale) -> Result<PowerW, NoNumber> {
        if self.is_negative() {
            return Ok(PowerW(0));
        }
        let watts = u32::try_from(self.rounded(to_w)?).map_err(|_| NoNumber::TooLarge)?;
        Ok(PowerW(watts))
    }

    /// Whether the value is exactly `number`.
    #[must_use]
    pub fn is_exactly(self, number: u32) -> bool {
        !self.is_negative()
            && self
                .scaled(Scale::ONE)
                .is_some_and(|(numerator, denominator)| {
                    numerator == u128::from(number) * denominator
                })
    }

    /// Minus zero is zero.
    fn is_negative(self) -> bool {
        self.negative && self.mantissa != 0
    }

    /// `self` × `scale` to the nearest whole number, halves up.
    fn rounded(self, scale: Scale) -> Result<u64, NoNumber> {
        if self.is_negative() {
            return Err(NoNumber::Negative);
        }
        let (numerator, denominator) = self.scaled(scale).ok_or(NoNumber::TooLarge)?;
        let nearest = (2 * numerator + denominator) / (2 * denominator);
        u64::try_from(nearest).map_err(|_| NoNumber::TooLarge)
    }

    /// |`self`| × `scale` as numerator and denominator, each below 2^126; `None` beyond 2^64.
    ///
    /// A numerator below 2^64 over 2^90 or more is so close to 0 that its size no longer matters to
    /// any rounding (a step scaled to mWh included), so smaller fractions are held at 2^-90.
    fn scaled(self, scale: Scale) -> Option<(u128, u128)> {
        let numerator = u128::from(self.mantissa) * u128::from(scale.numerator());
        let denominator = u128::from(scale.denominator());
        if self.exponent < 0 {
            return Some((
                numerator,
                denominator << self.exponent.unsigned_abs().min(90),
            ));
        }
        let shift = self.exponent.unsigned_abs();
        // Past 2^126 over a denominator below 2^32 the quotient is past 2^94.
        (numerator == 0 || numerator.leading_zeros() > shift + 1)
            .then(|| (numerator << shift, denominator))
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    fn kwh() -> Scale {
        Scale::new(1000, 1).expect("not zero")
    }

    #[track_caller]
    fn check(kilowatt_hours: f32, expected: Result<(u64, u64), NoNumber>) {
        let found = RawValue::new(kilowatt_hours.to_bits(), ValueType::F32)
            .and_then(|value| value.energy(kwh()))
            .map(|(energy, step_mwh)| (energy.0, step_mwh));
        assert_eq!(found, expected, "{kilowatt_hours} kWh");
    }

    #[test]
    fn energy_is_rounded_once_to_the_nearest_wh() {
        check(0.0, Ok((0, 1)));
        check(-0.0, Ok((0, 1)));
        check(1.0, Ok((1_000, 1)));
        // Stored as 1.2339999675750732421875.
        check(1.234, Ok((1_234, 1)));
        check(2.0_f32.powi(-11), Ok((0, 1))); // 0.488 Wh
        check(0.0625 / 2.0, Ok((31, 1))); // 31.25 Wh
        check(4.0625 + 1.0 / 128.0, Ok((4_070, 1))); // 4070.3125 Wh
    }

    #[test]
    fn half_a_wh_rounds_up() {
        check(0.5 + 0.0625, Ok((563, 1))); // 562.5 Wh
        check(0.1875, Ok((188, 1))); // 187.5 Wh
        check(0.3125, Ok((313, 1))); // 312.5 Wh
    }

    #[test]
    fn the_step_grows_with_the_register() {
        check(100.0, Ok((100_000, 8))); // 7.63 mWh
        check(65_536.0, Ok((65_536_000, 7_813))); // 7812.5 mWh
        check(524_288.0, Ok((524_288_000, 62_500)));
        check(16_777_216.0, Ok((16_777_216_000, 2_000_000)));
    }

    #[test]
    fn what_is_no_count_is_no_reading() {
        check(f32::NAN, Err(NoNumber::NotANumber));
        check(f32::INFINITY, Err(NoNumber::Infinite));
        check(f32::NEG_INFINITY, Err(NoNumber::Infinite));
        check(-0.001, Err(NoNumber::Negative));
        check(f32::MAX, Err(NoNumber::TooLarge));
    }

    #[test]
    fn exported_power_is_no_drawn_power() {
        let power = |watts: f32| {
            RawValue::new(watts.to_bits(), ValueType::F32).and_then(|v| v.power(Scale::ONE))
        };
        assert_eq!(power(7_359.5), Ok(PowerW(7_360)));
        assert_eq!(power(-5_000.0), Ok(PowerW(0)));
        assert_eq!(power(f32::MAX), Err(NoNumber::TooLarge));
        assert_eq!(power(f32::NAN), Err(NoNumber::NotANumber));
    }

    #[test]
    fn a_setting_is_compared_exactly() {
        let is = |value: f32, number| {
            RawValue::new(value.to_bits(), ValueType::F32).map(|v| v.is_exactly(number))
        };
        assert_eq!(is(2141.0, 2141), Ok(true));
        assert_eq!(is(2141.0, 2140), Ok(false));
        assert_eq!(is(-0.0, 0), Ok(true));
        assert_eq!(is(-1.0, 1), Ok(false));
        assert_eq!(is(f32::from_bits(1), 0), Ok(false));
        assert_eq!(is(0.5, 1), Ok(false));
    }

    /// Rounds by way of the decimal text of the number, which Rust prints exactly.
    fn rounded_in_decimal(value: f32, scale: Scale) -> BigUint {
        const PLACES: usize = 149;
        let digits = format!("{value:.PLACES$}").replace('.', "");
        let digits: BigUint = digits.parse().expect("decimal digits");
        let numerator = digits * scale.numerator();
        let denominator = BigUint::from(10_u8).pow(149) * scale.denominator();
        (numerator * 2_u8 + &denominator) / (denominator * 2_u8)
    }

    fn energy_wh(bits: u32, scale: Scale) -> Result<u64, NoNumber> {
        let value = RawValue::new(bits, ValueType::F32)?;
        value.energy(scale).map(|(energy, _)| energy.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_f32_rounds_as_its_exact_decimal_does(
            bits in 0..0x7F80_0000_u32, numerator in 1..=u32::MAX, denominator in 1..=u32::MAX
        ) {
            let scale = Scale::new(numerator, denominator).expect("not zero");
            let expected = rounded_in_decimal(f32::from_bits(bits), scale);
            prop_assert_eq!(
                energy_wh(bits, scale),
                u64::try_from(expected).map_err(|_| NoNumber::TooLarge)
            );
        }

        #[test]
        fn a_meter_sized_f32_rounds_as_its_exact_decimal_does(kilowatt_hours in 0.0..1.0e7_f32) {
            let expected = rounded_in_decimal(kilowatt_hours, kwh());
            prop_assert_eq!(
                energy_wh(kilowatt_hours.to_bits(), kwh()).map(BigUint::from),
                Ok(expected)
            );
        }

        #[test]
        fn a_register_that_rises_never_decodes_to_less(bits in 0..0x5000_0000_u32) {
            let at = |bits| energy_wh(bits, kwh()).expect("below 2^64 Wh");
            prop_assert!(at(bits) <= at(bits + 1));
        }

        #[test]
        fn the_next_register_value_is_one_step_away(kilowatt_hours in 0.001..1.0e7_f32) {
            let bits = kilowatt_hours.to_bits();
            let (_, step_mwh) = RawValue::new(bits, ValueType::F32)
                .and_then(|value| value.energy(kwh()))
                .expect("a finite number above 0");
            let milliwatts = Scale::new(1_000_000, 1).expect("not zero");
            let here = rounded_in_decimal(f32::from_bits(bits), milliwatts);
            let next = rounded_in_decimal(f32::from_bits(bits + 1), milliwatts);
            // Both ends of the step were rounded.
            prop_assert!(next - here <= BigUint::from(step_mwh + 1));
        }

        #[test]
        fn an_integer_register_is_itself(bits: u32) {
            let value = RawValue::new(bits, ValueType::U32).expect("every u32 is a number");
            prop_assert_eq!(value.energy(Scale::ONE), Ok((EnergyWh(bits.into()), 1000)));
            prop_assert!(value.is_exactly(bits));
        }
    }
}
