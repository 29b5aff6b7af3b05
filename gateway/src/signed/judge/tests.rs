use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{Curve, Hash as Digest};
use ocpp_bridge::session::SignedContext;
use protocol::UnixMillis;
use serde_json::json;

use super::*;

const BILLED: Billed = Billed {
    transaction: 7,
    energy: EnergyWh(1_500),
    resolution_mwh: 1_000,
};

fn meter() -> TestMeter {
    TestMeter::new(Curve::Secp256r1, "judged")
}

fn key() -> SignedMeterKey {
    SignedMeterKey::parse(&hex::encode(meter().public_key().to_der())).expect("a key")
}

/// A record of `meter` with these readings: reason and kWh.
fn record_of(meter: &TestMeter, page: u64, readings: &[(&str, &str)]) -> String {
    let readings: Vec<String> = readings
        .iter()
        .map(|(reason, kwh)| {
            format!(
                r#"{{"TM":"2026-03-01T10:00:00,000+0100 S","TX":"{reason}","RV":{kwh},"RI":"1-0:1.8.0","RU":"kWh","ST":"G"}}"#
            )
        })
        .collect();
    let payload = format!(
        r#"{{"FV":"1.4","GS":"G-7","PG":"T{page}","MS":"M-42","IS":false,"IT":"NONE","RD":[{}]}}"#,
        readings.join(",")
    );
    meter.sign(&payload, Digest::Sha256, SignatureEncoding::Hex)
}

fn record(page: u64, readings: &[(&str, &str)]) -> String {
    record_of(&meter(), page, readings)
}

fn both_ends() -> String {
    record(9, &[("B", "10.000"), ("E", "11.500")])
}

fn sent(texts: &[String]) -> Vec<SignedMeterValue> {
    let value = |text: &String| SignedMeterValue {
        at: UnixMillis(1),
        context: SignedContext::Other,
        data: SignedData::Text(text.clone()),
    };
    texts.iter().map(value).collect()
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Unsigned,
    Verified,
    NotVerified(String),
    Held(String),
}

fn outcome(values: &[SignedMeterValue], key: Option<&SignedMeterKey>) -> Outcome {
    let judged = judge(values, key, BILLED, |_| Some(5));
    let is_held = judged.hold.is_some();
    let is_used = judged.page.is_some();
    assert_eq!(judged.detail.values.len(), values.len(), "nothing is lost");
    let outcome = match judged.detail.standing {
        Standing::Unsigned => Outcome::Unsigned,
        Standing::Verified { .. } => Outcome::Verified,
        Standing::NotVerified { why } => Outcome::NotVerified(why),
        Standing::Refused { why } => Outcome::Held(why),
    };
    assert_eq!(is_held, matches!(outcome, Outcome::Held(_)));
    assert_eq!(is_used, outcome == Outcome::Verified);
    outcome
}

#[track_caller]
fn check(texts: &[String], key: Option<&SignedMeterKey>, expected: Outcome) {
    assert_eq!(outcome(&sent(texts), key), expected);
}

#[track_caller]
fn check_held(texts: &[String], key: Option<&SignedMeterKey>, words: &str) {
    match outcome(&sent(texts), key) {
        Outcome::Held(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?} instead of {words:?}"),
    }
}

#[test]
fn a_meter_with_a_known_key_is_verified() {
    check(&[both_ends()], Some(&key()), Outcome::Verified);
    let (begin, end) = (record(8, &[("B", "10")]), record(9, &[("E", "11.500")]));
    check(
        &[end.clone(), begin.clone()],
        Some(&key()),
        Outcome::Verified,
    );
    // The begin alone, then both ends in one.
    check(&[begin, both_ends()], Some(&key()), Outcome::Verified);
    // The same record again, as it is and in hex.
    let again = [both_ends(), both_ends(), hex::encode(both_ends())];
    check(&again, Some(&key()), Outcome::Verified);
    let point = hex::encode(meter().public_key().point());
    let point = SignedMeterKey::parse(&point).expect("a point");
    check(&[both_ends()], Some(&point), Outcome::Verified);
}

