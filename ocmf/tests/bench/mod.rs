//! Records of the test bench, made of parts.
#![allow(dead_code, reason = "each test file uses some of it")]

use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{Curve, Hash, Record, SignedRecord};

/// A reading as JSON: what a good meter signs.
pub(crate) fn reading(minute: u32, reason: &str, kwh: &str) -> String {
    format!(
        r#"{{"TM":"2026-03-01T10:{minute:02}:00,000+0100 S","TX":"{reason}","RV":{kwh},"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"}}"#
    )
}

/// A payload with these readings.
pub(crate) fn payload(page: &str, readings: &[String]) -> String {
    format!(
        r#"{{"FV":"1.4","GI":"BENCH 1","GS":"G-7","GV":"1.0","PG":"{page}","MV":"Bench","MM":"B1","MS":"M-42","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_AUTH"],"IT":"ISO14443","ID":"04B7C9E1520A87","CT":"EVSEID","CI":"DE*ABC*E1","RD":[{}]}}"#,
        readings.join(",")
    )
}

/// A charge of 29.5 kWh in one record.
pub(crate) fn whole() -> String {
    payload(
        "T8",
        &[reading(0, "B", "4071.600"), reading(30, "E", "4101.100")],
    )
}

/// The same charge in two records.
pub(crate) fn halves() -> [String; 2] {
    [
        payload("T8", &[reading(0, "B", "4071.600")]),
        payload("T9", &[reading(30, "E", "4101.100")]),
    ]
}

/// The meter that signs where nothing else is said.
pub(crate) fn meter() -> TestMeter {
    TestMeter::new(Curve::Secp256r1, "bench")
}

/// `payload`, signed by that meter, as text.
pub(crate) fn signed(payload: &str) -> String {
    meter().sign(payload, Hash::Sha256, SignatureEncoding::Hex)
}

/// `payload`, signed and read.
#[track_caller]
pub(crate) fn record(payload: &str) -> Record {
    Record::parse(&signed(payload)).expect("a record")
}

/// `payload`, signed, read and verified.
#[track_caller]
pub(crate) fn verified(payload: &str) -> SignedRecord {
    SignedRecord::verified(record(payload), meter().public_key()).expect("the meter signed it")
}

/// The integers r and s of a signature in DER, of `bytes` bytes each.
pub(crate) fn numbers_of(der: &[u8], bytes: usize) -> [Vec<u8>; 2] {
    let r_length = usize::from(der[3]);
    [&der[4..4 + r_length], &der[6 + r_length..]].map(|number| {
        // Without the zeros that DER has too many, with those that it has not.
        let surplus = number.len().saturating_sub(bytes);
        [
            &vec![0; bytes.saturating_sub(number.len())],
            &number[surplus..],
        ]
        .concat()
    })
}

/// r and s as a DER sequence of integers that are written as they are given, set top bit or not.
pub(crate) fn sequence_of(numbers: [&[u8]; 2]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("a short form");
    let integers = numbers.map(|number| [&[2, length(number)], number].concat());
    let content = integers.concat();
    [&[0x30, length(&content)], content.as_slice()].concat()
}

/// n − `s`: the other s that verifies with the same r, which anybody can compute.
pub(crate) fn other_s(s: &[u8], order: &str) -> Vec<u8> {
    let order = hex::decode(order).expect("hex");
    let (mut other, mut borrow) = (vec![0; order.len()], 0_i16);
    for index in (0..order.len()).rev() {
        let difference = i16::from(order[index]) - i16::from(s[index]) - borrow;
        borrow = i16::from(difference < 0);
        other[index] = u8::try_from(difference.rem_euclid(256)).expect("a byte");
    }
    other
}

/// The order of secp256k1.
///
/// # Source
/// SEC 2, version 2.0, section 2.4.1.
pub(crate) const SECP256K1_ORDER: &str =
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141";
