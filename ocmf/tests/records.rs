//! What is read as a record, and what is refused with the field's name.

use ocmf::{
    Decimal, MAX_TEXT_BYTES, MeterStatus, PaginationContext, ParseError, Reason, Record,
    TimeStatus, Unit,
};

const SIGNATURE: &str = r#"{"SD":"00"}"#;

fn text(payload: &str) -> String {
    format!("OCMF|{payload}|{SIGNATURE}")
}

#[track_caller]
fn record(payload: &str) -> Record {
    Record::parse(&text(payload)).expect("a record")
}

#[track_caller]
fn refused(payload: &str) -> ParseError {
    Record::parse(&text(payload)).expect_err(payload)
}

/// The key of the field that is refused in a payload with `reading` for its second reading.
#[track_caller]
fn refused_field(payload: &str) -> String {
    match refused(payload) {
        ParseError::Field { field, .. }
        | ParseError::Missing { field, .. }
        | ParseError::TooMany { field, .. }
        | ParseError::Twice { field } => field,
        other => panic!("{payload}: {other}"),
    }
}

const TIME: &str = r#""TM":"2026-03-01T10:00:00,000+0100 S""#;

fn with_reading(fields: &str) -> String {
    format!(r#"{{"RD":[{{{TIME}}},{{{fields}}}]}}"#)
}

fn with_field(field: &str) -> String {
    format!(r#"{{{field},"RD":[{{{TIME}}}]}}"#)
}

/// Every field of the format, and one of a maker in each place that is kept free for it.
///
/// # Source
/// OCMF 1.3.1, tables 1 to 7 and 24: the fields.
const EVERY_FIELD: &str = r#"{
    "FV": "1.4", "GI": "BENCH 1", "GS": "G-7", "GV": "3.1.4", "PG": "T40711",
    "MV": "Bench", "MM": "B1", "MS": "M-42", "MF": "1.0",
    "IS": true, "IL": "VERIFIED", "IF": ["RFID_PLAIN", "OCPP_AUTH"], "IT": "ISO14443",
    "ID": "04B7C9E1520A87", "TT": "Night", "CF": "7.1", "CT": "EVSEID", "CI": "DE*ABC*E1",
    "LC": {"LN": "cable 5 m", "LI": 7, "LR": 2.5, "LU": "mOhm"}, "Z9": {"own": [1.50]},
    "RD": [
        {"TM": "2026-03-01T10:00:00,250+0100 S", "TX": "B", "RV": 4071.6, "RI": "1-0:1.8.0",
         "RU": "kWh", "RT": "DC", "EF": "", "ST": "G", "UC": {"UI": 2}},
        {"TM": "2026-03-01T10:30:00,250+0100 R", "TX": "E", "RV": 4101.10, "CL": 0.5, "EF": "t",
         "ST": "E"}
    ]
}"#;

#[test]
fn every_field_is_read() {
    let record = record(EVERY_FIELD);
    let payload = record.payload();
    let text = |field: &Option<String>| field.clone().expect("a text");
    assert_eq!(payload.format_version, Some((1, 4)));
    assert_eq!(text(&payload.gateway_identification), "BENCH 1");
    assert_eq!(text(&payload.gateway_serial), "G-7");
    assert_eq!(text(&payload.gateway_version), "3.1.4");
    let page = payload.pagination.expect("a page");
    assert_eq!(
        (page.context, page.number),
        (PaginationContext::Transaction, 40_711)
    );
    assert_eq!(text(&payload.meter_vendor), "Bench");
    assert_eq!(text(&payload.meter_model), "B1");
    assert_eq!(text(&payload.meter_serial), "M-42");
    assert_eq!(text(&payload.meter_firmware), "1.0");
    assert_eq!(payload.user.assigned, Some(true));
    assert_eq!(text(&payload.user.level), "VERIFIED");
    assert_eq!(payload.user.flags, ["RFID_PLAIN", "OCPP_AUTH"]);
    assert_eq!(text(&payload.user.identification_type), "ISO14443");
    assert_eq!(text(&payload.user.identification), "04B7C9E1520A87");
    assert_eq!(text(&payload.tariff_text), "Night");
    assert_eq!(text(&payload.charge_controller_firmware), "7.1");
    assert_eq!(text(&payload.charge_point_type), "EVSEID");
    assert_eq!(text(&payload.charge_point), "DE*ABC*E1");
    let cable = payload.loss_compensation.as_ref().expect("a cable");
    assert_eq!(text(&cable.naming), "cable 5 m");
    assert_eq!(text(&cable.identification), "7");
    assert_eq!(cable.resistance, Decimal::new(25, 1));
    assert_eq!(cable.unit, Some(Unit::Milliohm));
}

#[test]
fn every_field_of_a_reading_is_read() {
    let record = record(EVERY_FIELD);
    let [begin, end] = record.payload().readings.as_slice() else {
        panic!("two readings");
    };
    assert_eq!(begin.time.at.0, 1_772_355_600_250);
    assert_eq!(begin.time.status, TimeStatus::Synchronized);
    assert_eq!(begin.reason, Some(Reason::Begin));
    assert_eq!(begin.energy_wh().expect("energy").to_string(), "4071600");
    assert_eq!(end.time.status, TimeStatus::Relative);
    assert_eq!(end.reason, Some(Reason::End));
    assert_eq!(end.value.expect("a value").to_string(), "4101.10");
    assert_eq!(end.cumulated_loss_wh().expect("a loss").to_string(), "500");
    assert_eq!(end.error_flags.as_str(), "t");
    assert_eq!(end.status, Some(MeterStatus::OtherError));
}

#[test]
fn unknown_fields_are_kept_as_they_are_written() {
    let record = record(EVERY_FIELD);
    let own = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    assert_eq!(record.payload().other, own("Z9", r#"{"own": [1.50]}"#));
    assert_eq!(
        record.payload().readings[0].other,
        own("UC", r#"{"UI": 2}"#)
    );
}

#[test]
fn what_a_reading_leaves_out_is_as_in_the_one_before() {
    let record = record(
        r#"{"RD":[{"TM":"2026-03-01T10:00:00,000+0100 S","TX":"B","RV":1,"RI":"1-0:1.8.0","RU":"Wh","RT":"AC","EF":"E","ST":"F","CL":0},{}]}"#,
    );
    let [first, second] = record.payload().readings.as_slice() else {
        panic!("two readings");
    };
    assert_eq!(second.time, first.time);
    assert_eq!(second.reason, first.reason);
    assert_eq!(second.register, first.register);
    assert_eq!(second.unit, first.unit);
    assert_eq!(second.current_type, first.current_type);
    // An error that was not taken back is still there.
    assert!(second.error_flags.spoil_energy());
    assert_eq!(second.status, Some(MeterStatus::ReadError));
    assert_eq!((second.value, second.cumulated_loss), (None, None));
}

#[test]
fn the_signed_bytes_are_all_between_the_bars() {
    for payload in [
        r#"{"RD":[{"TM":"2026-03-01T10:00:00,000+0100 S"}]}"#,
        " \n{\"RD\" : [ {\"TM\":\"2026-03-01T10:00:00,000+0100 S\"} ]}\t ",
        r#"{"TT":"day|night","ID":"a\"|\\","RD":[{"TM":"2026-03-01T10:00:00,000+0100 S"}]}"#,
        r#"{"TT":"Tarif für Gäste €","RD":[{"TM":"2026-03-01T10:00:00,000+0100 S"}]}"#,
    ] {
        let text = text(payload);
        let record = Record::parse(&format!("\n {text}\r\n")).expect("a record");
        assert_eq!(record.signed_bytes(), payload.as_bytes());
        assert_eq!(record.as_str(), text);
    }
}

#[test]
fn an_appended_key_is_no_part_of_the_record() {
    let text = text(&with_field(r#""PG":"T1""#));
    let record = Record::parse(&format!("{text}| 3059AB")).expect("a record");
    assert_eq!(record.appended_key(), Some("3059AB"));
    assert_eq!(record.sections(), text);
    assert_eq!(Record::parse(&text).expect("a record").appended_key(), None);
}

#[test]
fn what_has_not_the_three_sections_is_refused() {
    let payload = with_field(r#""PG":"T1""#);
    for text in [
        "",
        "OCMF",
        "ocmf|{}|{}",
        "OCMF|",
        "OCMF||",
        "OCMF|{}",
        "OCMF|{}|",
        "OCMF|[]|{}",
        "OCMF|{}{}|{}",
        "OCMF|{|}|{}",
        "{}|{}",
    ] {
        Record::parse(text).expect_err(text);
    }
    for tail in [
        "",
        "|",
        "|null",
        "|{\"SD\":\"00\"",
        "|{\"SD\":\"00\"}x",
        "|{}",
    ] {
        Record::parse(&format!("OCMF|{payload}{tail}")).expect_err(tail);
    }
}

#[test]
fn too_much_is_refused() {
    let long = with_field(&format!(r#""TT":"{}""#, "x".repeat(MAX_TEXT_BYTES)));
    assert!(matches!(refused(&long), ParseError::TooLong { .. }));

    let nested = |levels: usize| {
        with_field(&format!(
            r#""Z":{}1{}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        ))
    };
    record(&nested(15));
    assert!(matches!(refused(&nested(16)), ParseError::TooDeep { .. }));
    assert!(matches!(
        refused(&nested(30_000)),
        ParseError::TooDeep { .. }
    ));

    let readings = |count: usize| {
        let rest = ",{}".repeat(count - 1);
        format!(r#"{{"RD":[{{{TIME}}}{rest}]}}"#)
    };
    assert_eq!(record(&readings(1_000)).payload().readings.len(), 1_000);
    assert_eq!(refused_field(&readings(1_001)), "RD");

    let long_register = with_reading(&format!(r#""RI":"{}""#, "1".repeat(65)));
    assert_eq!(refused_field(&long_register), "RD[1].RI");
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    assert_eq!(refused_field(&with_field(r#""PG":"T1","PG":"T2""#)), "PG");
    assert_eq!(refused_field(&with_reading(r#""RV":1,"RV":2"#)), "RD[1].RV");
    // The same key in another spelling.
    assert_eq!(
        refused_field(&with_reading(r#""RV":1,"\u0052V":2"#)),
        "RD[1].RV"
    );
}

#[test]
fn an_error_names_the_field() {
    for (reading, field) in [
        (r#""TM":"yesterday""#, "RD[1].TM"),
        (r#""TM":"2026-03-01T10:00:00,000+0100 Q""#, "RD[1].TM"),
        (r#""TX":"Q""#, "RD[1].TX"),
        (r#""TX":true"#, "RD[1].TX"),
        (r#""ST":"ok""#, "RD[1].ST"),
        (r#""RV":"1,5""#, "RD[1].RV"),
        (r#""RV":12345678901234567"#, "RD[1].RV"),
        (r#""RV":{}"#, "RD[1].RV"),
        (r#""CL":"none""#, "RD[1].CL"),
        (r#""RI":["1-0:1.8.0"]"#, "RD[1].RI"),
        (r#""EF":false"#, "RD[1].EF"),
    ] {
        assert_eq!(refused_field(&with_reading(reading)), field);
    }
    for (other, field) in [
        (r#""PG":"X1""#, "PG"),
        (r#""PG":"T""#, "PG"),
        (r#""PG":"T+1""#, "PG"),
        (r#""PG":"T18446744073709551616""#, "PG"),
        (r#""IS":"yes""#, "IS"),
        (r#""IF":"RFID_PLAIN""#, "IF"),
        (r#""IF":["RFID_PLAIN",true]"#, "IF[1]"),
        (r#""LC":[]"#, "LC"),
        (r#""LC":{"LR":"thick"}"#, "LC.LR"),
        (r#""MS":{}"#, "MS"),
        (r#""FV":"2.0""#, "FV"),
    ] {
        assert_eq!(refused_field(&with_field(other)), field);
    }
    for (payload, field) in [
        (r#"{}"#, "RD"),
        (r#"{"RD":[]}"#, "RD"),
        (r#"{"RD":{}}"#, "RD"),
        (r#"{"RD":null}"#, "RD"),
        (r#"{"RD":[1]}"#, "RD[0]"),
        (r#"{"RD":[{}]}"#, "RD[0].TM"),
    ] {
        assert_eq!(refused_field(payload), field);
    }
}

#[test]
fn older_and_newer_versions_are_read_as_far_as_they_are_compatible() {
    let version = |text: &str| {
        record(&with_field(&format!(r#""FV":{text}"#)))
            .payload()
            .format_version
    };
    assert_eq!(version(r#""0.4""#), Some((0, 4)));
    assert_eq!(version(r#""1.0""#), Some((1, 0)));
    assert_eq!(version(r#""1.4.1""#), Some((1, 4)));
    assert_eq!(version(r#""1.9""#), Some((1, 9)));
    // Meters write it as a number, too.
    assert_eq!(version("1.0"), Some((1, 0)));
    for other in ["0.3", "2.0", "1", "", "one", "1.x"] {
        assert_eq!(
            refused_field(&with_field(&format!(r#""FV":"{other}""#))),
            "FV"
        );
    }
}

#[test]
fn numbers_written_as_texts_are_read() {
    let record = record(&with_reading(r#""RV":"       9.038","RU":"kWh""#));
    let energy = record.payload().readings[1].energy_wh().expect("energy");
    assert_eq!(energy.to_string(), "9038");
}

#[test]
fn a_log_line_does_not_tell_who_charged() {
    let record = record(EVERY_FIELD);
    assert!(!format!("{record:?}").contains("04B7C9E1520A87"));
}
