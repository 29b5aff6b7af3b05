use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;

fn kwh() -> Scale {
    Scale::new(1000, 1).expect("not zero")
}

fn f32(value: f32) -> Result<RawValue, NoNumber> {
    RawValue::new(value.to_bits().into(), ValueType::F32)
}

#[track_caller]
fn check(kilowatt_hours: f32, expected: Result<(u64, u64), NoNumber>) {
    let found = f32(kilowatt_hours)
        .and_then(|value| value.exact(kwh(), 0).energy())
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
    let power = |watts| f32(watts).and_then(|value| value.exact(Scale::ONE, 0).power());
    assert_eq!(power(7_359.5), Ok(PowerW(7_360)));
    assert_eq!(power(-5_000.0), Ok(PowerW(0)));
    assert_eq!(power(f32::MAX), Err(NoNumber::TooLarge));
    assert_eq!(power(f32::NAN), Err(NoNumber::NotANumber));
}

#[test]
fn a_setting_is_compared_exactly() {
    let is = |value, number| f32(value).map(|v| v.is_exactly(number));
    assert_eq!(is(2141.0, 2141), Ok(true));
    assert_eq!(is(2141.0, 2140), Ok(false));
    assert_eq!(is(-0.0, 0), Ok(true));
    assert_eq!(is(-1.0, 1), Ok(false));
    assert_eq!(is(f32::from_bits(1), 0), Ok(false));
    assert_eq!(is(0.5, 1), Ok(false));
}

/// What `bits` of `value_type` are, in thousandths.
#[track_caller]
fn check_type(value_type: ValueType, bits: u64, expected: Result<i64, NoNumber>) {
    let found = RawValue::new(bits, value_type);
    let found = found.and_then(|value| value.exact(Scale::ONE, 0).thousandths());
    assert_eq!(found, expected, "{value_type:?} {bits:#x}");
}

#[test]
fn every_type_is_read_from_its_bits() {
    use ValueType::*;
    check_type(U16, 0xFFFF, Ok(65_535_000));
    check_type(I16, 0xFFFF, Ok(-1_000));
    check_type(I16, 0x8000, Ok(-32_768_000));
    check_type(I16, 0x7FFF, Ok(32_767_000));
    check_type(U32, 0xFFFF_FFFF, Ok(4_294_967_295_000));
    check_type(I32, 0xFFFF_FFFE, Ok(-2_000));
    check_type(I32, 0x8000_0000, Ok(-2_147_483_648_000));
    check_type(U48, 0x0001_0000_0002, Ok(4_294_967_298_000));
    check_type(U64, u64::MAX, Err(NoNumber::TooLarge));
    check_type(U64, 9_223_372_036_854_775, Ok(9_223_372_036_854_775_000));
    check_type(I64, u64::MAX, Ok(-1_000));
    check_type(I64, 1 << 63, Err(NoNumber::TooLarge));
    check_type(F32, 0x4366_8000, Ok(230_500));
    check_type(F32, 0xC366_8000, Ok(-230_500));
    check_type(F64, 0x406C_D000_0000_0000, Ok(230_500));
    check_type(F64, 0xC06C_D000_0000_0000, Ok(-230_500));
    check_type(F64, 1, Ok(0));
    check_type(F64, 0x7FF0_0000_0000_0000, Err(NoNumber::Infinite));
    check_type(F64, 0xFFF8_0000_0000_0000, Err(NoNumber::NotANumber));
    check_type(F64, f64::MAX.to_bits(), Err(NoNumber::TooLarge));
    // 23045 × 10^-2, -12345 × 10^-1 and 5 × 10^3.
    check_type(T5, 0xFE00_5A05, Ok(230_450));
    check_type(T6, 0xFFFF_CFC7, Ok(-1_234_500));
    check_type(T5, 0x0300_0005, Ok(5_000_000));
    check_type(T5, 0xFFFF_FFFF, Ok(1_677_721_500));
    check_type(T6, 0x7F00_0001, Err(NoNumber::TooLarge));
    check_type(T6, 0x8000_0001, Ok(0));
}

#[test]
fn half_a_thousandth_rounds_away_from_zero() {
    let tenth = Scale::new(1, 2_000).expect("not zero");
    let of = |bits| RawValue::new(bits, ValueType::I16).map(|v| v.exact(tenth, 0).thousandths());
    assert_eq!(of(1), Ok(Ok(1)));
    assert_eq!(of(0xFFFF), Ok(Ok(-1)));
    assert_eq!(of(3), Ok(Ok(2)));
}

