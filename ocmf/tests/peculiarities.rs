//! What meters in the field write in their own way, each in a record that the test bench signs.
//!
//! Each test names, as its source, the file of S.A.F.E. e.V.'s transparency software whose record has
//! the peculiarity.

mod bench;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bench::{numbers_of, other_s, sequence_of};
use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{
    Charge, Curve, Hash, PublicKey, Record, Refusal, SignedRecord, TimeQuality, TimeStatus,
    VerifyError,
};

fn meter(curve: Curve) -> TestMeter {
    TestMeter::new(curve, "peculiar")
}

fn signed(meter: &TestMeter, payload: &str) -> String {
    meter.sign(payload, Hash::Sha256, SignatureEncoding::Hex)
}

#[track_caller]
fn verified(text: &str, key: &str) -> SignedRecord {
    let key = PublicKey::parse(key, None).expect("a key");
    SignedRecord::verified(Record::parse(text).expect("a record"), key).expect("it is signed")
}

/// Verified here, and not with a digit of the register changed from `from` to `to`.
#[track_caller]
fn verified_unaltered(text: &str, key: &str, [from, to]: [&str; 2]) -> SignedRecord {
    let altered = text.replacen(from, to, 1);
    assert_ne!(altered, text);
    let altered = Record::parse(&altered).expect("a record");
    let parsed = PublicKey::parse(key, None).expect("a key");
    assert_eq!(altered.verify(&parsed), Err(VerifyError::DoesNotVerify));
    verified(text, key)
}

fn hex_key(meter: &TestMeter) -> String {
    hex::encode(meter.public_key().to_der())
}

/// What was charged, in Wh.
#[track_caller]
fn charged(records: &[SignedRecord]) -> (String, TimeQuality) {
    let charge = Charge::of(records, None).expect("a charge");
    (charge.energy_wh.to_string(), charge.time_quality)
}

