//! Signed meter data against other people's implementations of OCMF: pyocmf and @road-labs/ocmf. What
//! they sign verifies here, what our test bench signs verifies there, and nothing altered does
//! anywhere.

use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{
    Algorithm, Charge, Curve, Hash, PublicKey, Record, Refusal, SignedRecord, VerifyError, to_xml,
};
use serde_json::{Value, json};
use tests::{Peer, Place};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crashpoint");

fn pyocmf(place: &Place) -> Peer {
    Peer::start(place, "ocmf_python.py", &[])
}

fn road_labs(place: &Place) -> Peer {
    Peer::start_node(place, "ocmf_node.cjs")
}

/// What a peer answers to one line.
#[track_caller]
fn ask(peer: &mut Peer, line: &Value) -> Value {
    peer.tell(&line.to_string());
    peer.next(|_| true)
}

/// A record and its key from a peer.
#[track_caller]
fn signed_by(peer: &mut Peer, algorithm: &str, payload: &Value) -> (String, String) {
    let answer = ask(
        peer,
        &json!({"sign": {"algorithm": algorithm, "payload": payload}}),
    );
    let text = |field: &str| answer["signed"][field].as_str().map(str::to_owned);
    match (text("text"), text("key")) {
        (Some(record), Some(key)) => (record, key),
        _ => panic!("{algorithm}: {answer}"),
    }
}

#[track_caller]
fn verifies_at(peer: &mut Peer, text: &str, key: &PublicKey) -> bool {
    let key = hex::encode(key.to_der());
    let answer = ask(peer, &json!({"verify": {"text": text, "key": key}}));
    answer["verified"].as_bool().expect("an answer")
}

#[track_caller]
fn verified(text: &str, key: &str) -> SignedRecord {
    let key = PublicKey::parse(key, None).expect("a key");
    let record = Record::parse(text).expect("a record");
    SignedRecord::verified(record, key).expect("it is signed with this key")
}

/// `kwh` as the meter writes it.
fn reading(minute: u32, reason: &str, kwh: f64) -> Value {
    json!({
        "TM": format!("2026-03-01T10:{minute:02}:00,000+0100 S"), "TX": reason, "RV": kwh,
        "RI": "01-00:B1.08.00*FF", "RU": "kWh", "RT": "DC", "EF": "", "ST": "G",
    })
}

fn payload(page: &str, readings: &[Value]) -> Value {
    json!({
        "FV": "1.4", "GI": "BENCH 1", "GS": "G-7", "GV": "1.0", "PG": page, "MV": "Bänch & Söhne",
        "MM": "B1", "MS": "M-42", "MF": "1.0", "IS": true, "IL": "VERIFIED", "IF": ["RFID_PLAIN"],
        "IT": "ISO14443", "ID": "04B7C9E1520A87", "CT": "EVSEID", "CI": "DE*ABC*E1", "RD": readings,
    })
}

fn whole() -> Value {
    payload(
        "T8",
        &[reading(0, "B", 4071.625), reading(30, "E", 4101.125)],
    )
}

/// Signed by the test bench.
fn signed(
    algorithm: Algorithm,
    payload: &Value,
    encoding: SignatureEncoding,
) -> (String, PublicKey) {
    let meter = TestMeter::new(algorithm.curve, "bench");
    let text = meter.sign(&payload.to_string(), algorithm.hash, encoding);
    (text, meter.public_key())
}

/// The algorithms of the format: table 22.
fn of_the_format() -> impl Iterator<Item = Algorithm> {
    let named = Curve::ALL
        .into_iter()
        .filter(|curve| *curve != Curve::Secp521r1);
    named.map(|curve| Algorithm {
        curve,
        hash: Hash::Sha256,
    })
}

/// How pyocmf names an algorithm, if it verifies it: it knows one brainpool curve by another name and
/// finds no key for the other.
fn in_pyocmf(algorithm: Algorithm) -> Option<String> {
    match algorithm.curve {
        Curve::Brainpool384r1 => None,
        _ if algorithm.hash == Hash::Sha384 => None,
        _ => Some(
            algorithm
                .to_string()
                .replace("brainpool256", "brainpoolP256"),
        ),
    }
}

/// `text` with one letter of the payload changed, of which it stays a record.
fn altered(text: &str) -> String {
    let other = text.replace("4101.125", "4101.124");
    assert_ne!(other, text);
    other
}

/// A charge of 29.5 kWh was verified, and not with the amount changed.
#[track_caller]
fn assert_is_the_charge(text: &str, key: &str) {
    let record = verified(text, key);
    let charge = Charge::of(&[record], None).expect("a charge");
    assert_eq!(charge.energy_wh.to_string(), "29500");
    let altered = Record::parse(&altered(text)).expect("a record");
    let key = PublicKey::parse(key, None).expect("a key");
    assert_eq!(altered.verify(&key), Err(VerifyError::DoesNotVerify));
}