#[test]
fn only_whole_numbers_near_zero_are_powers_of_ten() {
    let power = |bits, value_type| RawValue::new(bits, value_type).and_then(RawValue::power_of_ten);
    assert_eq!(power(0xFFFE, ValueType::I16), Ok(-2));
    assert_eq!(power(10, ValueType::U16), Ok(10));
    assert_eq!(power(11, ValueType::U16), Err(NoNumber::NoScale));
    assert_eq!(power(0xFFF5, ValueType::I16), Err(NoNumber::NoScale));
    assert_eq!(power(0x8000, ValueType::I16), Err(NoNumber::NoScale));
    assert_eq!(power(u64::MAX, ValueType::U64), Err(NoNumber::NoScale));
    // 2 × 10^1: the number is near 0, the value is not.
    assert_eq!(power(0x0100_0002, ValueType::T5), Err(NoNumber::NoScale));
}

/// Rounds by way of the decimal text of the number, which Rust prints exactly.
fn rounded_in_decimal(digits: &str, places: u32, scale: Scale) -> BigUint {
    let digits: BigUint = digits.replace('.', "").parse().expect("decimal digits");
    let numerator = digits * scale.numerator();
    let denominator = BigUint::from(10_u8).pow(places) * scale.denominator();
    (numerator * 2_u8 + &denominator) / (denominator * 2_u8)
}

fn f32_in_decimal(value: f32, scale: Scale) -> BigUint {
    rounded_in_decimal(&format!("{value:.149}"), 149, scale)
}

fn energy_wh(bits: u64, value_type: ValueType, scale: Scale) -> Result<u64, NoNumber> {
    let value = RawValue::new(bits, value_type)?;
    value.exact(scale, 0).energy().map(|(energy, _)| energy.0)
}

fn expected(number: BigUint) -> Result<u64, NoNumber> {
    u64::try_from(number).map_err(|_| NoNumber::TooLarge)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_f32_rounds_as_its_exact_decimal_does(
        bits in 0..0x7F80_0000_u32, numerator in 1..=u32::MAX, denominator in 1..=u32::MAX
    ) {
        let scale = Scale::new(numerator, denominator).expect("not zero");
        let found = energy_wh(bits.into(), ValueType::F32, scale);
        prop_assert_eq!(found, expected(f32_in_decimal(f32::from_bits(bits), scale)));
    }

    #[test]
    fn any_f64_rounds_as_its_exact_decimal_does(
        value in 0.0..1.0e20_f64, numerator in 1..=u32::MAX, denominator in 1..=u32::MAX
    ) {
        let scale = Scale::new(numerator, denominator).expect("not zero");
        let decimal = rounded_in_decimal(&format!("{value:.1074}"), 1074, scale);
        let found = energy_wh(value.to_bits(), ValueType::F64, scale);
        prop_assert_eq!(found, expected(decimal));
    }

    #[test]
    fn a_meter_sized_f32_rounds_as_its_exact_decimal_does(kilowatt_hours in 0.0..1.0e7_f32) {
        let found = energy_wh(kilowatt_hours.to_bits().into(), ValueType::F32, kwh());
        prop_assert_eq!(found, expected(f32_in_decimal(kilowatt_hours, kwh())));
    }

    #[test]
    fn a_register_that_rises_never_decodes_to_less(bits in 0..0x5000_0000_u64) {
        let at = |bits| energy_wh(bits, ValueType::F32, kwh()).expect("below 2^64 Wh");
        prop_assert!(at(bits) <= at(bits + 1));
    }

    #[test]
    fn the_next_register_value_is_one_step_away(kilowatt_hours in 0.001..1.0e7_f32) {
        let bits = kilowatt_hours.to_bits();
        let (_, step_mwh) = f32(kilowatt_hours)
            .and_then(|value| value.exact(kwh(), 0).energy())
            .expect("a finite number above 0");
        let milliwatts = Scale::new(1_000_000, 1).expect("not zero");
        let here = f32_in_decimal(f32::from_bits(bits), milliwatts);
        let next = f32_in_decimal(f32::from_bits(bits + 1), milliwatts);
        // Both ends of the step were rounded.
        prop_assert!(next - here <= BigUint::from(step_mwh + 1));
    }

    #[test]
    fn an_integer_register_is_itself(bits: u64) {
        for (value_type, bits) in [(ValueType::U64, bits), (ValueType::U48, bits >> 16)] {
            let value = RawValue::new(bits, value_type).expect("every integer is a number");
            prop_assert_eq!(value.exact(Scale::ONE, 0).energy(), Ok((EnergyWh(bits), 1000)));
            prop_assert!(value.is_exactly(bits));
        }
    }
}
