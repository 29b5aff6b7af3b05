//! Registers of a meter, and the scales that make them Wh, W, V and A.
//!
//! An input is 18 bytes: type, bits of the register, numerator and denominator of the scale, power of
//! ten.

use meter_drivers::{NoNumber, RawValue, Scale, ValueType};
use protocol::EnergyWh;

use super::{Corpus, numbered};

const TYPES: [ValueType; 11] = [
    ValueType::U16,
    ValueType::U32,
    ValueType::U48,
    ValueType::U64,
    ValueType::I16,
    ValueType::I32,
    ValueType::I64,
    ValueType::F32,
    ValueType::F64,
    ValueType::T5,
    ValueType::T6,
];

pub(super) fn check(bytes: &[u8]) {
    let Some((&[kind], bytes)) = bytes.split_first_chunk::<1>() else {
        return;
    };
    let Some((bits, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let &[n0, n1, n2, n3, d0, d1, d2, d3, power] = bytes else {
        return;
    };
    let value_type = TYPES[usize::from(kind) % TYPES.len()];
    let bits = u64::from_be_bytes(*bits) & value_type.all_ones();
    let numerator = u32::from_be_bytes([n0, n1, n2, n3]);
    let denominator = u32::from_be_bytes([d0, d1, d2, d3]);
    let Some(scale) = Scale::new(numerator, denominator) else {
        return;
    };
    check_integer(bits & 0xFFFF_FFFF, scale);
    check_order(value_type, bits, scale, power.cast_signed().into());
}

fn check_integer(bits: u64, scale: Scale) {
    let value = RawValue::new(bits, ValueType::U32).expect("every u32 is a number");
    let (bits, numerator) = (u128::from(bits), u128::from(scale.numerator()));
    let denominator = u128::from(scale.denominator());
    let nearest = (2 * bits * numerator + denominator) / (2 * denominator);
    let expected = u64::try_from(nearest).map(EnergyWh);
    let found = value.exact(scale, 0).energy().map(|(energy, _)| energy);
    assert_eq!(found.ok(), expected.ok());
}

/// A register that rises never decodes to less.
fn check_order(value_type: ValueType, bits: u64, scale: Scale, power_of_ten: i32) {
    let energy = |bits| {
        let value = RawValue::new(bits, value_type)?.exact(scale, power_of_ten);
        // No energy at all is power all the same, or too much of it.
        let _ = (value.power(), value.thousandths());
        value.energy().map(|(energy, _)| energy)
    };
    let next = bits.wrapping_add(1) & value_type.all_ones();
    // The power of ten of a T5 or T6 is in its upper bits.
    let is_same_sign = bits >> 63 == next >> 63 && next != 0;
    let is_decimal = matches!(value_type, ValueType::T5 | ValueType::T6);
    if !is_same_sign || is_decimal && next & 0x7F_FFFF == 0 {
        let _ = (energy(bits), energy(next));
        return;
    }
    match (energy(bits), energy(next)) {
        (Ok(here), Ok(next)) => assert!(here <= next),
        (Err(NoNumber::TooLarge), Ok(_)) => panic!("too large, and the next is not"),
        _ => {}
    }
}

pub(super) fn corpus() -> Corpus {
    let input = |kind: u8, bits: u64, numerator: u32, denominator: u32, power: i8| {
        [
            &[kind],
            bits.to_be_bytes().as_slice(),
            &numerator.to_be_bytes(),
            &denominator.to_be_bytes(),
            &power.to_be_bytes(),
        ]
        .concat()
    };
    numbered([
        input(7, 1_234.5_f32.to_bits().into(), 1_000, 1, 0),
        input(7, 0x7F80_0000, 1, 10, 0),
        input(1, u32::MAX.into(), u32::MAX, 1, 0),
        input(0, 1, 1, u32::MAX, -10),
        input(8, 1_234.5_f64.to_bits(), 1, 1, 3),
        input(9, 0xFE00_5A05, 1, 1, 0),
        input(6, u64::MAX, 1, 1, 0),
    ])
}
