//! A link from its first byte: the handshake, then WebSocket frames.
//!
//! An input's first byte tells whether the rest begins with the handshake or stands after a good one,
//! and whether binary messages are delivered. What is too large, a bound on memory notices.

use std::sync::LazyLock;
use std::time::Duration;

use protocol::link::{self, BinaryFrames, CloseReason, Decision, Event, LinkOptions};
use protocol::rpc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

use super::{Corpus, runtime};

/// Larger messages close the link.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

const AFTER_HANDSHAKE: u8 = 1;
const DELIVER_BINARY: u8 = 2;

const HANDSHAKE: &[u8] = b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n";

pub(super) fn check(bytes: &[u8]) {
    if let Some((flags, bytes)) = bytes.split_first() {
        run(*flags, bytes);
    }
}

/// What is answered.
fn run(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let (handshake, frames) = match flags & AFTER_HANDSHAKE {
        0 => bytes.split_at(end_of_head(bytes).unwrap_or(bytes.len())),
        _ => (HANDSHAKE, bytes),
    };
    let options = LinkOptions {
        max_message_bytes: MAX_MESSAGE_BYTES,
        binary: match flags & DELIVER_BINARY {
            0 => BinaryFrames::Refuse,
            _ => BinaryFrames::Deliver,
        },
        ..LinkOptions::default()
    };
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    RUNTIME.block_on(async {
        let (peer, ours) = tokio::io::duplex(MAX_MESSAGE_BYTES);
        tokio::join!(speak(peer, handshake, frames), serve(ours, &options)).0
    })
}

/// Where the head of an HTTP message ends.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Sends the handshake and, once it is answered, the frames, hangs up, and reads until the other
/// side hangs up, too.
async fn speak(peer: DuplexStream, handshake: &[u8], frames: &[u8]) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(peer);
    // The link may be closed before the last byte.
    let _ = write.write_all(handshake).await;
    if end_of_head(handshake).is_none() {
        let _ = write.shutdown().await;
    }
    let mut answers = Vec::new();
    while end_of_head(&answers).is_none() && read.read_buf(&mut answers).await.unwrap_or(0) > 0 {}
    let send = async {
        let _ = write.write_all(frames).await;
        // When nothing is left to do: what was asked is answered first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _ = write.shutdown().await;
    };
    let (_, read) = tokio::join!(send, read.read_to_end(&mut answers));
    read.expect("memory is there");
    answers
}

/// Answers every call, as our servers do.
async fn serve(stream: DuplexStream, options: &LinkOptions) {
    let decide = |offer: &link::Offer<'_>| match link::identity(offer.path, "/ocpp/") {
        Some(_) => Decision::negotiate(offer, &["ocpp1.6"]),
        None => Decision::not_found(),
    };
    let Ok(mut connection) = link::accept(stream, options, decide).await else {
        return;
    };
    let mut reason: Option<CloseReason> = None;
    while let Some(event) = connection.events.recv().await {
        assert!(reason.is_none(), "an event after the last: {event:?}");
        match event {
            Event::Call(call) => call.responder.answer(Ok(rpc::empty())),
            Event::Binary(bytes) => {
                assert_eq!(options.binary, BinaryFrames::Deliver);
                assert!(bytes.len() <= MAX_MESSAGE_BYTES);
            }
            Event::Closed { reason: why } => reason = Some(why),
        }
    }
    assert!(
        reason.is_some(),
        "the last event is that the link is closed"
    );
}

/// A client's frame; its mask is zero, so that a fuzzer sees what it changes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short message");
    let length = match u8::try_from(length) {
        Ok(length @ 0..=125) => vec![length | 0x80],
        _ => [&[126 | 0x80], length.to_be_bytes().as_slice()].concat(),
    };
    [&[first], length.as_slice(), &[0; 4], payload].concat()
}

pub(super) fn corpus() -> Corpus {
    let call = br#"[2,"1","Heartbeat",{}]"#;
    let frames = [
        ("text", frame(0x81, call)),
        ("two-calls", [frame(0x81, call), frame(0x81, call)].concat()),
        ("binary", frame(0x82, &[7; 200])),
        (
            "fragments",
            [frame(0x01, &call[..9]), frame(0x80, &call[9..])].concat(),
        ),
        (
            "ping-between",
            [
                frame(0x01, &call[..9]),
                frame(0x89, b"?"),
                frame(0x80, &call[9..]),
            ]
            .concat(),
        ),
        ("close", frame(0x88, &[0x03, 0xe8])),
        ("no-utf-8", frame(0x81, &[0xff, 0xc0])),
        (
            "endless",
            [&[0x82, 0xff], u64::MAX.to_be_bytes().as_slice(), &[0; 4]].concat(),
        ),
        ("unmasked", vec![0x81, 0x02, b'[', b']']),
        ("reserved-bits", frame(0xf1, call)),
        ("no-frame", frame(0x81, b"hello")),
    ];
    let mut inputs = Corpus::new();
    for (name, frames) in frames {
        for flags in [AFTER_HANDSHAKE, AFTER_HANDSHAKE | DELIVER_BINARY] {
            inputs.insert(
                format!("{name}-{flags}"),
                [&[flags], frames.as_slice()].concat(),
            );
        }
    }
    let opening = [&[0], HANDSHAKE, frame(0x81, call).as_slice()].concat();
    inputs.insert("handshake".to_owned(), opening);
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_answer(name: &str, expected: &[u8]) {
        let input = &corpus()[name];
        let answers = run(input[0], &input[1..]);
        let is_in = answers.windows(expected.len()).any(|part| part == expected);
        assert!(is_in, "{name}: {}", answers.escape_ascii());
    }

    #[test]
    fn frames_reach_the_link() {
        let answer = br#"[3,"1",{}]"#;
        for name in ["handshake", "text-1", "fragments-1", "ping-between-3"] {
            check_answer(name, answer);
        }
        check_answer("binary-1", b"[4,");
        // Close frames with their codes: protocol error, too large.
        check_answer("unmasked-1", &1002_u16.to_be_bytes());
        check_answer("endless-1", &1009_u16.to_be_bytes());
    }
}
