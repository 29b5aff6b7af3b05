//! JSON RPC frames.

use protocol::rpc::{Frame, Limits};

use super::{Corpus, texts};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match parse(text) {
        Some(written) => {
            assert_eq!(parse(&written).as_ref(), Some(&written), "read again");
            for surplus in ["0", "]", ",", "[]"] {
                assert_eq!(parse(&format!("{text}{surplus}")), None, "{surplus}");
            }
        }
        None => check_answer(text),
    }
}

/// The text that the frame in `text` is written as.
fn parse(text: &str) -> Option<String> {
    let frame = Frame::parse(text, &Limits::default()).ok()?;
    Some(frame.to_string())
}

/// What a malformed text is answered with is a frame itself.
fn check_answer(text: &str) {
    let malformed = Frame::parse(text, &Limits::default()).expect_err("it was refused before");
    if let Some(answer) = malformed.answer() {
        assert_eq!(parse(&answer.to_string()), Some(answer.to_string()));
    }
}

pub(super) fn corpus() -> Corpus {
    texts([
        r#"[2,"19223201","Heartbeat",{}]"#,
        r#"[2, "1", "Authorize", {"idTag":"FLEET-1"} ]"#,
        r#"[2,"1","Heartbeat",null]"#,
        r#"[2,"\u0031\n","DataTransfer",{"data":"\"[{\\"}]"#,
        r#"[3,"19223201",{"currentTime":"2026-01-01T00:00:00Z"}]"#,
        r#"[4,"19223201","FormationViolation","a frame is a JSON array",{"at":[1,2.5e3]}]"#,
        r#"[4,"1","OccurrenceConstraintViolation","seldom"]"#,
        r#"[5,"1"]"#,
        r#"[2,"1","Deep",{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}]"#,
    ])
}
