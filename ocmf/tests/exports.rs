//! Records in and out of what others carry them in: OCPP's strings, the transparency software's XML.

mod bench;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bench::{halves, signed, verified, whole};
use ocmf::{
    Curve, ExportError, KeyError, OcppValueError, PublicKey, SignedRecord, SignedValue, to_xml,
};

/// A record with letters that no encoding may change.
fn text() -> String {
    signed(&whole().replace("Bench", "Zähler & Söhne <1>"))
}

#[test]
fn a_value_of_ocpp_1_6_is_read_in_each_encoding() {
    let text = text();
    for value in [
        text.clone(),
        format!("\n{text}  "),
        hex::encode(&text),
        hex::encode_upper(&text),
        STANDARD.encode(&text),
        STANDARD_NO_PAD.encode(&text),
    ] {
        let signed = SignedValue::from_ocpp16(&value).expect("a record");
        assert_eq!(signed.text, text);
        assert_eq!(signed.claimed_key, None);
    }
}

#[test]
fn a_value_of_ocpp_1_6_may_be_an_object_of_ocpp_2() {
    let text = text();
    let key = bench::meter().public_key().to_der();
    let data = STANDARD.encode(&text);
    let composed = STANDARD.encode(format!("oca:base16:asn1:{}", hex::encode(&key)));
    for name in ["signedMeterData", "signedMeterValue"] {
        let value = format!(
            r#"{{"{name}":"{data}","signingMethod":"","encodingMethod":"OCMF","publicKey":"{composed}"}}"#
        );
        let signed = SignedValue::from_ocpp16(&value).expect("a record");
        assert_eq!(signed.text, text);
        assert_eq!(signed.claimed_key.as_ref(), Some(&key));
    }
    let without_key = format!(r#"{{"signedMeterData":"{data}","encodingMethod":"OCMF"}}"#);
    assert_eq!(
        SignedValue::from_ocpp16(&without_key)
            .expect("a record")
            .claimed_key,
        None
    );
    for value in [r#"{"publicKey":""}"#, r#"{"signedMeterData":7}"#, "{"] {
        assert!(matches!(
            SignedValue::from_ocpp16(value),
            Err(OcppValueError::Object { .. })
        ));
    }
}

#[test]
fn a_key_of_ocpp_is_read_in_each_composition() {
    let data = STANDARD.encode(text());
    let key = bench::meter().public_key();
    let digits = hex::encode(key.to_der());
    let grouped = format!("0x{} {}", &digits[..10], digits[10..].to_uppercase());
    for public_key in [
        STANDARD.encode(format!("oca:base16:asn1:{digits}")),
        STANDARD.encode(format!("oca:base16:asn1:{grouped}")),
        STANDARD.encode(format!("oca:base64:asn1:{}", STANDARD.encode(key.to_der()))),
        format!("oca:base16:asn1:{digits}"),
        // The example of the application note.
        STANDARD.encode(digits.to_uppercase()),
        STANDARD.encode(key.to_der()),
        digits,
    ] {
        let signed = SignedValue::from_ocpp2(&data, "OCMF", &public_key).expect("a record");
        let claimed = signed.claimed_key.expect("a key");
        assert_eq!(
            PublicKey::from_bytes(&claimed, Some(Curve::Secp256r1)).as_ref(),
            Ok(&key)
        );
    }
    for (public_key, expected) in [
        ("%%%", KeyError::Encoding),
        ("oca:base16:asn1:123", KeyError::Encoding),
        ("oca:base64:asn1:%", KeyError::Encoding),
        (
            "oca:base16:pgp:30",
            KeyError::Malformed {
                problem: "its content type is not asn1",
            },
        ),
        (
            "oca:base32:asn1:30",
            KeyError::Malformed {
                problem: "its encoding is neither base16 nor base64",
            },
        ),
        (
            "oca:base16",
            KeyError::Malformed {
                problem: "oca: wants encoding, content type and key",
            },
        ),
    ] {
        let refused = SignedValue::from_ocpp2(&data, "OCMF", public_key);
        assert_eq!(refused, Err(OcppValueError::Key(expected)), "{public_key}");
    }
}

#[test]
fn what_is_no_record_is_refused() {
    for value in ["", "OCMF", "12345.6", "zz", "4F434D46", "T0NNRg==", "EDL|x"] {
        assert!(matches!(
            SignedValue::from_ocpp16(value),
            Err(OcppValueError::NoRecord { .. })
        ));
    }
    // A record that is no UTF-8.
    let latin = [text().as_bytes(), &[0xE4]].concat();
    assert!(SignedValue::from_ocpp16(&hex::encode(latin)).is_err());
    let data = STANDARD.encode(text());
    assert_eq!(
        SignedValue::from_ocpp2(&data, "EDL", ""),
        Err(OcppValueError::EncodingMethod {
            method: "EDL".to_owned()
        })
    );
    SignedValue::from_ocpp2(&data, "ocmf", "").expect("a record");
    assert!(matches!(
        SignedValue::from_ocpp16(&"0".repeat(200_000)),
        Err(OcppValueError::TooLong { .. })
    ));
}

#[test]
fn the_files_of_the_transparency_software_have_record_and_key() {
    let key = hex::encode_upper(bench::meter().public_key().to_der());
    let record = verified(&whole());
    let text = record.record().as_str().to_owned();
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<values>\n  <value>\n    \
         <signedData format=\"OCMF\" encoding=\"plain\">{text}</signedData>\n    \
         <publicKey encoding=\"hex\">{key}</publicKey>\n  </value>\n</values>\n"
    );
    assert_eq!(to_xml(&[record], 7).as_deref(), Ok(expected.as_str()));
}

#[test]
fn begin_and_end_are_paired_by_the_transaction() {
    let records = halves().map(|payload| verified(&payload));
    let xml = to_xml(&records, 7).expect("XML");
    assert!(xml.contains(r#"<value transactionId="7" context="Transaction.Begin">"#));
    assert!(xml.contains(r#"<value transactionId="7" context="Transaction.End">"#));
}

#[test]
fn an_unverified_record_is_exported_without_a_key() {
    let record = SignedRecord::carried(bench::record(&whole()));
    assert!(!to_xml(&[record], 7).expect("XML").contains("publicKey"));
}

#[test]
fn signs_of_xml_are_escaped() {
    let payload = whole()
        .replace("Bench", r#"a<b>&\"c"#)
        .replacen(',', ",\r\n", 1);
    let xml = to_xml(&[verified(&payload)], 7).expect("XML");
    assert!(xml.contains(r#"a&lt;b&gt;&amp;\"c"#));
    assert!(xml.contains(",&#13;\n"));
    let noncharacter = whole().replace("Bench", "\u{FFFE}");
    let refused = to_xml(&[verified(&noncharacter)], 7);
    assert_eq!(refused, Err(ExportError::Character { character: 0xFFFE }));
}