#[test]
fn what_pyocmf_signs_verifies_here() {
    let place = Place::new(PROGRAM);
    let mut python = pyocmf(&place);
    let every = Curve::ALL
        .into_iter()
        .flat_map(|curve| Hash::ALL.map(|hash| Algorithm { curve, hash }));
    for algorithm in every {
        // It signs with what it knows under its own names, and with brainpool384r1 as well.
        let name = algorithm
            .to_string()
            .replace("brainpool256", "brainpoolP256");
        let (text, key) = signed_by(&mut python, &name, &whole());
        assert_is_the_charge(&text, &key);
    }
}

#[test]
fn what_road_labs_signs_verifies_here() {
    let place = Place::new(PROGRAM);
    let mut node = road_labs(&place);
    for algorithm in of_the_format() {
        let (text, key) = signed_by(&mut node, &algorithm.to_string(), &whole());
        assert_is_the_charge(&text, &key);
    }
}

#[test]
fn what_the_test_bench_signs_verifies_at_pyocmf() {
    let place = Place::new(PROGRAM);
    let mut python = pyocmf(&place);
    let every = Curve::ALL
        .into_iter()
        .flat_map(|curve| Hash::ALL.map(|hash| Algorithm { curve, hash }));
    let mut tried = 0;
    for algorithm in every {
        let Some(name) = in_pyocmf(algorithm) else {
            continue;
        };
        for encoding in [SignatureEncoding::Hex, SignatureEncoding::Base64] {
            let (text, key) = signed(algorithm, &whole(), encoding);
            // The name is not signed.
            let text = text.replace(&algorithm.to_string(), &name);
            assert!(verifies_at(&mut python, &text, &key), "{algorithm}");
            assert!(
                !verifies_at(&mut python, &altered(&text), &key),
                "{algorithm}"
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 28, "seven curves, two hashes, two encodings");
}

#[test]
fn what_the_test_bench_signs_verifies_at_road_labs() {
    let place = Place::new(PROGRAM);
    let mut node = road_labs(&place);
    for algorithm in of_the_format() {
        // It reads signatures in hex only.
        let (text, key) = signed(algorithm, &whole(), SignatureEncoding::Hex);
        assert!(verifies_at(&mut node, &text, &key), "{algorithm}");
        assert!(
            !verifies_at(&mut node, &altered(&text), &key),
            "{algorithm}"
        );
    }
}

/// Payloads as some meters write them, each with what is its own.
fn peculiar_payloads() -> [(&'static str, String); 5] {
    let whole = whole().to_string();
    let changed = |changes: &[(&str, &str)]| {
        changes.iter().fold(whole.clone(), |payload, (from, to)| {
            let changed = payload.replace(from, to);
            assert_ne!(changed, payload, "{from}");
            changed
        })
    };
    [
        (
            "numbers as padded texts",
            changed(&[
                ("4071.625", r#""    4071.625""#),
                ("4101.125", r#""    4101.125""#),
            ]),
        ),
        ("blanks around colons", changed(&[(r#"":"#, r#"" : "#)])),
        ("times without status", changed(&[(r#"+0100 S"#, "+0100")])),
        ("no errors told", changed(&[(r#""EF":"","#, "")])),
        (
            "a counter and an object of its own",
            changed(&[(r#""EF":"""#, r#""EF":"","EI":12,"UC":{"UI":2}"#)]),
        ),
    ]
}

#[test]
fn what_meters_write_in_their_own_way_verifies_everywhere() {
    let place = Place::new(PROGRAM);
    let (mut python, mut node) = (pyocmf(&place), road_labs(&place));
    let meter = TestMeter::new(Curve::Secp256r1, "bench");
    let key = meter.public_key();
    for (what, payload) in peculiar_payloads() {
        let named = meter.sign(&payload, Hash::Sha256, SignatureEncoding::Hex);
        let unnamed = named.replace(r#""SA":"ECDSA-secp256r1-SHA256","#, "");
        assert_ne!(unnamed, named);
        for text in [named, unnamed] {
            assert_is_the_charge(&text, &hex::encode(key.to_der()));
            for (peer, name) in [(&mut python, "pyocmf"), (&mut node, "road-labs")] {
                assert!(verifies_at(peer, &text, &key), "{what}, {name}: {text}");
                assert!(!verifies_at(peer, &altered(&text), &key), "{what}, {name}");
            }
        }
    }
}

#[test]
fn another_meters_record_is_refused_everywhere() {
    let place = Place::new(PROGRAM);
    let (mut python, mut node) = (pyocmf(&place), road_labs(&place));
    let (text, _) = signed(Algorithm::DEFAULT, &whole(), SignatureEncoding::Hex);
    let other = TestMeter::new(Curve::Secp256r1, "another").public_key();
    let record = Record::parse(&text).expect("a record");
    assert_eq!(record.verify(&other), Err(VerifyError::DoesNotVerify));
    assert!(!verifies_at(&mut python, &text, &other));
    assert!(!verifies_at(&mut node, &text, &other));
}

/// Every byte of the payload of what each peer signed.
#[test]
fn no_altered_byte_of_a_peers_record_verifies_here() {
    let place = Place::new(PROGRAM);
    let (mut python, mut node) = (pyocmf(&place), road_labs(&place));
    let name = Algorithm::DEFAULT.to_string();
    for peer in [&mut python, &mut node] {
        let (text, key) = signed_by(peer, &name, &whole());
        let key = PublicKey::parse(&key, None).expect("a key");
        let signed = Record::parse(&text).expect("a record").signed_bytes().len();
        let mut altered = 0;
        for index in "OCMF|".len().."OCMF|".len() + signed {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 1;
            let Ok(other) = String::from_utf8(bytes) else {
                continue;
            };
            if let Ok(record) = Record::parse(&other) {
                assert_eq!(
                    record.verify(&key),
                    Err(VerifyError::DoesNotVerify),
                    "byte {index}"
                );
                altered += 1;
            }
        }
        assert!(altered > 100, "many are records still: {altered}");
    }
}

#[test]
fn pyocmf_verifies_the_exported_file() {
    let place = Place::new(PROGRAM);
    let mut python = pyocmf(&place);
    let algorithm = Algorithm::DEFAULT;
    let begin = payload("T8", &[reading(0, "B", 4071.625)]);
    let end = payload("T9", &[reading(30, "E", 4101.125)]);
    let records = [begin, end].map(|payload| {
        let (text, key) = signed(algorithm, &payload, SignatureEncoding::Hex);
        verified(&text, &hex::encode(key.to_der()))
    });
    let path = place.path("charge.xml");
    std::fs::write(&path, to_xml(&records, 7).expect("XML")).expect("the place is writable");
    let answer = ask(&mut python, &json!({"verify_file": path}));
    assert_eq!(answer, json!({"verified": [true, true], "issues": []}));
}

/// What both of us refuse to bill, and what both of us bill.
#[test]
fn pyocmf_judges_charges_alike() {
    let place = Place::new(PROGRAM);
    let mut python = pyocmf(&place);
    let mut judge = |payloads: &[Value]| {
        let texts: Vec<String> = payloads
            .iter()
            .map(|payload| signed(Algorithm::DEFAULT, payload, SignatureEncoding::Hex).0)
            .collect();
        let answer = ask(&mut python, &json!({"charge": texts}));
        let theirs = answer["issues"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .is_empty();
        let read = |text: &String| SignedRecord::carried(Record::parse(text).expect("a record"));
        let records: Vec<SignedRecord> = texts.iter().map(read).collect();
        (theirs, Charge::of(&records, None))
    };
    let changed = |pointer: &str, value: Value| {
        let mut payload = whole();
        *payload.pointer_mut(pointer).expect("it is there") = value;
        payload
    };

    let (theirs, ours) = judge(&[whole()]);
    assert!(theirs && ours.is_ok());
    for (pointer, value) in [
        ("/RD/1/ST", json!("M")),
        ("/RD/0/EF", json!("E")),
        ("/RD/1/RV", json!(4071.0)),
        ("/RD/1/TM", json!("2026-03-01T09:00:00,000+0100 S")),
        ("/IL", json!("MISMATCH")),
        ("/RD/1/RU", json!("Wh")),
    ] {
        let (theirs, ours) = judge(&[changed(pointer, value.clone())]);
        assert!(
            !theirs && ours.is_err(),
            "{pointer} {value}: {theirs} {ours:?}"
        );
    }

    let of_rate = |register: &str, mut reading: Value| {
        reading["RI"] = json!(register);
        reading
    };
    let rates = [
        of_rate("1-0:1.8.1", reading(0, "B", 10.0)),
        of_rate("1-0:1.8.2", reading(0, "B", 20.0)),
        of_rate("1-0:1.8.1", reading(30, "E", 11.0)),
        of_rate("1-0:1.8.2", reading(30, "E", 22.0)),
    ];
    let (theirs, ours) = judge(&[payload("T8", &rates)]);
    assert!(!theirs);
    assert!(matches!(ours, Err(Refusal::SeveralRegisters { .. })));

    let begin = payload("T8", &[reading(0, "B", 4071.625)]);
    let end = payload("T9", &[reading(30, "E", 4101.125)]);
    let (theirs, ours) = judge(&[begin.clone(), end.clone()]);
    assert!(theirs && ours.is_ok());
    let mut other_meter = end;
    other_meter["GS"] = json!("G-8");
    let (theirs, ours) = judge(&[begin, other_meter]);
    assert!(!theirs);
    assert!(matches!(ours, Err(Refusal::Differs { field: "GS", .. })));
}