/// KEBA: the signing device has a serial number and the meter none, the algorithm is the default and
/// not named, four places of kWh, counting on from an informative time.
///
/// # Source
/// test_ocmf_keba_kcp30.xml.
#[test]
fn no_serial_number_of_the_meter_and_no_algorithm() {
    let payload = r#"{"FV":"1.0","GI":"BENCH 2","GS":"70001","GV":"3.1.4","PG":"T5","IS":false,"IL":"NONE","IF":["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT":"NONE","ID":"","RD":[{"TM":"2026-03-01T10:00:00,000+0000 I","TX":"B","EF":"","ST":"G","RV":0.4071,"RI":"1-b:1.8.0","RU":"kWh"},{"TM":"2026-03-01T10:00:30,000+0000 R","TX":"E","EF":"","ST":"G","RV":0.4072,"RI":"1-b:1.8.0","RU":"kWh"}]}"#;
    let meter = meter(Curve::Secp256r1);
    let named = signed(&meter, payload);
    let text = named.replace(r#""SA":"ECDSA-secp256r1-SHA256","#, "");
    assert_ne!(text, named);
    let record = verified_unaltered(&text, &hex_key(&meter), ["0.4072", "0.4073"]);
    let charge = charged(&[record]);
    assert_eq!(charge, ("0.1".to_owned(), TimeQuality::Relative));
}

/// eBZ: secp192r1, integers of the signature without the zero that DER asks for before a set top bit,
/// digits in lower case, no error flags, whole Wh.
///
/// # Source
/// test.xml.
#[test]
fn signatures_without_a_leading_zero() {
    let meter = meter(Curve::Secp192r1);
    let payload = |page: u32| {
        format!(
            r#"{{"FV":"1.0","GI":"BENCH 3","GS":"70002","GV":"3","MS":"70002","PG":"T{page}","IS":true,"IL":"TRUSTED","IT":"EMAID","ID":"DEABCC1","CI":"place","CT":"EVSEID","RD":[{{"TM":"2026-03-01T10:00:00,000+0200 I","TX":"B","RV":4071600,"RI":"1-b:1.8.e","RU":"Wh","ST":"G"}},{{"TM":"2026-03-01T10:05:00,000+0200 I","TX":"E","RV":4071877,"RI":"1-b:1.8.e","RU":"Wh","ST":"G"}}]}}"#
        )
    };
    let in_der = |text: &str| {
        let record = Record::parse(text).expect("a record");
        record.signature().data.clone()
    };
    let text = (1..)
        .map(|page| signed(&meter, &payload(page)))
        .find(|text| in_der(text).starts_with("3036021900"))
        .expect("one of four has both top bits set");
    let der = in_der(&text);
    let [r, s] = numbers_of(&hex::decode(&der).expect("hex"), 24);
    let bent = hex::encode(sequence_of([&r, &s]));
    assert!(bent.starts_with("30340218"), "{bent}");
    let text = text.replace(&der, &bent);
    let record = verified_unaltered(&text, &hex_key(&meter), ["4071877", "4071977"]);
    let charge = charged(&[record]);
    assert_eq!(charge, ("277".to_owned(), TimeQuality::Informative));
}

/// HTB: secp192k1, a key in groups of two digits, a count of events that later formats have no field
/// for, an error while charging.
///
/// # Source
/// test_ocmf_transaction_two_values.xml.
#[test]
fn a_key_in_groups_of_digits_and_an_error_while_charging() {
    let payload = r#"{"FV":"1.0","GI":"BENCH 4","GS":"70003","GV":"0.1","PG":"T5","MV":"BENCH","MM":"BENCH","MS":"70013","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_RS_TLS"],"IT":"ISO14443","ID":"04B7C9E1520A87","CI":"place","CT":"CBIDC","RD":[{"TM":"2026-03-01T10:00:00,123+0200 S","TX":"B","RV":4.07160,"RI":"1-b:1.8.e","RU":"kWh","EI":12,"ST":"G"},{"TM":"2026-03-01T10:00:00,123+0200 S","TX":"X","RV":4.10110,"RI":"1-b:1.8.e","RU":"kWh","EI":12,"ST":"G"}]}"#;
    let meter = meter(Curve::Secp192k1);
    let digits = hex_key(&meter).to_uppercase();
    let groups: Vec<&str> = (0..digits.len())
        .step_by(2)
        .map(|at| &digits[at..at + 2])
        .collect();
    let text = signed(&meter, payload);
    let record = verified_unaltered(&text, &groups.join(" "), ["4.10110", "4.10111"]);
    assert_eq!(record.key(), Some(&meter.public_key()));
    assert_eq!(Charge::of(&[record], None), Err(Refusal::Exception));
}

/// NZR: brainpoolP256r1 by the name of RFC 5639, named behind the signature; begin and end in two
/// records, no identification flags, nothing charged.
///
/// # Source
/// brainpoolP256r1.xml.
#[test]
fn a_curve_by_its_other_name_and_behind_the_signature() {
    let meter = meter(Curve::Brainpool256r1);
    let record = |page: &str, seconds: &str, reason: &str| {
        let payload = format!(
            r#"{{"FV":"1.0","GI":"BENCH 5","GS":"70004","GV":"1.0.0.0","PG":"{page}","MV":"BENCH","MM":"B 5","MS":"70014","MF":"1.11","IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"","CT":"","CI":"","RD":[{{"TM":"2026-03-01T10:00:{seconds},000+0000 S","TX":"{reason}","RV":4071,"RI":"1-0:1.8.1","RU":"Wh","RT":"AC","EF":"","ST":"G"}}]}}"#
        );
        let text = signed(&meter, &payload);
        let data = Record::parse(&text)
            .expect("a record")
            .signature()
            .data
            .clone();
        let text = format!(
            r#"OCMF|{payload}|{{"SD":"{}","SA":"ECDSA-brainpoolP256r1-SHA256"}}"#,
            data.to_lowercase()
        );
        verified_unaltered(&text, &hex_key(&meter), [":4071,", ":4072,"])
    };
    let records = [record("T274", "09", "B"), record("T275", "12", "E")];
    let charge = charged(&records);
    assert_eq!(charge, ("0".to_owned(), TimeQuality::Synchronized));
}

/// DZG: numbers as texts that are padded with blanks, blanks around colons, the larger s, a key in
/// base64, an OBIS code with a dot before its last group.
///
/// # Source
/// OCMF_Test_Data_00.xml.
#[test]
fn numbers_as_padded_texts_and_the_larger_s() {
    let meter = meter(Curve::Secp256k1);
    let key = STANDARD.encode(meter.public_key().to_der());
    let record = |page: &str, minutes: &str, reason: &str, value: &str| {
        let payload = format!(
            r#"{{"FV" : "1.0","GI" : "BENCH 6","GS" : "070005","GV" : "v1","PG" : "{page}","MV" : "BENCH","MM" : "B6","MS" : "70015","IS" : true,"IL" : "VERIFIED","IF" : ["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT" : "EMAID","ID" : "04b7c9e1520a87","CT" : "CBIDC","CI" : "place","RD" : [{{"TM" : "2026-03-01T10:{minutes}:00,000+0200 I","TX" : "{reason}","RV" : "{value}","RI" : "01-00:01.08.00.FF","RU" : "kWh","RT" : "AC","EF" : "","ST" : "G"}}]}}"#
        );
        let text = signed(&meter, &payload);
        let smaller = Record::parse(&text)
            .expect("a record")
            .signature()
            .data
            .clone();
        let [r, s] = numbers_of(&hex::decode(&smaller).expect("hex"), 32);
        let larger = other_s(&s, bench::SECP256K1_ORDER);
        assert!(larger > s, "the test bench signs with the smaller");
        // With zeros before both, whether their top bits are set or not.
        let [r, larger] = [r, larger].map(|number| [&[0], number.as_slice()].concat());
        let der = hex::encode_upper(sequence_of([&r, &larger]));
        let text = text.replace(&smaller, &der);
        verified_unaltered(&text, &key, [value, "      99.000"])
    };
    let begin = record("T198", "00", "B", "       9.038");
    let reading = &begin.record().payload().readings[0];
    assert_eq!(reading.energy_wh().expect("energy").to_string(), "9038");
    let end = record("T199", "30", "E", "      12.040");
    let charge = charged(&[begin.clone(), end]);
    assert_eq!(charge, ("3002".to_owned(), TimeQuality::Informative));
    assert_eq!(Charge::of(&[begin], None), Err(Refusal::NoEnd));
}

/// LEM: import and export in turn, what is the same left out in one record and given again in
/// another, an object of its own within the reading.
///
/// # Source
/// VW_OCMF_load.xml.
#[test]
fn import_and_export_in_turn() {
    let payload = r#"{"FV":"1.0","GI":"BENCH 7","GS":"70006","GV":"v1","PG":"T144","MV":"BENCH","MS":"70006","MF":"1_2","IS":true,"IL":"HEARSAY","IF":["RFID_RELATED","OCPP_AUTH_TLS","ISO15118_NONE","PLMN_NONE"],"IT":"ISO14443","ID":"04B7C9E1520A87","CT":"EVSEID","CI":"7","RD":[{"TM":"2026-03-01T10:00:00,000+0200 R","TX":"B","RV":40.716,"RI":"1-0:1.8.0","RU":"kWh","RT":"DC","EF":"","ST":"G","UC":{"UN":"none","UI":2,"UR":0}},{"RV":4.101,"RI":"1-0:2.8.0","RU":"kWh","ST":"G"},{"TM":"2026-03-01T10:02:00,000+0200 R","TX":"E","RV":41.823,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"},{"RV":4.101,"RI":"1-0:2.8.0","RU":"kWh","ST":"G"}]}"#;
    let meter = meter(Curve::Secp256r1);
    let text = signed(&meter, payload);
    let record = verified_unaltered(&text, &hex_key(&meter), ["41.823", "41.824"]);
    let charge = charged(&[record]);
    assert_eq!(charge, ("1107".to_owned(), TimeQuality::Relative));
}

/// Times without a status: the charge can be billed by energy and not by time.
///
/// # Source
/// pyocmf 0.6.0, which reads them and warns (`models/timestamp.py`).
#[test]
fn times_without_a_status() {
    let payload = bench::whole()
        .replace(",000+0100 S", "+01:00")
        .replace("10:30:00+01:00", "10:30:00.5Z");
    let meter = meter(Curve::Secp256r1);
    let text = signed(&meter, &payload);
    let record = verified_unaltered(&text, &hex_key(&meter), ["4101.100", "4101.101"]);
    let reading = &record.record().payload().readings[1];
    assert_eq!(reading.time.status, TimeStatus::Unknown);
    let charge = charged(&[record]);
    assert_eq!(charge, ("29500".to_owned(), TimeQuality::NotUsable));
}
