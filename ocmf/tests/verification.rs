//! Who signed what: every curve, hash and encoding; nothing altered passes.

mod bench;

use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{Algorithm, Curve, Hash, KeyError, PublicKey, Record, SignedRecord, VerifyError};

/// Each algorithm with a record that its meter signed.
fn of_each_algorithm() -> impl Iterator<Item = (Algorithm, TestMeter, String)> {
    let algorithms = Curve::ALL
        .into_iter()
        .flat_map(|curve| Hash::ALL.map(|hash| Algorithm { curve, hash }));
    algorithms.map(|algorithm| {
        let meter = TestMeter::new(algorithm.curve, "bench");
        let text = meter.sign(&bench::whole(), algorithm.hash, SignatureEncoding::Hex);
        (algorithm, meter, text)
    })
}

#[track_caller]
fn verify(text: &str, key: &PublicKey) -> Result<(), VerifyError> {
    Record::parse(text).expect("a record").verify(key)
}

#[test]
fn each_algorithm_verifies_in_each_encoding() {
    for (algorithm, meter, text) in of_each_algorithm() {
        assert_eq!(verify(&text, &meter.public_key()), Ok(()), "{algorithm}");
        let text = meter.sign(&bench::whole(), algorithm.hash, SignatureEncoding::Base64);
        assert_eq!(verify(&text, &meter.public_key()), Ok(()), "{algorithm}");
    }
}

#[test]
fn another_meters_key_does_not_verify() {
    for (algorithm, _, text) in of_each_algorithm() {
        let other = TestMeter::new(algorithm.curve, "another").public_key();
        assert_eq!(
            verify(&text, &other),
            Err(VerifyError::DoesNotVerify),
            "{algorithm}"
        );
    }
}

#[test]
fn no_altered_byte_of_the_payload_verifies() {
    let key = bench::meter().public_key();
    let text = bench::signed(&bench::whole());
    let payload = text.rfind('|').expect("a bar");
    for index in "OCMF|".len()..payload {
        for flip in [0x01, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= flip;
            let Ok(altered) = String::from_utf8(bytes) else {
                continue;
            };
            // What is no record any more verifies even less.
            if let Ok(record) = Record::parse(&altered) {
                assert_eq!(
                    record.verify(&key),
                    Err(VerifyError::DoesNotVerify),
                    "byte {index}"
                );
            }
        }
    }
    let spaced = text.replacen(":", ": ", 1);
    assert_eq!(verify(&spaced, &key), Err(VerifyError::DoesNotVerify));
    let longer = text.replacen("}|{", "} |{", 1);
    assert_eq!(verify(&longer, &key), Err(VerifyError::DoesNotVerify));
}

