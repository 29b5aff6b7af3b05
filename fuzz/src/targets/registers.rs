//! Registers of a meter, and the scale that makes them Wh and W.
//!
//! An input is 12 bytes: the register, then numerator and denominator of the scale.

use meter_drivers::{NoNumber, RawValue, Scale, ValueType};
use protocol::EnergyWh;

use super::{Corpus, numbered};

pub(super) fn check(bytes: &[u8]) {
    let &[b0, b1, b2, b3, n0, n1, n2, n3, d0, d1, d2, d3] = bytes else {
        return;
    };
    let bits = u32::from_be_bytes([b0, b1, b2, b3]);
    let numerator = u32::from_be_bytes([n0, n1, n2, n3]);
    let denominator = u32::from_be_bytes([d0, d1, d2, d3]);
    let Some(scale) = Scale::new(numerator, denominator) else {
        return;
    };
    check_integer(bits, scale);
    check_float(bits, scale);
}

fn check_integer(bits: u32, scale: Scale) {
    let value = RawValue::new(bits, ValueType::U32).expect("every u32 is a number");
    let (bits, numerator) = (u128::from(bits), u128::from(scale.numerator()));
    let denominator = u128::from(scale.denominator());
    let nearest = (2 * bits * numerator + denominator) / (2 * denominator);
    let expected = u64::try_from(nearest).map(EnergyWh);
    let found = value.energy(scale).map(|(energy, _)| energy);
    assert_eq!(found.ok(), expected.ok());
}

/// A register that rises never decodes to less.
fn check_float(bits: u32, scale: Scale) {
    let energy = |bits| {
        let value = RawValue::new(bits, ValueType::F32)?;
        // No energy at all is power all the same, or too much of it.
        let _ = value.power(scale);
        value.energy(scale).map(|(energy, _)| energy)
    };
    let (here, next) = (energy(bits), energy(bits.wrapping_add(1)));
    match (here, next) {
        (Ok(here), Ok(next)) => assert!(here <= next),
        (Err(NoNumber::TooLarge), Ok(_)) => panic!("too large, and the next is not"),
        _ => {}
    }
}

pub(super) fn corpus() -> Corpus {
    let input = |bits: u32, numerator: u32, denominator: u32| {
        [bits, numerator, denominator]
            .map(u32::to_be_bytes)
            .concat()
    };
    numbered([
        input(1_234.5_f32.to_bits(), 1_000, 1),
        input(0x7F80_0000, 1, 10),
        input(u32::MAX, u32::MAX, 1),
        input(1, 1, u32::MAX),
    ])
}
