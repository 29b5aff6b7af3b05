//! Signed meter data: OCMF records, the strings that OCPP carries them in, and public keys.

use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{Charge, Curve, Hash, PublicKey, Record, SignedRecord, SignedValue, to_xml};

use super::{Corpus, numbered, texts};

/// What a meter of the test bench signs, with each kind of value in it.
const PAYLOAD: &str = r#"{"FV":"1.4","GI":"BENCH 1","GS":"G-7","GV":"1.0","PG":"T8","MV":"Bänch","MM":"B1","MS":"M-42","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_AUTH"],"IT":"ISO14443","ID":"04B7C9E1520A87","TT":"day|night","CF":"1","LC":{"LN":"c","LI":1,"LR":2.5,"LU":"mOhm"},"CT":"EVSEID","CI":"DE*ABC*E1","X":[{"a":"\""}],"RD":[{"TM":"2026-03-01T10:00:00,000+0100 S","TX":"B","RV":4071.600,"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G","CL":0},{"TM":"2026-03-01T10:30:00,000+0100 R","TX":"E","RV":41011E-1,"CL":0.5}]}"#;

/// The same in few bytes, as older meters write it.
const SHORT: &str = r#"{"MS":"1","PG":"T1","RD":[{"TM":"2026-03-01T10:00:00Z","TX":"B","RV":" 1","RI":"1-b:1.8.e","RU":"Wh","ST":"G"},{"TX":"L","RV":2}]}"#;

/// What is read is kept byte for byte, is read again the same, is exported or refused, and is not
/// verified with the test bench's key unless the test bench signed it.
pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(record) = Record::parse(text) else {
        return;
    };
    assert!(text.contains(record.as_str()), "another text");
    let signed = std::str::from_utf8(record.signed_bytes()).expect("part of a text");
    assert!(record.as_str()["OCMF|".len()..].starts_with(signed));
    let again = Record::parse(record.sections()).expect("it was read with more behind it");
    assert_eq!(again.payload(), record.payload());
    assert_eq!(again.payload_hash(), record.payload_hash());
    if record.verify(&meter().public_key()).is_ok() {
        assert!([PAYLOAD, SHORT].contains(&signed), "signed by nobody");
    }
    let carried = [SignedRecord::carried(record)];
    if let Ok(charge) = Charge::of(&carried, None) {
        assert!(charge.begin.register <= charge.end.register);
        assert!(charge.begin.time.at <= charge.end.time.at);
        assert!(!charge.energy_wh.is_negative());
    }
    if let Ok(xml) = to_xml(&carried, 1) {
        // The declaration, and three elements that begin and end.
        assert!(xml.matches('<').count() == 7, "an element more");
    }
}

pub(super) fn corpus() -> Corpus {
    let meter = meter();
    let sign = |payload, encoding| meter.sign(payload, Hash::Sha256, encoding);
    let whole = sign(PAYLOAD, SignatureEncoding::Hex);
    let appended = format!("{whole}|3059");
    let short = sign(SHORT, SignatureEncoding::Base64);
    texts([whole.as_str(), appended.as_str(), short.as_str()])
}

/// A value of OCPP gives a record's text or is refused; a key that it claims is read or refused.
pub(super) fn check_value(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(value) = SignedValue::from_ocpp16(text) else {
        return;
    };
    assert!(value.text.trim_start().starts_with("OCMF|"));
    if let Some(key) = value.claimed_key {
        check_key(&key);
    }
}

pub(super) fn value_corpus() -> Corpus {
    let key: String = {
        let bytes = meter().public_key().to_der();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let composed = format!(
        r#"{{"signedMeterValue":"T0NNRnx7fXx7fQ","encodingMethod":"OCMF","publicKey":"oca:base16:asn1:{key}"}}"#
    );
    texts([
        "OCMF|{}|{}",
        "4f434d467c7b7d7c7b7d",
        "T0NNRnx7fXx7fQ==",
        r#"{"signedMeterData":"T0NNRnx7fXx7fQ","signingMethod":"","encodingMethod":"OCMF","publicKey":"b2NhOmJhc2UxNjphc24xOjMwNTk="}"#,
        &composed,
    ])
}

/// Bytes are a key, written again as one that is the same, or none.
pub(super) fn check_key(bytes: &[u8]) {
    for curve in Curve::ALL.map(Some).into_iter().chain([None]) {
        let Ok(key) = PublicKey::from_bytes(bytes, curve) else {
            continue;
        };
        assert_eq!(PublicKey::from_bytes(&key.to_der(), None), Ok(key));
    }
}

pub(super) fn key_corpus() -> Corpus {
    let key = |curve| TestMeter::new(curve, "bench").public_key();
    let whole = Curve::ALL.map(|curve| key(curve).to_der());
    let bare = Curve::ALL.map(|curve| key(curve).point().to_vec());
    numbered(whole.into_iter().chain(bare))
}

fn meter() -> TestMeter {
    TestMeter::new(Curve::Secp256r1, "bench")
}
