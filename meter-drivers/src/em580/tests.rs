use super::*;

fn facts() -> Em580Facts {
    Em580Facts {
        identification: "TAG-1".to_owned(),
        identification_type: Em580IdentificationType::Iso14443,
        charge_point: "DE*ABC*E1".to_owned(),
        tariff_text: "0.40 EUR/kWh".to_owned(),
        utc: UnixSeconds(0x0001_0002_0003_0004),
        offset_min: -60,
    }
}

/// Answers reads of the state one after the other and of the file from `file`; gives what was
/// written, kept and waited for.
fn run(
    mut session: Em580Session,
    states: &[u16],
    file: &[u16],
) -> Result<Vec<Em580Step>, Em580Error> {
    let mut states = states.iter();
    let mut seen = Vec::new();
    loop {
        let step = session.next();
        let words = match &step {
            Em580Step::Done => return Ok(seen),
            Em580Step::Read { address: STATE, .. } => vec![*states.next().expect("another state")],
            Em580Step::Read { address: SIZE, .. } => {
                vec![u16::try_from(file.len()).expect("small")]
            }
            Em580Step::Read { address, count } => {
                assert!(*count <= 125);
                let start = usize::from(*address - FILE);
                file[start..start + usize::from(*count)].to_vec()
            }
            step => {
                seen.push(step.clone());
                Vec::new()
            }
        };
        session.answered(&words)?;
    }
}

fn write(address: u16, words: &[u16]) -> Em580Step {
    Em580Step::Write {
        address,
        words: words.to_vec(),
    }
}

fn file(text: &str) -> Vec<u16> {
    words_of("file", text, 4_000).expect("short")
}

#[test]
fn a_begin_tells_who_charges_and_then_begins() {
    let session = Em580Session::begin(&facts()).expect("short texts");
    let seen = run(session, &[NOT_READY, NOT_READY, RUNNING], &[]).expect("begins");
    let expected = [
        write(0x7032, &[4, 3, 2, 1]),
        write(0x7031, &[0xFFC4]),
        write(0x7000, &[1, 0, 0, 0, 0, 0]),
        write(0x7006, &[10]),
        write(0x7007, &[0x5441, 0x472D, 0x3100]),
        write(0x701B, &[0]),
        write(0x701C, &[0x4445, 0x2A41, 0x4243, 0x2A45, 0x3100]),
        write(0x6900, &file("0.40 EUR/kWh")),
        write(0x7036, &[0]),
        write(0x7040, &[0x42]),
        Em580Step::Wait(BETWEEN_POLLS),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_end_keeps_the_record_before_the_meter_forgets_it() {
    // Longer than one read, with an odd number of bytes.
    let record = format!("OCMF|{}", "x".repeat(300));
    let states = [RUNNING, NOT_READY, READY];
    let seen = run(Em580Session::end(), &states, &file(&record)).expect("ends");
    let expected = [
        write(0x7040, &[0x45]),
        Em580Step::Wait(BETWEEN_POLLS),
        Em580Step::Wait(BETWEEN_POLLS),
        Em580Step::Keep(record),
        write(0x7100, &[0]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_an_earlier_charge_left_is_taken_out_before_the_next() {
    let begin = || Em580Session::begin(&facts()).expect("short texts");
    for (states, first) in [
        (&[READY, RUNNING][..], Em580Step::Keep("OCMF|1".to_owned())),
        (&[RUNNING, READY, RUNNING][..], write(0x7040, &[0x45])),
    ] {
        let seen = run(begin(), states, &file("OCMF|1")).expect("begins");
        assert_eq!(seen[0], first);
        let kept = seen.iter().position(|it| matches!(it, Em580Step::Keep(_)));
        let begun = seen.iter().position(|it| *it == write(0x7040, &[0x42]));
        assert!(kept.is_some() && kept < begun, "{seen:?}");
        assert_eq!(seen[kept.expect("it is") + 1], write(0x7100, &[0]));
    }
}

#[test]
fn a_meter_that_does_not_do_it_is_an_error() {
    let end = |states: &[u16], file: &[u16]| run(Em580Session::end(), states, file).err();
    let unusable = |state| Some(Em580Error::Unusable { state });
    assert_eq!(end(&[3], &[]), unusable(3));
    assert_eq!(end(&[9], &[]), unusable(9));
    let stuck = Some(Em580Error::Stuck { state: RUNNING });
    assert_eq!(end(&[RUNNING; 50], &[]), stuck);
    assert_eq!(end(&[READY], &[]), Some(Em580Error::Size { words: 0 }));
    let long = vec![0x4141; 2_032];
    assert_eq!(
        end(&[READY], &long),
        Some(Em580Error::Size { words: 2_032 })
    );
    assert_eq!(end(&[READY], &[0xFFFF]), Some(Em580Error::NotText));
    let begin = Em580Session::begin(&facts()).expect("short texts");
    assert_eq!(run(begin, &[3], &[]).err(), unusable(3));
    let answer = Em580Session::end().answered(&[1]);
    let wrong = Em580Error::WrongLength {
        expected: 0,
        found: 1,
    };
    assert_eq!(answer, Err(wrong));
}

proptest::proptest! {
    #[test]
    fn whatever_a_meter_answers_a_session_ends(answers in proptest::collection::vec(0..4_u16, 0..300)) {
        let mut answers = answers.into_iter();
        let mut session = Em580Session::begin(&facts()).expect("short texts");
        for _ in 0..1_000 {
            let count = match session.next() {
                Em580Step::Done => break,
                Em580Step::Read { count, .. } => count,
                _ => 0,
            };
            let words: Vec<u16> = (0..count).map(|_| answers.next().unwrap_or(0xFFFF)).collect();
            if session.answered(&words).is_err() {
                return Ok(());
            }
        }
        proptest::prop_assert_eq!(session.next(), Em580Step::Done);
    }
}

#[test]
fn a_text_is_refused_before_it_would_be_cut() {
    let named = |identification: &str| Em580Facts {
        identification: identification.to_owned(),
        ..facts()
    };
    assert!(Em580Session::begin(&named(&"x".repeat(39))).is_ok());
    for text in ["x".repeat(40), "a\0b".to_owned()] {
        let refused = Em580Session::begin(&named(&text)).err();
        assert!(matches!(refused, Some(Em580Error::TooLong { .. })));
    }
    let tariff = |bytes: usize| Em580Facts {
        tariff_text: "x".repeat(bytes),
        ..facts()
    };
    let longest = Em580Session::begin(&tariff(245)).expect("it fits");
    let seen = run(longest, &[NOT_READY, RUNNING], &[]).expect("begins");
    let written = seen.iter().find_map(|step| match step {
        Em580Step::Write {
            address: TARIFF_TEXT,
            words,
        } => Some(words.len()),
        _ => None,
    });
    assert_eq!(written, Some(123));
    assert!(Em580Session::begin(&tariff(246)).is_err());
}