#[test]
fn what_a_known_key_does_not_vouch_for_is_held() {
    let changed = both_ends().replace("11.500", "11.501");
    check_held(&[changed], Some(&key()), "signature does not belong");
    let stranger = TestMeter::new(Curve::Secp256r1, "stranger");
    let strange = record_of(&stranger, 8, &[("B", "10.000")]);
    check_held(
        &[strange, both_ends()],
        Some(&key()),
        "signature does not belong",
    );
    let curve = TestMeter::new(Curve::Secp384r1, "stranger");
    let strange = record_of(&curve, 9, &[("B", "10.000"), ("E", "11.500")]);
    check_held(&[strange], Some(&key()), "configured key does not fit");
    let unknown = both_ends().replace("ECDSA-secp256r1-SHA256", "NONE");
    check_held(&[unknown], Some(&key()), "not supported");
    check_held(&["<xml/>".to_owned()], Some(&key()), "no OCMF");
    check_held(&[], Some(&key()), "none came");
    check_held(
        &[record(9, &[("B", "10")])],
        Some(&key()),
        "the end is missing",
    );
    let used = record(5, &[("B", "10.000"), ("E", "11.500")]);
    check_held(&[used], Some(&key()), "page T5 was used before");
}

#[test]
fn signed_energy_may_differ_by_a_step_only() {
    let ends = |end: &str| [record(9, &[("B", "10.0000"), ("E", end)])];
    check(&ends("11.5010"), Some(&key()), Outcome::Verified);
    check(&ends("11.4990"), Some(&key()), Outcome::Verified);
    check_held(&ends("11.5011"), Some(&key()), "signed 1501.1 Wh");
    check_held(&ends("11.4989"), Some(&key()), "signed 1498.9 Wh");
    check_held(&ends("11.5011"), None, "signed 1501.1 Wh");
}

#[test]
fn without_a_key_nothing_is_verified() {
    let carried = |why: &str| Outcome::NotVerified(why.to_owned());
    check(&[], None, Outcome::Unsigned);
    check(&[both_ends()], None, carried("no key is configured"));
    let own = hex::encode(meter().public_key().to_der());
    let with_key = format!("{}|{own}", both_ends());
    let changed = with_key.replace("11.500", "11.501");
    check(&[with_key], None, carried("no key is configured"));
    check_held(&[changed], None, "came with a record did not sign it");
    check_held(&[record(9, &[("B", "10")])], None, "the end is missing");
    assert!(matches!(
        outcome(&sent(&["1-0:1.8.0".to_owned()]), None),
        Outcome::NotVerified(_)
    ));
}

#[test]
fn fields_of_ocpp_2_are_read_and_kept_alike() {
    let fields = |encoding_method: &str| SignedMeterValue {
        at: UnixMillis(1),
        context: SignedContext::End,
        data: SignedData::Fields {
            data: hex::encode(both_ends()),
            signing_method: String::new(),
            encoding_method: encoding_method.to_owned(),
            public_key: hex::encode(meter().public_key().to_der()),
        },
    };
    assert_eq!(outcome(&[fields("OCMF")], Some(&key())), Outcome::Verified);
    let judged = judge(&[fields("EDL")], None, BILLED, |_| None);
    let [Carried::Unread { sent, .. }] = &judged.detail.values[..] else {
        panic!("{:?}", judged.detail);
    };
    let kept: serde_json::Value = serde_json::from_str(sent).expect("JSON");
    assert_eq!(kept["signedMeterData"], hex::encode(both_ends()));
    assert_eq!(kept["encodingMethod"], json!("EDL"));
}

#[test]
fn the_detail_has_each_record_as_the_meter_wrote_it() {
    let judged = judge(
        &sent(&[hex::encode(both_ends())]),
        Some(&key()),
        BILLED,
        |_| None,
    );
    let [Carried::Record { text, payload, .. }] = &judged.detail.values[..] else {
        panic!("{:?}", judged.detail);
    };
    assert_eq!(*text, both_ends());
    let record = Record::parse(text).expect("a record");
    assert_eq!(*payload, record.payload_hash());
    let exported = judged.detail.records();
    assert_eq!(exported[0].key(), Some(&meter().public_key()));
}
