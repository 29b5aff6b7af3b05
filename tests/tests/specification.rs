//! What `docs/protocol.md` shows and what it numbers is what the code reads and what the vectors
//! name.

use std::collections::BTreeSet;

use protocol::message::{Hello, HelloAck, Join, JoinAck, Request, from_json};
use protocol::neighbour::{Meet, MeetAck};
use protocol::rpc::{Frame, Limits};
use tests::vectors::Vector;

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    std::fs::read_to_string(path).expect("the specification is there")
}

/// Reads a call of the document, or the result that stands below it.
fn check_example(line: &str, called: &mut Option<Frame>) {
    let frame = Frame::parse(line, &Limits::default()).expect(line);
    let asked = called.take();
    match (&frame, asked) {
        (
            Frame::Call {
                action, payload, ..
            },
            None,
        ) => {
            match action.as_str() {
                "Hello" => assert!(from_json::<Hello>(action, payload.get()).is_ok(), "{line}"),
                "Join" => assert!(from_json::<Join>(action, payload.get()).is_ok(), "{line}"),
                "Meet" => assert!(from_json::<Meet>(action, payload.get()).is_ok(), "{line}"),
                _ => assert!(Request::decode(action, payload.get()).is_ok(), "{line}"),
            }
            *called = Some(frame);
        }
        (
            Frame::CallResult { id, payload },
            Some(Frame::Call {
                id: asked,
                action,
                payload: request,
            }),
        ) => {
            assert_eq!(*id, asked, "{line}");
            match action.as_str() {
                "Hello" => assert!(
                    from_json::<HelloAck>(&action, payload.get()).is_ok(),
                    "{line}"
                ),
                "Join" => assert!(
                    from_json::<JoinAck>(&action, payload.get()).is_ok(),
                    "{line}"
                ),
                "Meet" => assert!(
                    from_json::<MeetAck>(&action, payload.get()).is_ok(),
                    "{line}"
                ),
                _ => {
                    let request = Request::decode(&action, request.get()).expect("read above");
                    assert!(request.decode_response(payload.get()).is_ok(), "{line}");
                }
            }
        }
        (_, asked) => panic!("{line} follows {asked:?}"),
    }
}

#[test]
fn every_example_is_read_and_every_call_has_one() {
    let (document, mut called, mut actions) = (document(), None, BTreeSet::new());
    let examples = document
        .lines()
        .filter(|line| line.starts_with("[2,\"") || line.starts_with("[3,\""));
    for line in examples {
        check_example(line, &mut called);
        if let Some(Frame::Call { action, .. }) = &called {
            actions.insert(action.clone());
        }
    }
    assert!(called.is_none(), "a call without its result");
    let expected = [
        "Authorize",
        "ChargeInfo",
        "CheckAuth",
        "ExchangeMeter",
        "GetBlocks",
        "GetHeaders",
        "GetNeighbours",
        "GetProof",
        "Hello",
        "Join",
        "Meet",
        "NameDeputy",
        "OfferEvidence",
        "Register",
        "RegisterSupplyPoint",
    ];
    assert_eq!(actions, expected.map(str::to_owned).into());
}

/// What `vector` tells as a text in a field of this name.
fn texts(vector: &Vector, field: &str) -> Vec<String> {
    let fields = vector.text.lines().filter_map(|line| {
        let text = line.trim().strip_prefix(&format!("\"{field}\": "))?;
        serde_json::from_str(text.trim_end_matches(',')).ok()
    });
    fields.collect()
}

#[test]
fn every_example_is_one_of_the_vectors() {
    let vectors = tests::vectors::all();
    let vector = |name| vectors.iter().find(|vector| vector.name == name);
    let calls = vector("calls.json").expect("it is made");
    let known: BTreeSet<String> = ["payload", "answer"]
        .into_iter()
        .flat_map(|field| texts(calls, field))
        .collect();
    let handshake = &vector("handshake.json").expect("it is made").text;
    let document = document();
    let frames = document
        .lines()
        .filter(|line| line.starts_with("[2,\"") || line.starts_with("[3,\""));
    for line in frames {
        let payload = match Frame::parse(line, &Limits::default()).expect(line) {
            Frame::Call { payload, .. } | Frame::CallResult { payload, .. } => payload,
            other => panic!("{other:?}"),
        };
        let quoted = serde_json::to_string(line).expect("a text is always JSON");
        let is_known = known.contains(payload.get()) || handshake.contains(&quoted);
        assert!(is_known, "{line}");
    }
}

#[test]
fn every_rule_that_a_vector_names_is_in_the_document() {
    let document = document();
    for vector in tests::vectors::all() {
        for rule in texts(&vector, "rule") {
            let is_there = document.contains(&format!("**{rule}**"));
            assert!(is_there, "{}: {rule}", vector.name);
        }
        let is_listed = document.contains(&format!("`{}`", vector.name))
            || vector.name.starts_with("group-block");
        assert!(is_listed, "{} is not in section 17", vector.name);
    }
}
