//! Numbers to the bits of registers, exactly and rounded down.
//!
//! Down, because a meter never shows energy that was not delivered yet.

use crate::map::{Register, ValueType, WordOrder};

/// An exact value, as numerator and denominator; both are below 2^64 times 2^64.
pub(super) type Fraction = (u128, u128);

/// The powers of ten that a scale register may have where the value is a whole number.
const POWERS_OF_TEN: std::ops::RangeInclusive<u8> = 0..=10;
/// The most decimals that Iskra's types show, as its meters do.
const MOST_DECIMALS: i8 = 4;

/// The bits of the greatest number of `value_type` that is not above `value`.
pub(super) fn bits(value_type: ValueType, value: Fraction) -> u64 {
    match value_type {
        ValueType::F32 => f32_bits_down(value.0, value.1).into(),
        ValueType::F64 => float_bits_down(value, 52, 1_023),
        ValueType::T5 | ValueType::T6 => decimal_bits_down(value, most(value_type)),
        _ => {
            let whole = (value.0 / value.1).min(most(value_type).into());
            u64::try_from(whole).expect("at most the greatest of its type")
        }
    }
}

/// The smallest power of ten by which the greatest number of `value_type` is not below `value`.
pub(super) fn least_power_of_ten(value_type: ValueType, value: Fraction) -> u8 {
    if !value_type.is_integer() {
        return 0;
    }
    let whole = value.0 / value.1;
    let fits = |&power: &u8| whole / 10_u128.pow(power.into()) <= most(value_type).into();
    POWERS_OF_TEN
        .into_iter()
        .find(fits)
        .unwrap_or(*POWERS_OF_TEN.end())
}

/// The words of `register` that holds `bits`.
pub(super) fn words(register: Register, bits: u64) -> Vec<u16> {
    let bytes = bits.to_be_bytes();
    let pairs = bytes.chunks_exact(2);
    let all = pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut words: Vec<u16> = all.skip(4 - usize::from(register.width())).collect();
    if register.word_order == WordOrder::LswFirst {
        words.reverse();
    }
    words
}

pub(super) fn split(bits: u32, order: WordOrder) -> [u16; 2] {
    let [a, b, c, d] = bits.to_be_bytes();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    match order {
        WordOrder::MswFirst => [high, low],
        WordOrder::LswFirst => [low, high],
    }
}

/// The bits of the greatest f32 that is not above `numerator` / `denominator`.
pub(super) fn f32_bits_down(numerator: u128, denominator: u128) -> u32 {
    let bits = float_bits_down((numerator, denominator), 23, 127);
    u32::try_from(bits).expect("sign, 8 bits of exponent, 23 of fraction")
}

/// The greatest integer of a type, or the greatest mantissa of Iskra's.
fn most(value_type: ValueType) -> u64 {
    match value_type {
        ValueType::I16 | ValueType::I32 | ValueType::I64 => value_type.all_ones() >> 1,
        ValueType::T5 => 0xFF_FFFF,
        ValueType::T6 => 0x7F_FFFF,
        _ => value_type.all_ones(),
    }
}

/// IEEE 754 binary with so many bits of fraction, of a value that is 0 or not subnormal.
fn float_bits_down(value: Fraction, fraction_bits: i32, bias: i32) -> u64 {
    let (numerator, denominator) = value;
    if numerator == 0 {
        return 0;
    }
    let hidden = 1_u128 << fraction_bits;
    // The quotient of the lengths is right or one too great.
    let length = numerator.ilog2().cast_signed() - denominator.ilog2().cast_signed();
    let mut exponent = length - fraction_bits;
    let mut mantissa = shifted_quotient(numerator, denominator, exponent);
    if mantissa < hidden {
        exponent -= 1;
        mantissa = shifted_quotient(numerator, denominator, exponent);
    }
    let fraction = u64::try_from(mantissa - hidden).expect("a mantissa has at most 53 bits");
    let biased = u64::try_from(exponent + fraction_bits + bias).expect("it is not subnormal");
    biased << fraction_bits | fraction
}

/// `numerator` / `denominator` / 2^`exponent`, rounded down.
fn shifted_quotient(numerator: u128, denominator: u128, exponent: i32) -> u128 {
    let shift = exponent.unsigned_abs();
    if exponent < 0 {
        (numerator << shift) / denominator
    } else {
        numerator / (denominator << shift)
    }
}