#[test]
fn no_altered_signature_verifies() {
    for (algorithm, meter, text) in of_each_algorithm() {
        // The hash does not matter to what a signature's digits mean.
        if algorithm.hash != Hash::Sha256 {
            continue;
        }
        let key = meter.public_key();
        let at = text.find(r#""SD":""#).expect("a signature") + r#""SD":""#.len();
        let digits = text.len() - at - r#""}"#.len();
        for index in (0..digits).step_by(5) {
            let mut bytes = text.clone().into_bytes();
            bytes[at + index] = if bytes[at + index] == b'7' {
                b'8'
            } else {
                b'7'
            };
            let altered = String::from_utf8(bytes).expect("hex");
            assert!(
                verify(&altered, &key).is_err(),
                "{algorithm}, digit {index}"
            );
        }
    }
}

#[test]
fn a_record_says_itself_which_algorithm_it_is_signed_with() {
    let key = bench::meter().public_key();
    let text = bench::signed(&bench::whole());
    // secp256r1 with SHA-256 is the default.
    let silent = text.replace(r#""SA":"ECDSA-secp256r1-SHA256","#, "");
    assert_ne!(silent, text);
    assert_eq!(verify(&silent, &key), Ok(()));

    let another_hash = text.replace("SHA256", "SHA512");
    assert_eq!(verify(&another_hash, &key), Err(VerifyError::DoesNotVerify));
    let another_curve = text.replace("secp256r1", "secp256k1");
    let expected = VerifyError::OtherCurve {
        key: Curve::Secp256r1,
        signature: Curve::Secp256k1,
    };
    assert_eq!(verify(&another_curve, &key), Err(expected));
}

#[test]
fn what_is_not_supported_is_told_from_what_does_not_verify() {
    let key = bench::meter().public_key();
    let text = bench::signed(&bench::whole());
    let with = |from: &str, to: &str| {
        let other = text.replace(from, to);
        assert_ne!(other, text);
        verify(&other, &key).expect_err(to)
    };
    assert!(matches!(
        with("ECDSA-secp256r1-SHA256", "RSA-2048-SHA256"),
        VerifyError::AlgorithmNotSupported { .. }
    ));
    assert!(matches!(
        with(r#""SD""#, r#""SE":"base32","SD""#),
        VerifyError::EncodingNotSupported { .. }
    ));
    assert!(matches!(
        with(r#""SD""#, r#""SM":"application/pgp","SD""#),
        VerifyError::MimeTypeNotSupported { .. }
    ));
    assert!(matches!(
        with(r#""SD":"30"#, r#""SD":"zz"#),
        VerifyError::Malformed { .. }
    ));
    assert!(matches!(
        with(r#""SD""#, r#""SE":"base64","SD""#),
        VerifyError::Malformed { .. }
    ));
    let data = Record::parse(&text)
        .expect("a record")
        .signature()
        .data
        .clone();
    // A byte behind the sequence.
    assert!(matches!(
        with(&data, &format!("{data}00")),
        VerifyError::Malformed { .. }
    ));
}

#[test]
fn numbers_out_of_the_curves_range_do_not_verify() {
    let key = bench::meter().public_key();
    let payload = bench::whole();
    let with = |der: &str| verify(&format!(r#"OCMF|{payload}|{{"SD":"{der}"}}"#), &key);
    // r = s = 0, which a careless verifier accepts for every payload.
    assert_eq!(with("3006020100020100"), Err(VerifyError::DoesNotVerify));
    assert_eq!(with("300402000200"), Err(VerifyError::DoesNotVerify));
    // r = 1, s = the order of secp256r1.
    let order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    assert_eq!(
        with(&format!("3026020101022100{order}")),
        Err(VerifyError::DoesNotVerify)
    );
    // Wider than the curve.
    let wide = "01".repeat(40);
    assert_eq!(
        with(&format!("302D0228{wide}020101")),
        Err(VerifyError::DoesNotVerify)
    );
    assert!(matches!(
        with("3003020101"),
        Err(VerifyError::Malformed { .. })
    ));
    assert!(matches!(with(""), Err(VerifyError::Malformed { .. })));
}

#[test]
fn both_forms_of_a_signature_verify_and_are_one_record() {
    let meter = TestMeter::new(Curve::Secp256k1, "bench");
    let text = meter.sign(&bench::whole(), Hash::Sha256, SignatureEncoding::Hex);
    let record = Record::parse(&text).expect("a record");
    let der = hex::decode(&record.signature().data).expect("hex");
    let [r, s] = bench::numbers_of(&der, 32);
    let other = bench::other_s(&s, bench::SECP256K1_ORDER);
    let other = hex::encode_upper(bench::sequence_of([&r, &other]));
    let twin = Record::parse(&text.replace(&record.signature().data, &other)).expect("a record");

    assert_eq!(record.verify(&meter.public_key()), Ok(()));
    assert_eq!(twin.verify(&meter.public_key()), Ok(()));
    assert_ne!(twin.as_str(), record.as_str());
    assert_eq!(twin.payload_hash(), record.payload_hash());
}

#[test]
fn a_key_is_read_in_each_form() {
    for curve in Curve::ALL {
        let key = TestMeter::new(curve, "bench").public_key();
        let der = hex::encode(key.to_der());
        assert_eq!(PublicKey::parse(&der, None).as_ref(), Ok(&key), "{curve}");
        assert_eq!(
            PublicKey::parse(&der.to_uppercase(), Some(curve)).as_ref(),
            Ok(&key)
        );
        let grouped: Vec<&str> = der
            .as_bytes()
            .chunks(4)
            .map(|four| std::str::from_utf8(four).expect("hex"))
            .collect();
        assert_eq!(
            PublicKey::parse(&grouped.join(" \n"), None).as_ref(),
            Ok(&key)
        );
        let point = hex::encode(key.point());
        assert_eq!(PublicKey::parse(&point, Some(curve)).as_ref(), Ok(&key));
        assert_eq!(
            PublicKey::parse(&point[2..], Some(curve)).as_ref(),
            Ok(&key)
        );
        assert_eq!(PublicKey::parse(&point, None), Err(KeyError::CurveUnknown));

        let odd = key.point().last().expect("a point") % 2;
        let compressed = format!("0{}{}", 2 + odd, &point[2..=point.len() / 2]);
        let compressed = PublicKey::parse(&compressed, Some(curve)).expect("a point");
        let text = TestMeter::new(curve, "bench").sign(
            &bench::whole(),
            Hash::Sha256,
            SignatureEncoding::Hex,
        );
        assert_eq!(verify(&text, &compressed), Ok(()), "{curve}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let key = bench::meter().public_key();
    let der = hex::encode(key.to_der());
    let refused = |text: &str, curve| PublicKey::parse(text, curve).expect_err(text);
    assert_eq!(refused("not a key!", None), KeyError::Encoding);
    assert!(matches!(
        refused(&"00".repeat(2_000), None),
        KeyError::TooLong { .. }
    ));
    assert!(matches!(
        refused(&der[..der.len() - 2], None),
        KeyError::Malformed { .. }
    ));
    assert!(matches!(
        refused(&format!("{der}00"), None),
        KeyError::Malformed { .. }
    ));
    assert!(matches!(refused("3000", None), KeyError::Malformed { .. }));
    assert!(matches!(
        refused("04", Some(Curve::Secp256r1)),
        KeyError::Malformed { .. }
    ));
    let other = KeyError::OtherCurve {
        found: Curve::Secp256r1,
        expected: Curve::Secp384r1,
    };
    assert_eq!(refused(&der, Some(Curve::Secp384r1)), other);
    // One bit off the curve.
    let off = format!(
        "{}{}",
        &der[..der.len() - 1],
        if der.ends_with('0') { "1" } else { "0" }
    );
    let not_on_curve = KeyError::NotOnCurve {
        curve: Curve::Secp256r1,
    };
    assert_eq!(refused(&off, None), not_on_curve);
    // secp224r1 instead of secp256r1: its identifier is as long less three bytes.
    let secp224r1 = format!(
        "304e301006072a8648ce3d020106052b81040021033a0004{}",
        "11".repeat(56)
    );
    assert!(matches!(
        refused(&secp224r1, None),
        KeyError::CurveNotSupported { .. }
    ));
    // An RSA key.
    let rsa = "301a300d06092a864886f70d0101010500030900300602010302010f";
    assert!(matches!(refused(rsa, None), KeyError::Malformed { .. }));
}

#[test]
fn a_record_is_verified_or_carried_but_never_false() {
    let record = bench::record(&bench::whole());
    let key = bench::meter().public_key();
    let verified = SignedRecord::verified(record.clone(), key.clone()).expect("signed");
    assert_eq!(verified.key(), Some(&key));
    assert_eq!(SignedRecord::carried(record.clone()).key(), None);
    let other = TestMeter::new(Curve::Secp256r1, "another").public_key();
    assert_eq!(
        SignedRecord::verified(record, other),
        Err(VerifyError::DoesNotVerify)
    );
}
