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
        r#"{{"FV":"1.4","GI":"BENCH 1","GS":"G-7","GV":"1.0","PG":"{page}","MV":"Bench","MM":"B1","MS":"M-42","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_AUTH"],"IT":"ISO14443","ID":"1F2D3A4F5506C7","CT":"EVSEID","CI":"DE*ABC*E1","RD":[{}]}}"#,
        readings.join(",")
    )
}

/// A charge of 29.5 kWh in one record.
pub(crate) fn whole() -> String {
    payload(
        "T8",
        &[reading(0, "B", "2935.600"), reading(30, "E", "2965.100")],
    )
}

/// The same charge in two records.
pub(crate) fn halves() -> [String; 2] {
    [
        payload("T8", &[reading(0, "B", "2935.600")]),
        payload("T9", &[reading(30, "E", "2965.100")]),
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
