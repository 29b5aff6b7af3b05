//! Which records are one charge, and what it was; one test a refusal.

mod bench;

use bench::{halves, payload, reading, verified, whole};
use ocmf::test_bench::{SignatureEncoding, TestMeter};
use ocmf::{
    Charge, Curve, Hash, MeterStatus, Record, Refusal, Register, SignedRecord, TimeQuality,
};
use protocol::EnergyWh;

#[track_caller]
fn charge(payloads: &[String]) -> Result<Charge, Refusal> {
    let records: Vec<SignedRecord> = payloads.iter().map(|it| verified(it)).collect();
    Charge::of(&records, None)
}

/// The refusal of one record in which `from` was replaced.
#[track_caller]
fn refused(from: &str, to: &str) -> Refusal {
    let payload = whole().replacen(from, to, 1);
    assert_ne!(payload, whole(), "{from}");
    charge(&[payload]).expect_err(to)
}

/// The refusal of two records in whose second `from` was replaced.
#[track_caller]
fn refused_second(from: &str, to: &str) -> Refusal {
    let [first, second] = halves();
    let other = second.replacen(from, to, 1);
    assert_ne!(other, second, "{from}");
    charge(&[first, other]).expect_err(to)
}

#[track_caller]
fn assert_differs(refusal: &Refusal, expected: &str) {
    match refusal {
        Refusal::Differs { field, .. } => assert_eq!(*field, expected),
        other => panic!("{other}"),
    }
}

#[test]
fn one_record_with_both_ends_is_a_charge() {
    let charge = charge(&[whole()]).expect("a charge");
    assert_eq!(charge.begin.exact_wh.to_string(), "4071600");
    assert_eq!(charge.end.register, EnergyWh(4_101_100));
    assert_eq!(charge.energy_wh.to_string(), "29500");
    assert_eq!(charge.resolution_wh.to_string(), "1");
    assert_eq!(charge.end.time.at.since_ms(charge.begin.time.at), 1_800_000);
    assert_eq!(charge.time_quality, TimeQuality::Synchronized);
    assert_eq!(charge.counts, Register::Total);
    assert_eq!(charge.meter_serial.as_deref(), Some("M-42"));
    assert_eq!(
        charge.user.identification.as_deref(),
        Some("04B7C9E1520A87")
    );
    assert_eq!(
        (charge.first_page, charge.last_page, charge.pages_missing),
        (8, 8, 0)
    );
    assert_eq!(charge.key, Some(bench::meter().public_key()));
}

#[test]
fn two_records_are_the_same_charge() {
    let one = charge(&[whole()]).expect("a charge");
    let two = charge(&halves()).expect("a charge");
    assert_eq!(
        two,
        Charge {
            last_page: 9,
            ..one
        }
    );
}

#[test]
fn records_while_charging_may_be_there_or_not() {
    let between = |page, minute| payload(page, &[reading(minute, "C", "4085")]);
    let end = || payload("T12", &[reading(30, "L", "4101.100")]);
    let [begin, _] = halves();
    let all = [begin.clone(), between("T10", 10), between("T11", 20), end()];
    let all = charge(&all).expect("a charge");
    assert_eq!((all.last_page, all.pages_missing), (12, 1));
    let ends = charge(&[begin, end()]).expect("a charge");
    assert_eq!((ends.energy_wh, ends.pages_missing), (all.energy_wh, 3));
}

#[test]
fn every_way_to_end_is_an_end() {
    for reason in ["E", "L", "R", "A", "P"] {
        let payload = payload(
            "T8",
            &[
                reading(0, "B", "1"),
                reading(1, "S", "1"),
                reading(2, "T", "2"),
                reading(3, reason, "3"),
            ],
        );
        assert_eq!(
            charge(&[payload]).expect("a charge").energy_wh.to_string(),
            "2000"
        );
    }
}

#[test]
fn a_record_that_nobody_verified_is_carried() {
    let record = SignedRecord::carried(bench::record(&whole()));
    let charge = Charge::of(&[record], None).expect("a charge");
    assert_eq!(charge.key, None);
    assert_eq!(charge.energy_wh.to_string(), "29500");
}

