use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    max_bytes: 200,
    max_depth: 4,
};

/// What `text` is answered with, `""` where it is ignored.
#[track_caller]
fn check_refused(text: &str, expected_start: &str) {
    let malformed = Frame::parse(text, &LIMITS).expect_err(text);
    let answer = malformed.answer().map(|frame| frame.to_string());
    match answer {
        None => assert_eq!(expected_start, "", "{text}"),
        Some(answer) => assert!(
            !expected_start.is_empty() && answer.starts_with(expected_start),
            "{text} was answered with {answer}"
        ),
    }
}

#[track_caller]
fn check_read(text: &str, written: &str) {
    let frame = Frame::parse(text, &LIMITS).expect(text);
    assert_eq!(frame.to_string(), written);
}

#[test]
fn the_three_frames_are_read_and_written_unchanged() {
    for text in [
        r#"[2,"1","Heartbeat",{}]"#,
        r#"[2,"é","Authorize",{"idTag":"A","n":1.00,"n":1e2}]"#,
        r#"[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]"#,
        r#"[4,"1","NotImplemented","no such action",{"a":1}]"#,
        r#"[4,"1","RpcFrameworkError","",{}]"#,
    ] {
        check_read(text, text);
    }
}

#[test]
fn what_the_standard_tolerates_is_read() {
    check_read(
        "\n [ 2 , \"1\" , \"Heartbeat\" , null ] ",
        r#"[2,"1","Heartbeat",{}]"#,
    );
    check_read(
        r#"[4,"1","InternalError","x"]"#,
        r#"[4,"1","InternalError","x",{}]"#,
    );
    check_read(
        r#"[2,"1","A",{"a":"[[[[[[[\"[[[["}]"#,
        r#"[2,"1","A",{"a":"[[[[[[[\"[[[["}]"#,
    );
}

#[test]
fn a_broken_call_is_answered_under_its_id_where_that_can_be_read() {
    check_refused("hello", r#"[4,"-1","FormationViolation""#);
    check_refused("", r#"[4,"-1","FormationViolation""#);
    check_refused("{}", r#"[4,"-1","FormationViolation""#);
    check_refused(r#"[2,"1","A",{}] []"#, r#"[4,"-1","FormationViolation""#);
    check_refused("[2]", r#"[4,"-1","FormationViolation""#);
    check_refused(r#"[2,1,"A",{}]"#, r#"[4,"-1","FormationViolation""#);
    check_refused(r#"[2,"","A",{}]"#, r#"[4,"-1","FormationViolation""#);
    let long_id = format!(r#"[2,"{}","A",{{}}]"#, "x".repeat(37));
    check_refused(&long_id, r#"[4,"-1","FormationViolation""#);
    check_refused(r#"[2,"7","A"]"#, r#"[4,"7","FormationViolation""#);
    check_refused(r#"[2,"7","A",{},1]"#, r#"[4,"7","FormationViolation""#);
    check_refused(r#"[2,"7",3,{}]"#, r#"[4,"7","FormationViolation""#);
    check_refused(r#"[2,"7","",{}]"#, r#"[4,"7","FormationViolation""#);
    check_refused(r#"[2,"7","A",[]]"#, r#"[4,"7","FormationViolation""#);
    check_refused(r#"[2,"7","A",{"a":[[[]]]}]"#, r#"[4,"7","GenericError""#);
    let long = format!(r#"[2,"7","A",{{"a":"{}"}}]"#, "x".repeat(200));
    check_refused(&long, r#"[4,"-1","GenericError""#);
}

#[test]
fn broken_answers_and_unknown_message_types_are_ignored() {
    check_refused("[]", "");
    check_refused(r#"[5,"1",{}]"#, "");
    check_refused(r#"["2","1","A",{}]"#, "");
    check_refused(r#"[3,"1"]"#, "");
    check_refused(r#"[3,1,{}]"#, "");
    check_refused(r#"[3,"1",[]]"#, "");
    check_refused(r#"[4,"1","GenericError"]"#, "");
    check_refused(r#"[4,"1",5,"",{}]"#, "");
}

#[test]
fn a_message_id_of_36_characters_fits() {
    let id = "é".repeat(36);
    assert_eq!(MessageId::parse(&id).expect("36 characters").as_str(), id);
}

#[test]
fn a_long_description_is_cut() {
    let error = CallError::new(CallErrorCode::GenericError, &"é".repeat(300));
    assert_eq!(error.description.chars().count(), 255);
}

/// Texts close to frames, so that every branch of the parser is met.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("null".to_owned()),
        Just("\\".to_owned()),
        (0..6_u8).prop_map(|n| n.to_string()),
        "\"[a-z\\\\u]{0,4}\"",
        any::<char>().prop_map(String::from),
    ];
    let tail = proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat());
    (
        prop_oneof![Just(""), Just("[2,\"1\","), Just("[3,"), Just("[4,\"x\",")],
        tail,
    )
        .prop_map(|(head, tail)| head.to_owned() + &tail)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let payload = proptest::collection::btree_map(".{0,6}", any::<i64>(), 0..4)
        .prop_map(|fields| to_json(&fields));
    let id = ".{1,36}".prop_filter_map("fits an id", |text| MessageId::parse(&text));
    prop_oneof![
        (id.clone(), ".{1,40}", payload.clone()).prop_map(|(id, action, payload)| Frame::Call {
            id,
            action,
            payload
        }),
        (id.clone(), payload.clone()).prop_map(|(id, payload)| Frame::CallResult { id, payload }),
        (id, ".{0,40}", ".{0,255}", payload).prop_map(|(id, code, description, details)| {
            let code = CallErrorCode::from_name(&code);
            let error = CallError::new(code, &description).with_details(details);
            Frame::CallError { id, error }
        }),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in nearly_a_frame()) {
        if let Err(malformed) = Frame::parse(&text, &Limits::default()) {
            let _ = malformed.answer();
        }
    }

    #[test]
    fn every_refusal_is_itself_a_frame(text in nearly_a_frame()) {
        if let Err(malformed) = Frame::parse(&text, &LIMITS)
            && let Some(answer) = malformed.answer()
        {
            let answer = answer.to_string();
            prop_assert!(Frame::parse(&answer, &Limits::default()).is_ok(), "{}", answer);
        }
    }

    #[test]
    fn what_is_written_is_read_back(frame in any_frame()) {
        let text = frame.to_string();
        let read = Frame::parse(&text, &Limits::default()).expect("our own frame");
        prop_assert_eq!(read.to_string(), text);
    }
}
