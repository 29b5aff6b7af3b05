//! Registers to numbers, without float arithmetic.
//!
//! A register's bits are taken apart into an exact rational, scaled, and rounded once. Rounding is
//! to the nearest whole unit, halves away from 0. It is monotone: a register that did not fall never
//! decodes to less than before. It is done on the register itself, not on a charge, so that what
//! several charges lose and gain at their ends cancels out.

use num_bigint::BigUint;
use protocol::{EnergyWh, PowerW};

use crate::map::{Scale, ValueType};

/// The powers of ten that a scale register may hold.
///
/// # Source
/// SunSpec Information Model Specification, type sunssf.
pub const POWERS_OF_TEN: std::ops::RangeInclusive<i32> = -10..=10;

/// A register's exact value: `mantissa` × `radix`^`exponent`, negated where `negative`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue {
    negative: bool,
    mantissa: u64,
    radix: u8,
    exponent: i32,
}

/// An exact rational in the unit asked for, and the smallest step the register makes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    negative: bool,
    numerator: BigUint,
    step: BigUint,
    denominator: BigUint,
}

/// Why a register holds nothing that can be billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// The bits by which this model says "no value".
    #[error("the model's marker of no value")]
    NoValue,
    /// The register with the power of ten holds no power of ten.
    #[error("its scale register holds no scale")]
    NoScale,
    /// The meter has no such register, or refused to show it.
    #[error("not answered")]
    NotAnswered,
}

impl RawValue {
    /// Takes the bits of a register of `value_type` apart; they are right-aligned in `bits`.
    ///
    /// # Errors
    /// `NotANumber` and `Infinite`, of a float only.
    ///
    /// # Source
    /// IEEE 754, section 3.4 (binary interchange formats).
    pub fn new(bits: u64, value_type: ValueType) -> Result<Self, NoNumber> {
        match value_type {
            ValueType::U16 | ValueType::U32 | ValueType::U48 | ValueType::U64 => {
                Ok(Self::integer(bits))
            }
            ValueType::I16 => Ok(Self::signed(bits, 16)),
            ValueType::I32 => Ok(Self::signed(bits, 32)),
            ValueType::I64 => Ok(Self::signed(bits, 64)),
            ValueType::F32 => Self::float(bits, 8, 23),
            ValueType::F64 => Self::float(bits, 11, 52),
            ValueType::T5 => Ok(Self::decimal(bits, Self::integer(bits & 0xFF_FFFF))),
            ValueType::T6 => Ok(Self::decimal(bits, Self::signed(bits & 0xFF_FFFF, 24))),
        }
    }

    /// A whole number of steps of 1.
    #[must_use]
    pub fn integer(mantissa: u64) -> Self {
        Self::with_sign(false, mantissa)
    }

    fn with_sign(negative: bool, mantissa: u64) -> Self {
        Self {
            negative,
            mantissa,
            radix: 2,
            exponent: 0,
        }
    }

    /// Two's complement in the lowest `length` bits.
    fn signed(bits: u64, length: u32) -> Self {
        let unused = 64 - length;
        let value = (bits << unused).cast_signed() >> unused;
        Self::with_sign(value < 0, value.unsigned_abs())
    }

    fn float(bits: u64, exponent_length: u32, fraction_length: u32) -> Result<Self, NoNumber> {
        let hidden_bit = 1_u64 << fraction_length;
        let all_ones = (1_u64 << exponent_length) - 1;
        // Half the range of exponents, and the fraction counted as an integer.
        let bias = (1_i32 << (exponent_length - 1)) - 1 + fraction_length.cast_signed();
        let fraction = bits & (hidden_bit - 1);
        let biased = (bits >> fraction_length) & all_ones;
        let (mantissa, exponent) = match biased {
            biased if biased == all_ones && fraction == 0 => return Err(NoNumber::Infinite),
            biased if biased == all_ones => return Err(NoNumber::NotANumber),
            // Subnormal: no hidden bit, and the smallest exponent there is.
            0 => (fraction, 1 - bias),
            biased => {
                let biased = i32::try_from(biased).expect("an exponent has at most 11 bits");
                (fraction | hidden_bit, biased - bias)
            }
        };
        Ok(Self {
            negative: bits >> (exponent_length + fraction_length) & 1 == 1,
            mantissa,
            radix: 2,
            exponent,
        })
    }