#[test]
fn registers_round_to_the_nearest_watt_hour_and_stay_exact() {
    let payload = payload(
        "T8",
        &[reading(0, "B", "0.2596"), reading(1, "E", "0.25954")],
    );
    assert!(matches!(
        charge(std::slice::from_ref(&payload)),
        Err(Refusal::Fell { .. })
    ));
    let payload = payload.replace("0.25954", "0.26050");
    let charge = charge(&[payload]).expect("a charge");
    assert_eq!(charge.begin.exact_wh.to_string(), "259.6");
    assert_eq!(
        (charge.begin.register, charge.end.register),
        (EnergyWh(260), EnergyWh(261))
    );
    assert_eq!(charge.energy_wh.to_string(), "0.90");
    // The coarser of the two ends.
    assert_eq!(charge.resolution_wh.to_string(), "0.1");
}

#[test]
fn times_are_as_good_as_the_worse_end() {
    let quality = |begin: &str, end: &str| {
        let payload = whole()
            .replacen("+0100 S", &format!("+0100 {begin}"), 1)
            .replacen(
                "10:30:00,000+0100 S",
                &format!("10:30:00,000+0100 {end}"),
                1,
            );
        charge(&[payload]).expect("a charge").time_quality
    };
    assert_eq!(quality("S", "S"), TimeQuality::Synchronized);
    assert_eq!(quality("I", "R"), TimeQuality::Relative);
    assert_eq!(quality("R", "R"), TimeQuality::Relative);
    assert_eq!(quality("I", "S"), TimeQuality::Informative);
    assert_eq!(quality("R", "I"), TimeQuality::NotUsable);
    assert_eq!(quality("U", "S"), TimeQuality::NotUsable);
    // A power failure is an error where time is billed.
    let failed = whole().replacen(r#""TX":"E""#, r#""TX":"P""#, 1);
    let failed = charge(&[failed]).expect("its energy is usable");
    assert_eq!(failed.time_quality, TimeQuality::NotUsable);
    let flagged = whole().replacen(r#""EF":"""#, r#""EF":"t""#, 1);
    assert_eq!(
        charge(&[flagged])
            .expect("its energy is usable")
            .time_quality,
        TimeQuality::NotUsable
    );
}

#[test]
fn no_record_is_no_charge() {
    assert_eq!(charge(&[]), Err(Refusal::NoRecord));
}

#[test]
fn another_meter_is_refused() {
    for (field, from, to) in [
        ("MS", "M-42", "M-43"),
        ("GS", "G-7", "G-8"),
        ("GI", "BENCH 1", "BENCH 2"),
        ("CI", "DE*ABC*E1", "DE*ABC*E2"),
    ] {
        assert_differs(&refused_second(from, to), field);
    }
    // One that does not tell may be any.
    assert_differs(&refused_second(r#""MS":"M-42","#, ""), "MS");
}

#[test]
fn records_without_a_serial_number_are_refused() {
    let nameless = whole().replace(r#""MS":"M-42","#, "").replace("G-7", " ");
    assert_eq!(charge(&[nameless]), Err(Refusal::NoSerial));
    // One of the two is enough.
    charge(&[whole().replace(r#""MS":"M-42","#, "")]).expect("a charge");
}

#[test]
fn another_user_is_refused() {
    assert_differs(&refused_second("04B7C9E1520A87", "04B7C9E1520A88"), "ID");
    assert_differs(&refused_second("ISO14443", "ISO15693"), "IT");
    assert_differs(&refused_second(r#""IS":true"#, r#""IS":false"#), "IS");
    let failed = refused("VERIFIED", "MISMATCH");
    assert_eq!(
        failed,
        Refusal::AssignmentFailed {
            level: "MISMATCH".to_owned()
        }
    );
}

#[test]
fn a_user_may_become_known_while_charging() {
    let [begin, end] = halves();
    let unknown = begin
        .replace(r#""IS":true"#, r#""IS":false"#)
        .replace("04B7C9E1520A87", "")
        .replace("ISO14443", "NONE");
    let charge = charge(&[unknown, end]).expect("a charge");
    assert_eq!(
        charge.user.identification.as_deref(),
        Some("04B7C9E1520A87")
    );
}

#[test]
fn pages_rise() {
    let [begin, end] = halves();
    let rising = Refusal::PageNotRising {
        before: 9,
        number: 8,
    };
    assert_eq!(charge(&[end, begin.clone()]), Err(rising));
    let again = Refusal::PageNotRising {
        before: 8,
        number: 8,
    };
    assert_eq!(charge(&[begin.clone(), begin]), Err(again));
    assert_eq!(refused("T8", "F8"), Refusal::FiscalPage { number: 8 });
    assert_eq!(refused(r#""PG":"T8","#, ""), Refusal::NoPage);
}

#[test]
fn a_page_that_was_billed_is_refused() {
    let records = [verified(&whole())];
    let used = Refusal::PageUsed { number: 8, last: 8 };
    assert_eq!(Charge::of(&records, Some(8)), Err(used));
    Charge::of(&records, Some(7)).expect("a charge");
}

#[test]
fn records_verified_with_several_keys_are_refused() {
    let [begin, end] = halves();
    let other = TestMeter::new(Curve::Secp384r1, "bench");
    let text = other.sign(&end, Hash::Sha256, SignatureEncoding::Hex);
    let record = Record::parse(&text).expect("a record");
    let by_another = SignedRecord::verified(record.clone(), other.public_key()).expect("signed");
    let carried = SignedRecord::carried(record);
    for second in [by_another, carried] {
        assert_eq!(
            Charge::of(&[verified(&begin), second], None),
            Err(Refusal::DifferentKeys)
        );
    }
}

#[test]
fn a_charge_begins_and_ends_once() {
    let [begin, end] = halves();
    assert_eq!(charge(std::slice::from_ref(&begin)), Err(Refusal::NoEnd));
    assert_eq!(charge(&[end]), Err(Refusal::NoBegin));
    let two_begins = payload(
        "T8",
        &[
            reading(0, "B", "1"),
            reading(1, "B", "1"),
            reading(2, "E", "2"),
        ],
    );
    assert_eq!(charge(&[two_begins]), Err(Refusal::SecondBegin));
    let behind = payload(
        "T8",
        &[
            reading(0, "B", "1"),
            reading(1, "E", "2"),
            reading(2, "C", "2"),
        ],
    );
    assert_eq!(charge(&[behind]), Err(Refusal::AfterEnd { reason: "C" }));
    let two_ends = payload(
        "T8",
        &[
            reading(0, "B", "1"),
            reading(1, "E", "2"),
            reading(2, "R", "3"),
        ],
    );
    assert_eq!(charge(&[two_ends]), Err(Refusal::AfterEnd { reason: "R" }));
    let before = payload(
        "T8",
        &[
            reading(0, "C", "1"),
            reading(1, "B", "2"),
            reading(2, "R", "3"),
        ],
    );
    assert_eq!(charge(&[before]), Err(Refusal::NoBegin));
    assert_eq!(refused(r#""TX":"B","#, ""), Refusal::NoReason);
}

#[test]
fn an_error_while_charging_is_refused() {
    let readings = [
        reading(0, "B", "1"),
        reading(1, "X", "1"),
        reading(2, "E", "2"),
    ];
    assert_eq!(charge(&[payload("T8", &readings)]), Err(Refusal::Exception));
    for flags in ["E", "Et", "tE", "q"] {
        let expected = Refusal::EnergyNotUsable {
            flags: flags.to_owned(),
        };
        assert_eq!(
            refused(r#""EF":"""#, &format!(r#""EF":"{flags}""#)),
            expected
        );
    }
    let not_good = |status| Refusal::MeterNotGood { status };
    assert_eq!(
        refused(r#""ST":"G""#, r#""ST":"M""#),
        not_good(Some(MeterStatus::Manipulated))
    );
    assert_eq!(refused(r#","ST":"G""#, ""), not_good(None));
    // Of another register, but of the same meter.
    let substitute = reading(30, "E", "0")
        .replace("1-0:1.8.0", "1-0:2.8.0")
        .replace("G", "S");
    let readings = [reading(0, "B", "1"), reading(30, "E", "2"), substitute];
    assert_eq!(
        charge(&[payload("T8", &readings)]),
        Err(not_good(Some(MeterStatus::Substitute)))
    );
}

#[test]
fn events_counted_while_charging_are_refused_in_format_0_4() {
    let with = |version: &str, end: u32| {
        let payload = whole()
            .replace(r#""FV":"1.4""#, &format!(r#""FV":"{version}""#))
            .replacen(r#""EF":"""#, r#""EI":567"#, 1)
            .replacen(r#""EF":"""#, &format!(r#""EI":{end}"#), 1);
        charge(&[payload])
    };
    with("0.4", 567).expect("a charge");
    let events = Refusal::Events {
        begin: "567".to_owned(),
        end: "568".to_owned(),
    };
    assert_eq!(with("0.4", 568), Err(events));
    // Later formats flag errors instead.
    with("1.0", 568).expect("a charge");
}

#[test]
fn a_register_that_cannot_be_billed_is_refused() {
    assert!(matches!(
        refused(r#""RV":4101.100,"#, ""),
        Refusal::NoValue { .. }
    ));
    assert_differs(&refused_second(r#""RU":"kWh""#, r#""RU":"Wh""#), "RU");
    let [begin, end] = halves().map(|payload| payload.replace("kWh", "sec"));
    assert!(matches!(
        charge(&[begin, end]),
        Err(Refusal::NotEnergy { .. })
    ));
    assert!(matches!(
        refused("4071.600", "-0.001"),
        Refusal::OutOfRange { .. }
    ));
    let no_register = whole().replace(r#""RI":"1-0:1.8.0","#, "");
    assert!(matches!(
        charge(&[no_register]),
        Err(Refusal::NoImportRegister { .. })
    ));
    // The begin of one register and the end of another.
    let [begin, end] = halves();
    assert_eq!(
        charge(&[begin, end.replace("1-0:1.8.0", "1-0:1.8.0*198")]),
        Err(Refusal::NoEnd)
    );
}

#[test]
fn neither_register_nor_time_falls() {
    let fell = Refusal::Fell {
        register: "1-0:1.8.0".to_owned(),
        before: "4101100".to_owned(),
        after: "4071600".to_owned(),
    };
    let payload_of = |readings: &[String]| payload("T8", readings);
    let falling = payload_of(&[reading(0, "B", "4101.100"), reading(30, "E", "4071.600")]);
    assert_eq!(charge(&[falling]), Err(fell));
    let between = payload_of(&[
        reading(0, "B", "1"),
        reading(1, "C", "3"),
        reading(2, "E", "2"),
    ]);
    assert!(matches!(charge(&[between]), Err(Refusal::Fell { .. })));
    let backwards = payload_of(&[reading(30, "B", "1"), reading(0, "E", "2")]);
    assert!(matches!(
        charge(&[backwards]),
        Err(Refusal::TimeBackwards { .. })
    ));
    // The clock on the wall falls by an hour when summer ends; the moment does not.
    let summer = reading(50, "B", "1").replace("+0100", "+0200");
    charge(&[payload_of(&[summer, reading(10, "E", "2")])]).expect("a charge");
}

#[test]
fn a_loss_that_did_not_begin_at_nothing_is_refused() {
    let with_loss = |begin: &str| {
        let payload = whole()
            .replacen(
                r#""RV":4071.600"#,
                &format!(r#""RV":4071.600,"CL":{begin}"#),
                1,
            )
            .replacen(r#""RV":4101.100"#, r#""RV":4101.100,"CL":0.42"#, 1);
        charge(&[payload])
    };
    let loss = with_loss("0.00").expect("a charge").cumulated_loss_wh;
    assert_eq!(loss.expect("a loss").to_string(), "420");
    let not_reset = Refusal::LossNotReset {
        wh: "10".to_owned(),
    };
    assert_eq!(with_loss("0.010"), Err(not_reset));
}