/// Iskra's: as many decimals as fit, and a power of ten in the upper byte.
fn decimal_bits_down((numerator, denominator): Fraction, most: u64) -> u64 {
    let mut power = -MOST_DECIMALS;
    loop {
        let ten = 10_u128.pow(power.unsigned_abs().into());
        let mantissa = match power {
            ..0 => numerator * ten / denominator,
            _ => numerator / ten / denominator,
        };
        if mantissa <= most.into() {
            let mantissa = u64::try_from(mantissa).expect("24 bits");
            return u64::from(power.cast_unsigned()) << 24 | mantissa;
        }
        power += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::map::RegisterSpace;

    #[track_caller]
    fn check(value_type: ValueType, value: Fraction, expected: u64) {
        assert_eq!(bits(value_type, value), expected);
    }

    #[test]
    fn exact_values_are_shown_exactly() {
        check(ValueType::F32, (2141, 1), 2141.0_f32.to_bits().into());
        check(
            ValueType::F32,
            (1, 1024),
            (1.0_f32 / 1024.0).to_bits().into(),
        );
        check(
            ValueType::F32,
            (1 << 40, 1),
            2.0_f32.powi(40).to_bits().into(),
        );
        check(ValueType::F32, (0, 7), 0);
        check(
            ValueType::F64,
            (2141, 1024),
            (2141.0_f64 / 1024.0).to_bits(),
        );
        check(ValueType::F64, (1 << 63, 1), 2.0_f64.powi(63).to_bits());
        check(ValueType::U48, (1 << 40, 1), 1 << 40);
        check(ValueType::T5, (2301, 10), 0xFC << 24 | 2_301_000);
        check(ValueType::T6, (12_345_678, 1), 1 << 24 | 1_234_567);
    }

    #[test]
    fn what_is_too_fine_is_rounded_down_and_what_is_too_much_cut() {
        check(ValueType::U16, (19, 10), 1);
        check(ValueType::U16, (1 << 20, 1), 0xFFFF);
        check(ValueType::I16, (1 << 20, 1), 0x7FFF);
        check(ValueType::I64, (u128::MAX, 1), u64::MAX >> 1);
        assert_eq!(least_power_of_ten(ValueType::I16, (32_767, 1)), 0);
        assert_eq!(least_power_of_ten(ValueType::I16, (327_680, 1)), 2);
        assert_eq!(least_power_of_ten(ValueType::F32, (327_680, 1)), 0);
    }

    #[test]
    fn words_stand_in_their_order() {
        let register = |word_order| Register {
            space: RegisterSpace::Input,
            address: 0,
            value_type: ValueType::U48,
            word_order,
        };
        assert_eq!(
            words(register(WordOrder::MswFirst), 0x1_0002_0003),
            [1, 2, 3]
        );
        assert_eq!(
            words(register(WordOrder::LswFirst), 0x1_0002_0003),
            [3, 2, 1]
        );
    }

    proptest! {
        #[test]
        fn a_value_is_shown_as_the_next_f32_below(numerator in 1..u64::MAX, micro: bool) {
            let denominator = if micro { 1_000_000 } else { 3 };
            let bits = f32_bits_down(numerator.into(), denominator);
            // An f32 is a f64 exactly, and a product of 24 and 20 bits fits one.
            let product = |bits| {
                f64::from(f32::from_bits(bits)) * if micro { 1.0e6 } else { 3.0 }
            };
            let exact = u128::from(numerator);
            prop_assert!(BigFloat(product(bits)).not_above(exact));
            prop_assert!(!BigFloat(product(bits + 1)).not_above(exact));
        }
    }

    /// A f64 to compare with an integer, exactly.
    struct BigFloat(f64);

    impl BigFloat {
        fn not_above(&self, whole: u128) -> bool {
            let text = format!("{:.120}", self.0);
            let integral = text.split('.').next().expect("split yields one part");
            let fractional = text.trim_end_matches('0').ends_with('.');
            let integral: u128 = integral.parse().expect("decimal digits");
            integral < whole || (integral == whole && fractional)
        }
    }
}