    /// `mantissa` with the power of ten in the upper byte of 32 `bits`.
    fn decimal(bits: u64, mantissa: Self) -> Self {
        let [.., power, _, _, _] = bits.to_be_bytes();
        Self {
            radix: 10,
            exponent: power.cast_signed().into(),
            ..mantissa
        }
    }

    /// The value × `scale` × 10^`power_of_ten`, exactly.
    #[must_use]
    pub fn exact(self, scale: Scale, power_of_ten: i32) -> Exact {
        let mut step = BigUint::from(scale.numerator());
        let mut denominator = BigUint::from(scale.denominator());
        for (radix, exponent) in [(self.radix, self.exponent), (10, power_of_ten)] {
            let power = BigUint::from(radix).pow(exponent.unsigned_abs());
            if exponent < 0 {
                denominator *= power;
            } else {
                step *= power;
            }
        }
        Exact {
            negative: self.is_negative(),
            numerator: &step * self.mantissa,
            step,
            denominator,
        }
    }

    /// Whether the value is exactly `number`.
    #[must_use]
    pub fn is_exactly(self, number: u64) -> bool {
        let exact = self.exact(Scale::ONE, 0);
        !exact.negative && exact.numerator == exact.denominator * number
    }

    /// The value as a power of ten of a scale register.
    ///
    /// # Errors
    /// `NoScale` for anything but a whole number in [`POWERS_OF_TEN`].
    pub fn power_of_ten(self) -> Result<i32, NoNumber> {
        let magnitude = i32::try_from(self.mantissa).map_err(|_| NoNumber::NoScale)?;
        let power = if self.negative { -magnitude } else { magnitude };
        let holds = self.exponent == 0 && POWERS_OF_TEN.contains(&power);
        holds.then_some(power).ok_or(NoNumber::NoScale)
    }

    /// Minus zero is zero.
    fn is_negative(self) -> bool {
        self.negative && self.mantissa != 0
    }
}

impl Exact {
    /// Both counters in one; the coarser of their steps is the step of the sum.
    ///
    /// # Errors
    /// `Negative` where one is below zero: no counter is.
    pub fn plus(self, other: &Self) -> Result<Self, NoNumber> {
        if self.negative || other.negative {
            return Err(NoNumber::Negative);
        }
        let step = (&self.step * &other.denominator).max(&other.step * &self.denominator);
        Ok(Self {
            negative: false,
            numerator: self.numerator * &other.denominator + &other.numerator * &self.denominator,
            step,
            denominator: self.denominator * &other.denominator,
        })
    }

    /// Whether it is exactly 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.numerator.bits() == 0
    }

    /// The energy in Wh, and the register's step there in mWh, rounded up.
    ///
    /// # Errors
    /// `Negative` below zero, `TooLarge` where the Wh do not fit 64 bits.
    pub fn energy(&self) -> Result<(EnergyWh, u64), NoNumber> {
        if self.negative {
            return Err(NoNumber::Negative);
        }
        let energy = EnergyWh(self.nearest(1)?);
        let milli = &self.step * 1_000_u32;
        let step_mwh = (milli + &self.denominator - 1_u32) / &self.denominator;
        let step_mwh = u64::try_from(step_mwh).map_err(|_| NoNumber::TooLarge)?;
        Ok((energy, step_mwh))
    }

    /// The power drawn in W; 0 where it is negative, because export is not drawn from anybody.
    ///
    /// # Errors
    /// `TooLarge` where the W do not fit.
    pub fn power(&self) -> Result<PowerW, NoNumber> {
        if self.negative {
            return Ok(PowerW(0));
        }
        let watts = u32::try_from(self.nearest(1)?).map_err(|_| NoNumber::TooLarge)?;
        Ok(PowerW(watts))
    }

    /// The value in thousandths of its unit: mV, mA, mW.
    ///
    /// # Errors
    /// `TooLarge` where they do not fit 63 bits.
    pub fn thousandths(&self) -> Result<i64, NoNumber> {
        let magnitude = i64::try_from(self.nearest(1_000)?).map_err(|_| NoNumber::TooLarge)?;
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// |`self`| × `factor` to the nearest whole number, halves up.
    fn nearest(&self, factor: u32) -> Result<u64, NoNumber> {
        let doubled = &self.numerator * (2 * factor) + &self.denominator;
        u64::try_from(doubled / (&self.denominator * 2_u32)).map_err(|_| NoNumber::TooLarge)
    }
}

#[cfg(test)]
mod tests;
